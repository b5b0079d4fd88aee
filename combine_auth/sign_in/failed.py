"""What becomes of a sign-in that failed: a line in the log, one in the audit, and a page."""

from __future__ import annotations

import logging
import re
from typing import Any

from markupsafe import Markup, escape
from pyramid.httpexceptions import HTTPSeeOther

from combine_auth.audit import Action, record_apart
from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.openid import identity_providers, redirect_uri
from combine_auth.sign_in.failure_words import GENERIC, WORDS, Way, Words
from combine_auth.sign_in.query import query_of
from combine_core.settings import CoreSettings, settings_of

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_SECONDS = re.compile(r"[1-9][0-9]{0,3}")
_LONGEST_DETAIL = 500


def refuse(failure: SignInFailure, request: Any) -> Any:
    """303 to the page of this failure. What was changed in the database is undone.

    The page is an address of its own, so that it can be read again, and that the address with the
    code and the state is gone from the browser. Nothing of what the provider wrote is in it.
    """
    request.tm.doom()
    name = request.matchdict.get("provider", "") if request.matchdict else ""
    words = WORDS[failure.code]
    detail = failure.detail[:_LONGEST_DETAIL]
    remedy = "".join(f" {step}" for step in _steps(request, words, name))
    logger.log(
        words.level,
        "Sign-in%s failed: %s%s.%s",
        f" with {name}" if name else "",
        failure.code,
        f" ({detail!r})" if detail else "",
        remedy,
    )
    record_apart(request, Action.SIGN_IN, outcome=failure.code, provider=name, detail=detail)
    query = {
        "code": str(failure.code),
        "provider": name,
        "after": str(failure.retry_after or words.retry_after or ""),
        "request": getattr(request, "request_id", None) or "",
    }
    kept = {key: value for key, value in query.items() if value}
    return HTTPSeeOther(location=request.route_path("auth.error", _query=kept))


def show(request: Any) -> Any:
    """The page of a failure. Its query is whatever somebody has typed."""
    given = query_of(request)
    code = given.get("code", "")
    words = WORDS[FailureCode(code)] if code in list(FailureCode) else GENERIC
    name = given.get("provider", "")
    title = _title(request, name)
    request_id = given.get("request", "")
    response = request.response
    response.status_int = words.status
    if words.retry_after is not None:
        after = given.get("after", "")
        seconds = after if _SECONDS.fullmatch(after) else str(words.retry_after)
        response.headers["Retry-After"] = seconds
    path = "auth.account" if words.way is Way.ACCOUNT else "auth.sign_in"
    return {
        # Whoever is signed in is not asked for: the database may be what failed.
        "identity": None,
        "status": words.status,
        "title": words.title.format(provider=title),
        "text": words.text.format(provider=title),
        "steps": [_marked(step) for step in _steps(request, words, name)],
        "way": request.route_path(path),
        "way_is_account": words.way is Way.ACCOUNT,
        "request_id": request_id if _REQUEST_ID.fullmatch(request_id) else None,
    }


def _is_known(request: Any, name: str) -> bool:
    providers = identity_providers(request.registry)
    return name in providers.clients or name in providers.hidden


def _title(request: Any, name: str) -> str:
    client = identity_providers(request.registry).clients.get(name)
    if client is not None:
        return client.provider.title
    return name.capitalize() if _is_known(request, name) else "The provider"


def _steps(request: Any, words: Words, name: str) -> list[str]:
    """What the people who run the service can do, with the exact values (runbook: OAuth Login Fails)."""
    # A name that somebody made up must not be repeated to them, nor in the log.
    known = _is_known(request, name)
    variables = name.upper() if known else "NAME"
    values = {"provider": _title(request, name), "NAME": variables}
    steps = [step.format_map(values) for step in words.steps]
    if not (words.registration and known):
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


def _marked(step: str) -> Markup:
    """The step with what stands between backticks as code."""
    parts = step.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )
