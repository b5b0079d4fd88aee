"""Somebody with a browser, without the browser: an HTTP client that keeps cookies and sends forms."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from tests.oidc.form import Form, form_to, forms_of, submits_itself

_TIMEOUT_S = 60
_MOST_STEPS = 10


class Visitor:
    """One browser, with cookies of its own.

    :param origin: the service, such as ``http://127.0.0.1:40123``
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["User-Agent"] = "Visitor/1.0"

    def get(self, path: str, **options: Any) -> requests.Response:
        """One answer, of the service for a path; not that to which it may lead."""
        return self.session.get(
            urljoin(self.origin, path), allow_redirects=False, timeout=_TIMEOUT_S, **options
        )

    def send(self, form: Form, **fields: str) -> requests.Response:
        """Fill the form in and send it; the answer, not that to which it may lead."""
        return self.session.request(
            form.method,
            form.action,
            data={**form.fields, **fields},
            headers={"Origin": _origin(form.action)},
            allow_redirects=False,
            timeout=_TIMEOUT_S,
        )

    def follow(self, answer: requests.Response, until: str = "\0") -> requests.Response:
        """Go where the answer leads; stop at a page, or before an address that contains ``until``."""
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
        """Press the button of this provider; what the service answers."""
        page = self.get(f"/auth/sign-in?next={next_path}")
        assert page.status_code == 200, page.text
        return self.send(form_to(page, f"/auth/{provider}/start"))

    def agree(self, started: requests.Response, account: str) -> str:
        """Sign in at the provider; the address of the service to which it sends the browser."""
        return self._answer(started, account=account)

    def deny(self, started: requests.Response) -> str:
        """Press Cancel at the provider; the address of the service to which it sends the browser."""
        return self._answer(started, cancel="yes")

    def _answer(self, started: requests.Response, **fields: str) -> str:
        assert started.is_redirect, f"{started.status_code} {started.text}"
        page = self.follow(started)
        (form,) = forms_of(page)
        # What to do next is the provider's word from here on, until it leads to us.
        back = self.follow(self.send(form, **fields), until="/callback?")
        assert back.is_redirect, f"{back.status_code} {back.text}"
        assert back.headers["Location"].startswith(self.origin)
        return back.headers["Location"]

    def sign_in(
        self, provider: str, account: str, next_path: str = "/account"
    ) -> requests.Response:
        """The whole way; what the service answers at its end, before anything is followed."""
        return self.get(self.agree(self.start(provider, next_path), account))

    def failure(self, answer: requests.Response) -> tuple[str, int]:
        """Why a sign-in did not work, as the address of the page says, and the status of that page."""
        assert answer.is_redirect, f"{answer.status_code} {answer.text}"
        address = urlsplit(answer.headers["Location"])
        assert address.path == "/auth/error", answer.headers["Location"]
        (code,) = parse_qs(address.query)["code"]
        page = self.follow(answer)
        assert "<h1>" in page.text
        return code, page.status_code

    def me(self) -> dict[str, Any] | None:
        """Who the service takes them for; ``None`` for nobody."""
        answer = self.get("/api/v1/me")
        if answer.status_code == 401:
            return None
        assert answer.status_code == 200, answer.text
        me: dict[str, Any] = answer.json()
        return me

    def forget_cookies(self) -> None:
        """Lose those of the service; the provider still knows the browser."""
        self.session.cookies.clear(domain="127.0.0.1")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
