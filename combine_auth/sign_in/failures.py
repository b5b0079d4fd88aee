"""A failed sign-in: its texts, its line in the log and in the audit, and its page."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from markupsafe import Markup, escape
from pyramid.httpexceptions import HTTPSeeOther

from combine_auth.audit import Action, record_apart
from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.openid import identity_providers, redirect_uri
from combine_core.settings import CoreSettings, settings_of

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_SECONDS = re.compile(r"[1-9][0-9]{0,3}")
_MAX_DETAIL = 500


class NextStep(StrEnum):
    """Where the button of the page leads."""

    SIGN_IN = "sign-in"
    ACCOUNT = "account"


@dataclass(frozen=True)
class FailurePage:
    """The texts of one failure.

    In ``text`` and ``steps``, ``{provider}`` is the provider's title, and ``{NAME}`` the beginning of
    its variables' names.

    :ivar status: the page's HTTP status
    :ivar steps: what the operator can do
    :ivar registration: whether the operator should compare the settings with the provider's console
    :ivar level: of the line in the log
    :ivar retry_after: seconds, if another try may succeed
    """

    status: int
    title: str
    text: str
    steps: tuple[str, ...] = ()
    registration: bool = False
    level: int = logging.INFO
    next_step: NextStep = NextStep.SIGN_IN
    retry_after: int | None = None


_UNKNOWN = FailurePage(400, "This sign-in did not work", "Nothing was changed. Start again.")

_ASK = "Only the people who run the service can correct this: send them the request id below."

FAILURE_PAGES = {
    FailureCode.STATE_MISSING: FailurePage(
        400,
        "This sign-in cannot be finished",
        "The address that you came back with is incomplete. Start again.",
    ),
    FailureCode.STATE_MISMATCH: FailurePage(
        400,
        "This sign-in was not begun here",
        "It was begun in another browser, or long ago, or this browser does not keep cookies."
        " Nothing was changed. Allow cookies for this site, and start again in this browser.",
        steps=(
            "If it happens to everybody: people must open the service at `PUBLIC_URL`, because the"
            " cookie of a sign-in belongs to the host on which the sign-in began.",
        ),
    ),
    FailureCode.STATE_USED: FailurePage(
        400,
        "This sign-in was finished before",
        "The page was opened a second time, or the button was pressed twice. Start again if you are"
        " not signed in.",
    ),
    FailureCode.STATE_EXPIRED: FailurePage(
        400,
        "This sign-in took too long",
        "A sign-in must be finished within 10 minutes. Start again.",
    ),
    FailureCode.ISSUER_MISMATCH: FailurePage(
        400,
        "The answer came from another provider",
        "You went to {provider}, and another provider answered. Nothing was changed. Start again.",
        steps=("Check `{NAME}_ISSUER`, if it is set.",),
        level=logging.WARNING,
    ),
    FailureCode.ACCESS_DENIED: FailurePage(
        400,
        "You did not sign in",
        "You pressed Cancel at {provider}, or a rule of your organisation does not let you in."
        " You can start again, perhaps with another account.",
    ),
    FailureCode.LOGIN_EXPIRED: FailurePage(
        400,
        "This sign-in is no longer good",
        "{provider} no longer accepts it: it took too long, or was finished before. Start again.",
    ),
    FailureCode.PROVIDER_NOT_CONFIGURED: FailurePage(
        404,
        "This way to sign in is not set up",
        "Choose another one on the sign-in page.",
        steps=(
            "`AUTH_PROVIDERS` names the providers; each needs `{NAME}_CLIENT_ID` and"
            " `{NAME}_CLIENT_SECRET`. A line at start says what is missing.",
        ),
        registration=True,
    ),
    FailureCode.INVALID_CLIENT: FailurePage(
        502,
        "Invalid client",
        "The service is not correctly registered with {provider}, so nobody can sign in there."
        f" {_ASK}",
        registration=True,
        level=logging.ERROR,
    ),
    FailureCode.REDIRECT_URI_MISMATCH: FailurePage(
        502,
        "The return address is not registered",
        "{provider} does not know the address that it should send you back to. " + _ASK,
        registration=True,
        level=logging.ERROR,
    ),
    FailureCode.PROVIDER_UNAVAILABLE: FailurePage(
        503,
        "{provider} does not answer",
        "Try again in a minute, or choose another way to sign in. People who are signed in stay signed in.",
        steps=(
            "Check that this machine reaches {provider}: DNS, the firewall, the proxy.",
            "The log says what was tried, and how it failed.",
        ),
        level=logging.WARNING,
        retry_after=30,
    ),
    FailureCode.PROVIDER_ERROR: FailurePage(
        502,
        "{provider} could not sign you in",
        "It gave an answer that cannot be used. Try again. If it happens again, send the people who"
        " run the service the request id below.",
        steps=("The log says what {provider} answered.",),
        registration=True,
        level=logging.WARNING,
    ),
    FailureCode.ID_TOKEN_INVALID: FailurePage(
        502,
        "The answer of {provider} cannot be trusted",
        "It is not signed correctly, or was made for another service or another sign-in. Nothing"
        " was changed. Try again. If it happens again, tell the people who run the service.",
        steps=(
            "The log says which check failed.",
            "If it says that a time is wrong, check this machine's clock.",
            "Check `{NAME}_CLIENT_ID`, and `{NAME}_ISSUER` if it is set.",
        ),
        level=logging.WARNING,
    ),
    FailureCode.TENANT_NOT_ALLOWED: FailurePage(
        403,
        "Your organisation may not sign in here",
        "Choose an account of an organisation that may, or ask the people who run the service.",
        steps=("`MICROSOFT_TENANTS` lists the tenants that may sign in.",),
    ),
    FailureCode.DOMAIN_NOT_ALLOWED: FailurePage(
        403,
        "Your account may not sign in here",
        "Only accounts of certain organisations may. Choose one of those, or ask the people who run"
        " the service.",
        steps=(
            "`GOOGLE_HOSTED_DOMAINS` lists the Google organisations that may sign in, and"
            " `{NAME}_EMAIL_DOMAINS` the domains of verified addresses.",
        ),
    ),
    FailureCode.ACCOUNT_DISABLED: FailurePage(
        403,
        "Your account is disabled",
        "You have an account here, but it is switched off. Ask the people who run the service.",
        steps=("To enable it: `combine user enable EMAIL`",),
    ),
    FailureCode.EMAIL_IN_USE: FailurePage(
        409,
        "Your address has an account already",
        "Sign in to it in the way that you did before. Then you can add {provider} on your account"
        " page. An address alone does not prove that the account is yours.",
        steps=(
            "If they have no other way in, send them the link that this prints:"
            " `combine user invite EMAIL`",
        ),
    ),
    FailureCode.IDENTITY_IN_USE: FailurePage(
        409,
        "That account of {provider} belongs to another user",
        "It cannot be added to a second account here. Sign in with it and remove it there first, or"
        " choose another account of {provider}.",
        next_step=NextStep.ACCOUNT,
    ),
    FailureCode.INVITATION_INVALID: FailurePage(
        400,
        "This invitation is no longer valid",
        "It was used, was replaced by a newer one, or is more than 7 days old. Ask the people who run"
        " the service for another one.",
        steps=("To make another one: `combine user invite EMAIL`",),
    ),
    FailureCode.SIGNED_OUT: FailurePage(
        403,
        "You were signed out",
        "Nothing was added to your account. Sign in, and start again on your account page.",
    ),
    FailureCode.NOT_FRESH: FailurePage(
        403,
        "Confirm that it is you",
        "This needs a sign-in within the last 10 minutes. Confirm on your account page that it is"
        " you, and try again.",
        next_step=NextStep.ACCOUNT,
    ),
    FailureCode.WRONG_USER: FailurePage(
        403,
        "That was somebody else",
        "You chose an account that does not belong to the user who is signed in here. Nothing was"
        " changed.",
        next_step=NextStep.ACCOUNT,
    ),
    FailureCode.RATE_LIMITED: FailurePage(
        429,
        "Too many sign-ins",
        "Too many sign-ins were started within a short time. Try again in a minute.",
        retry_after=60,
    ),
}


def refuse(failure: SignInFailure, request: Any) -> Any:
    """Exception view: log and record the failure, and redirect to its page. Rolls the transaction back.

    The page has an address of its own, so that it can be reloaded, and so that the browser no longer
    shows the address with the code and the state. Nothing that the provider wrote is part of it.
    """
    request.tm.doom()
    name = request.matchdict.get("provider", "") if request.matchdict else ""
    page = FAILURE_PAGES[failure.code]
    detail = failure.detail[:_MAX_DETAIL]
    logger.log(
        page.level,
        "Sign-in%s failed: %s%s.%s",
        f" with {name}" if name else "",
        failure.code,
        f" ({detail!r})" if detail else "",
        "".join(f" {step}" for step in _operator_steps(request, page, name)),
    )
    record_apart(request, Action.SIGN_IN, outcome=failure.code, provider=name, detail=detail)
    query = {
        "code": str(failure.code),
        "provider": name,
        "after": str(failure.retry_after or page.retry_after or ""),
        "request": getattr(request, "request_id", None) or "",
    }
    given = {key: value for key, value in query.items() if value}
    return HTTPSeeOther(location=request.route_path("auth.error", _query=given))


def show_failure(request: Any) -> Any:
    """The page of a failure. Anybody can write its query, so nothing of it is shown unchecked."""
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
    to_account = page.next_step is NextStep.ACCOUNT
    return {
        # The session is not looked up, because the database may be what failed.
        "identity": None,
        "status": page.status,
        "title": page.title.format(provider=title),
        "text": page.text.format(provider=title),
        "steps": [_with_code(step) for step in _operator_steps(request, page, name)],
        "next_step": request.route_path("auth.account" if to_account else "auth.sign_in"),
        "to_account": to_account,
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
    """What the operator can do, with the exact values (runbook: OAuth Login Fails)."""
    # An unknown name may be made up, and must appear neither on the page nor in the log.
    is_known = _is_known(request, name)
    variables = name.upper() if is_known else "NAME"
    values = {"provider": _provider_title(request, name), "NAME": variables}
    steps = [step.format_map(values) for step in page.steps]
    if not (page.registration and is_known):
        return steps
    providers = identity_providers(request.registry)
    client = providers.clients.get(name)
    console = f" ({client.provider.console})" if client else ""
    if name in providers.hidden:
        steps.append(f"{providers.hidden[name]}.")
    public_url = settings_of(request.registry, CoreSettings).public_url
    return [
        *steps,
        f"Verify that `{variables}_CLIENT_ID` and `{variables}_CLIENT_SECRET` are what the"
        f" provider's console shows{console}: without quotes or spaces, and not expired.",
        f"Check that the console lists the redirect URI `{redirect_uri(public_url, name)}` and,"
        f" where it asks for one, the origin `{public_url}`. Both follow from `PUBLIC_URL`.",
        f"Verify that `ALLOWED_ORIGINS` includes `{public_url}`.",
    ]


def _with_code(step: str) -> Markup:
    """The step as HTML: text between backticks becomes code."""
    parts = step.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )
