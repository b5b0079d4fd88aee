"""Logs, counts and records a failed sign-in, and renders its error page."""

from __future__ import annotations

import logging
import re
import threading
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from markupsafe import Markup, escape
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.registry import Registry

from combine_auth.audit import Action, record_refusal
from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.openid import identity_providers, redirect_uri
from combine_core.settings import CoreSettings, settings_of

logger = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_SECONDS = re.compile(r"[1-9][0-9]{0,3}")
_MAX_DETAIL = 500
# The provider has authenticated the person. Anybody can cause the other failures any number of times.
_OF_AUTHENTICATED_PERSON = frozenset(
    {
        FailureCode.TENANT_NOT_ALLOWED,
        FailureCode.DOMAIN_NOT_ALLOWED,
        FailureCode.ACCOUNT_DISABLED,
        FailureCode.NOT_INVITED,
        FailureCode.INVITATION_UNOPENED,
        FailureCode.EMAIL_IN_USE,
        FailureCode.IDENTITY_IN_USE,
        FailureCode.NOT_FRESH,
        FailureCode.WRONG_USER,
    }
)
# The check reports a wrong secret after this many consecutive refusals.
WRONG_SECRET_AFTER: Final = 10
_KEY = "combine_auth.failure_counts"


@dataclass(frozen=True)
class FailurePage:
    """The error page of one failure code.

    In ``text`` and ``steps``, ``{provider}`` is the provider's title, and ``{NAME}`` is the prefix of its
    variables.

    :ivar status: the page's HTTP status
    :ivar steps: steps for the operator; text between backticks is code
    :ivar registration: whether to tell the operator to compare the settings with the provider's console
    :ivar level: the log level
    :ivar to_account: whether the button leads to the account page instead of the sign-in page
    :ivar retry_after: seconds after which a retry may succeed
    """

    status: int
    title: str
    text: str
    steps: Sequence[str] = ()
    registration: bool = False
    level: str = "INFO"
    to_account: bool = False
    retry_after: int | None = None


def _read_pages() -> dict[FailureCode, FailurePage]:
    text = (resources.files("combine_auth") / "sign_in/failures.toml").read_text(encoding="utf-8")
    return {FailureCode(code): FailurePage(**page) for code, page in tomllib.loads(text).items()}


_UNKNOWN = FailurePage(400, "This sign-in did not work", "Nothing was changed. Start again.")
FAILURE_PAGES = _read_pages()


def refuse(failure: SignInFailure, request: Any) -> Any:
    """Log and record the failure, roll the transaction back, and redirect to the error page.

    The page has an address of its own, so that it can be reloaded, and so that the address with the code
    and the state leaves the address bar. The address contains no text of the provider.
    """
    request.tm.doom()
    name = request.matchdict.get("provider", "") if request.matchdict else ""
    page = FAILURE_PAGES[failure.code]
    detail = failure.detail[:_MAX_DETAIL]
    logger.log(
        logging.getLevelNamesMapping()[page.level],
        "Sign-in%s failed: %s%s.%s",
        f" with {name}" if name else "",
        failure.code,
        f" ({detail!r})" if detail else "",
        "".join(f" {step}" for step in _operator_steps(request, page, name)),
    )
    failure_counts(request.registry).failed(
        name if _is_known(request, name) else "unknown",
        failure.code,
        from_browser=bool(request.GET.get("error")),
    )
    record_refusal(
        request,
        Action.SIGN_IN,
        outcome=failure.code,
        once_an_hour=failure.code not in _OF_AUTHENTICATED_PERSON,
        provider=name,
        detail=detail,
    )
    query = {
        "code": str(failure.code),
        "provider": name,
        "after": str(failure.retry_after or page.retry_after or ""),
        "request": getattr(request, "request_id", None) or "",
    }
    query = {key: value for key, value in query.items() if value}
    return HTTPSeeOther(location=request.route_path("auth.error", _query=query))


def show_failure(request: Any) -> Any:
    """Render the error page. Anybody can write its query string, so each value is validated."""
    code = request.GET.get("code", "")
    page = FAILURE_PAGES[FailureCode(code)] if code in list(FailureCode) else _UNKNOWN
    name = request.GET.get("provider", "")
    title = _provider_title(request, name)
    request_id = request.GET.get("request", "")
    request.response.status_int = page.status
    if page.retry_after is not None:
        after = request.GET.get("after", "")
        seconds = after if _SECONDS.fullmatch(after) else str(page.retry_after)
        request.response.headers["Retry-After"] = seconds
    return {
        # The session is not looked up, because the database may have caused the failure.
        "identity": None,
        "status": page.status,
        "title": page.title.format(provider=title),
        "text": page.text.format(provider=title),
        "steps": [_with_code(step) for step in _operator_steps(request, page, name)],
        "next_step": request.route_path("auth.account" if page.to_account else "auth.sign_in"),
        "to_account": page.to_account,
        "request_id": request_id if _REQUEST_ID.fullmatch(request_id) else None,
    }


def _is_known(request: Any, name: str) -> bool:
    providers = identity_providers(request.registry)
    return name in providers.clients or name in providers.hidden


def _provider_title(request: Any, name: str) -> str:
    client = identity_providers(request.registry).clients.get(name)
    if client is not None:
        return client.provider.title
    return name.capitalize() if _is_known(request, name) else "The provider"


def _operator_steps(request: Any, page: FailurePage, name: str) -> list[str]:
    """Return the steps for the operator, with the exact values (runbook: OAuth Login Fails)."""
    # An unknown name may be made up. It must appear neither on the page nor in the log.
    is_known = _is_known(request, name)
    variables = name.upper() if is_known else "NAME"
    values = {"provider": _provider_title(request, name), "NAME": variables}
    steps = [step.format_map(values) for step in page.steps]
    if not (page.registration and is_known):
        return steps
    providers = identity_providers(request.registry)
    client = providers.clients.get(name)
    console = f" ({client.provider.console})" if client else ""
    has_key = client is not None and client.provider.client_key_file is not None
    secret = "CLIENT_KEY_FILE" if has_key else "CLIENT_SECRET"
    if name in providers.hidden:
        steps.append(f"{providers.hidden[name]}.")
    public_url = settings_of(request.registry, CoreSettings).public_url
    return [
        *steps,
        f"Verify that `{variables}_CLIENT_ID` and `{variables}_{secret}` are what the"
        f" provider's console shows{console}: without quotes or spaces, and not expired.",
        f"Check that the console lists the redirect URI `{redirect_uri(public_url, name)}` and,"
        f" where it asks for one, the origin `{public_url}`. Both follow from `PUBLIC_URL`.",
        f"Verify that `ALLOWED_ORIGINS` includes `{public_url}`.",
    ]


def _with_code(step: str) -> Markup:
    """Return the step as HTML, with the text between backticks as code."""
    parts = step.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


class FailureCounts:
    """The failed sign-ins since the process started, by provider and code.

    The health check and /metrics show them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._secret_refused: Counter[str] = Counter()

    def failed(self, provider: str, code: FailureCode, *, from_browser: bool) -> None:
        """Count a failure.

        :param from_browser: the browser reported the provider's error, so it may be made up
        """
        with self._lock:
            self._counts[provider, code] += 1
            if code is FailureCode.INVALID_CLIENT and not from_browser:
                self._secret_refused[provider] += 1

    def succeeded(self, provider: str) -> None:
        """Record a successful sign-in, which shows that the provider accepts the secret."""
        with self._lock:
            self._secret_refused.pop(provider, None)

    def by_provider_and_code(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return dict(self._counts)

    def secret_refusals(self) -> dict[str, int]:
        """Return the number of consecutive refusals for each provider that rejects the client secret."""
        with self._lock:
            refused = self._secret_refused.items()
            return {name: count for name, count in refused if count >= WRONG_SECRET_AFTER}


def failure_counts(registry: Registry) -> FailureCounts:
    counts: FailureCounts = registry.setdefault(_KEY, FailureCounts())
    return counts
