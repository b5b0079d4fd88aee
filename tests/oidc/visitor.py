"""A user without a browser: an HTTP client that stores cookies and submits forms."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from tests.oidc.form import Form, form_to, forms_of, submits_itself

_TIMEOUT_S = 60
_MOST_STEPS = 10


class Visitor:
    """A browser with cookies of its own.

    :param origin: the service, such as ``http://127.0.0.1:40123``
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["User-Agent"] = "Visitor/1.0"

    def get(self, path: str, **options: Any) -> requests.Response:
        """Return one response, without following redirects. A path belongs to the service."""
        return self.session.get(
            urljoin(self.origin, path), allow_redirects=False, timeout=_TIMEOUT_S, **options
        )

    def send(self, form: Form, **fields: str) -> requests.Response:
        """Fill in and submit the form. Return the response without following redirects."""
        return self.session.request(
            form.method,
            form.action,
            data={**form.fields, **fields},
            headers={"Origin": _origin(form.action)},
            allow_redirects=False,
            timeout=_TIMEOUT_S,
        )

    def follow(self, answer: requests.Response, until: str = "\0") -> requests.Response:
        """Follow the redirects up to a page, or to an address that contains ``until``."""
        for _ in range(_MOST_STEPS):
            if submits_itself(answer):
                (form,) = forms_of(answer)
                answer = self.send(form)
            elif answer.is_redirect and until not in answer.headers["Location"]:
                answer = self.get(urljoin(answer.url, answer.headers["Location"]))
            else:
                return answer
        raise AssertionError(f"led on and on, at last to {answer.url}")

    def start(self, provider: str, next_path: str = "/account") -> requests.Response:
        """Press the button of this provider, and return the response of the service."""
        page = self.get(f"/auth/sign-in?next={next_path}")
        assert page.status_code == 200, page.text
        return self.send(form_to(page, f"/auth/{provider}/start"))

    def agree(self, started: requests.Response, account: str) -> str:
        """Sign in at the provider, and return the address of the callback."""
        return self._answer(started, account=account)

    def deny(self, started: requests.Response) -> str:
        """Press Cancel at the provider, and return the address of the callback."""
        return self._answer(started, cancel="yes")

    def _answer(self, started: requests.Response, **fields: str) -> str:
        assert started.is_redirect, f"{started.status_code} {started.text}"
        page = self.follow(started)
        (form,) = forms_of(page)
        # From here on, follow the provider until it redirects to the service.
        back = self.follow(self.send(form, **fields), until="/callback?")
        assert back.is_redirect, f"{back.status_code} {back.text}"
        assert back.headers["Location"].startswith(self.origin)
        return back.headers["Location"]

    def sign_in(
        self, provider: str, account: str, next_path: str = "/account"
    ) -> requests.Response:
        """Sign in completely, and return the last response of the service, without following it."""
        return self.get(self.agree(self.start(provider, next_path), account))

    def failure(self, answer: requests.Response) -> tuple[str, int]:
        """Return the code in the address of the error page, and the status of the page."""
        assert answer.is_redirect, f"{answer.status_code} {answer.text}"
        address = urlsplit(answer.headers["Location"])
        assert address.path == "/auth/error", answer.headers["Location"]
        (code,) = parse_qs(address.query)["code"]
        page = self.follow(answer)
        assert "<h1>" in page.text
        return code, page.status_code

    def me(self) -> dict[str, Any] | None:
        """Return the current user, or ``None``."""
        answer = self.get("/api/v1/me")
        if answer.status_code == 401:
            return None
        assert answer.status_code == 200, answer.text
        me: dict[str, Any] = answer.json()
        return me

    def forget_cookies(self) -> None:
        """Delete the cookies of the service. The provider still knows the browser."""
        self.session.cookies.clear(domain="127.0.0.1")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
