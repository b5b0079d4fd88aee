"""To a provider and back: what the buttons of the sign-in pages do, and the callback.

No database connection is held while a provider is asked. ``start`` asks it before its first statement.
``callback`` takes the attempt in a transaction of its own, asks the provider, and only then begins the
request's own transaction.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyramid.httpexceptions import HTTPSeeOther, HTTPServiceUnavailable
from pyramid.security import remember

from combine_auth.administration.service import ADMIN_SUBJECTS, set_administrator
from combine_auth.audit import Action, record_request
from combine_auth.authentication import CredentialKind, Proof
from combine_auth.failures import FailureCode, SignInFailure, provider_refused
from combine_auth.identities.invitations import accept_invitation, account_of, invited_user
from combine_auth.identities.service import confirm, link, sign_in
from combine_auth.limits import check_limit
from combine_auth.openid import identity_providers, redirect_uri
from combine_auth.sessions.service import end_sessions_of, is_fresh
from combine_auth.settings import AuthSettings
from combine_auth.sign_in.attempts import (
    Attempt,
    LateCallback,
    attempt_config,
    begin_attempt,
    new_state,
    take_attempt,
)
from combine_auth.sign_in.failure_counts import failure_counts
from combine_auth.sign_in.model import Purpose
from combine_auth.sign_in.next_path import safe_next
from combine_core.database import session_factory
from combine_core.settings import CoreSettings, settings_of
from combine_core.users import User
from combine_core.web.forms import text_of

if TYPE_CHECKING:
    from combine_auth.openid.client import OidcClient
    from combine_auth.openid.id_token import Claims

logger = logging.getLogger(__name__)

_GOOGLE = "https://accounts.google.com"
_RETURN = "combine_auth.provider_return"
_MAX_PARAMETER = 4096


def client_of_path(request: Any) -> OidcClient:
    """The client of the provider that the path names. Raises SignInFailure if it is not set up."""
    providers = identity_providers(request.registry)
    name = request.matchdict["provider"]
    client = providers.clients.get(name)
    if client is None:
        detail = providers.hidden.get(name, "no provider of this name is set up")
        raise SignInFailure(FailureCode.PROVIDER_NOT_CONFIGURED, detail)
    return client


def _callback_address(request: Any, client: OidcClient) -> str:
    """Where the provider sends the browser. Made of PUBLIC_URL, never of the request."""
    public_url = settings_of(request.registry, CoreSettings).public_url
    return redirect_uri(public_url, client.provider.name)


def _session_proof(request: Any) -> Proof:
    """The session that the request is authenticated with. Raises SignInFailure without one."""
    proof: Proof | None = request.proof
    if proof is None or proof.kind is not CredentialKind.SESSION:
        raise SignInFailure(FailureCode.SIGNED_OUT, "nobody is signed in with this browser")
    return proof


# To the provider.


def prepare_buttons(request: Any) -> None:
    """What a page with the buttons of providers needs besides: a policy, and the browser's cookie."""
    allow_forms_to_providers(request)
    if identity_providers(request.registry).clients:
        attempt_config(request.registry).cookie.give(request)


def allow_forms_to_providers(request: Any) -> None:
    """Let the Content-Security-Policy of this page allow forms that lead to a provider.

    Chromium applies a page's ``form-action`` to every redirect of a form's answer, even to the one back
    to us, and only the provider knows what redirects it makes
    (https://github.com/w3c/webappsec-csp/issues/8). The rest of the policy stays as it is.
    """
    clients = identity_providers(request.registry).clients.values()
    origins = sorted(_http_origins(client.provider.issuer for client in clients))

    def widen(_request: Any, response: Any) -> None:
        policy = response.headers.get("Content-Security-Policy")
        if policy is not None:
            sources = " ".join(["form-action 'self' https:", *origins])
            response.headers["Content-Security-Policy"] = policy.replace(
                "form-action 'self'", sources
            )

    if clients:
        request.add_response_callback(widen)


def _http_origins(issuers: Iterable[str]) -> set[str]:
    """The origins of the issuers with http, which run on this machine."""
    parts = [urlsplit(issuer) for issuer in issuers]
    return {f"http://{part.netloc}" for part in parts if part.scheme == "http"}


def start(request: Any) -> Any:
    """Redirect the browser to the provider. The form has ``purpose``, ``next`` and ``invitation``."""
    check_limit(request, "sign-in")
    client = client_of_path(request)
    wanted = text_of(request, "purpose")
    purpose = Purpose(wanted) if wanted in list(Purpose) else Purpose.SIGN_IN
    keys, cookie = attempt_config(request.registry)
    state = new_state()
    secrets = keys.secrets_of(state, keys.current_id)
    url = client.authorization_url(
        redirect_uri=_callback_address(request, client),
        state=state,
        nonce=secrets.nonce,
        verifier=secrets.verifier,
        **_reauthentication(purpose, client),
    )
    browser, headers = cookie.renew(request)
    begin_attempt(
        request.dbsession,
        keys,
        state=state,
        browser=browser,
        provider=client.provider.name,
        purpose=purpose,
        user_id=_concerned_user(request, purpose),
        next_path=safe_next(text_of(request, "next")),
    )
    return HTTPSeeOther(location=url, headers=headers)


def _reauthentication(purpose: Purpose, client: OidcClient) -> dict[str, Any]:
    """The parameters that make the provider authenticate the person again.

    That is ``prompt=login`` (OpenID Connect Core 1.0, 3.1.2.1). Google does not support it and refuses
    unknown values, so the person chooses an account there instead.
    """
    if purpose is not Purpose.CONFIRM:
        return {}
    prompt = "select_account" if client.provider.issuer == _GOOGLE else "login"
    return {"prompt": prompt, "max_age": 0}


def _concerned_user(request: Any, purpose: Purpose) -> uuid.UUID | None:
    """The user whose account the attempt concerns."""
    if purpose is Purpose.SIGN_IN:
        return None
    if purpose is Purpose.INVITATION:
        token = text_of(request, "invitation")
        user = invited_user(request.dbsession, token)
        if user is None:
            raise SignInFailure(FailureCode.INVITATION_INVALID, "the link is not good")
        confirmed = text_of(request, "confirmed") == "yes"
        if not confirmed and account_of(request.dbsession, user).in_use:
            # The page is older than the account's first use. The new one shows whose it is.
            path = request.route_path("auth.invitation", _query={"token": token})
            raise HTTPSeeOther(location=path)
        return user.id
    proof = _session_proof(request)
    if purpose is Purpose.LINK and not is_fresh(request.dbsession, proof.id):
        raise SignInFailure(FailureCode.NOT_FRESH, "to add an identity, the session is too old")
    return proof.identity.user_id


# Back from the provider.


def _callback_query(request: Any) -> dict[str, str | None]:
    """The parameters of the callback, not validated, each at most once (RFC 6749, 3.1)."""
    values: dict[str, str | None] = {}
    for name in ("state", "code", "error", "error_description", "iss"):
        given = [value for value in request.GET.getall(name) if value]
        if len(given) > 1 or any(len(value) > _MAX_PARAMETER for value in given):
            detail = f"the callback brought {name} twice, or one that is too long"
            raise SignInFailure(FailureCode.STATE_MISMATCH, detail)
        values[name] = given[0] if given else None
    return values


@dataclass(frozen=True)
class ProviderReturn:
    """A person who came back from the provider, with a verified ID token."""

    provider: str
    attempt: Attempt
    claims: Claims


def callback(request: Any) -> Any:
    """Finish the attempt that the browser brings back."""
    if _is_prefetch(request):
        # The person may never go there, and a state works once. The browser asks again if they do.
        return HTTPServiceUnavailable("This address is not for fetching in advance.")
    check_limit(request, "callback")
    client = client_of_path(request)
    try:
        back = _provider_return(request, client)
    except LateCallback as late:
        # The back button, or a second tab: no reason to show an error to somebody who is signed in.
        if request.identity is None:
            raise
        return HTTPSeeOther(location=late.next_path)
    user = _FINISH[back.attempt.purpose](request, back)
    failure_counts(request.registry).succeeded(back.provider)
    headers = remember(request, user.id, provider=back.provider)
    return HTTPSeeOther(location=back.attempt.next_path, headers=headers)


def _is_prefetch(request: Any) -> bool:
    """Whether a browser fetches the page before anybody has asked for it."""
    said = (request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz"))
    return any("prefetch" in one.lower() for one in said)


def _provider_return(request: Any, client: OidcClient) -> ProviderReturn:
    # Attempt and code can be used once. pyramid_retry may repeat what comes after, with the same environ.
    known: ProviderReturn | None = request.environ.get(_RETURN)
    if known is not None:
        return known
    query = _callback_query(request)
    keys, cookie = attempt_config(request.registry)
    name = client.provider.name
    with session_factory(request.registry).begin() as session:
        attempt = take_attempt(
            session, keys, state=query["state"], browser=cookie.read(request), provider=name
        )
    if query["error"] is not None:
        raise provider_refused(query["error"], query["error_description"])
    if query["code"] is None:
        raise SignInFailure(FailureCode.PROVIDER_ERROR, "neither a code nor an error came back")
    claims = client.claims_of(
        code=query["code"],
        callback_issuer=query["iss"],
        redirect_uri=_callback_address(request, client),
        nonce=attempt.secrets.nonce,
        verifier=attempt.secrets.verifier,
    )
    back = ProviderReturn(name, attempt, claims)
    request.environ[_RETURN] = back
    return back


def _finish_sign_in(request: Any, back: ProviderReturn) -> User:
    may_sign_up = settings_of(request.registry, AuthSettings).may_sign_up
    user, is_new = sign_in(request.dbsession, back.provider, back.claims, may_sign_up)
    if is_new:
        _record(request, Action.USER_CREATE, user, back)
    _record_sign_in(request, user, back)
    return user


def _finish_invitation(request: Any, back: ProviderReturn) -> User:
    attempt = back.attempt
    assert attempt.user_id is not None
    user = accept_invitation(
        request.dbsession, attempt.user_id, attempt.begun_at, back.provider, back.claims
    )
    # Whoever used the account until now notices, and a thief does not stay.
    ended = end_sessions_of(request.dbsession, user.id)
    _record(request, Action.INVITATION, user, back, ended=ended)
    _record_sign_in(request, user, back)
    return user


def _finish_confirm(request: Any, back: ProviderReturn) -> User:
    attempt = back.attempt
    assert attempt.user_id is not None
    user = confirm(request.dbsession, attempt.user_id, back.claims, attempt.begun_at)
    _record_sign_in(request, user, back)
    return user


def _finish_link(request: Any, back: ProviderReturn) -> User:
    # The session is replaced afterwards, like at a sign-in: an id that was known before the account
    # got another identity must be worth nothing.
    user_id = _session_proof(request).identity.user_id
    if user_id != back.attempt.user_id:
        raise SignInFailure(FailureCode.WRONG_USER, "somebody else has signed in meanwhile")
    is_new = link(request.dbsession, user_id, back.provider, back.claims)
    user: User = request.dbsession.get(User, user_id)
    if is_new:
        _record(request, Action.IDENTITY_LINK, user, back)
    return user


_FINISH = {
    Purpose.SIGN_IN: _finish_sign_in,
    Purpose.INVITATION: _finish_invitation,
    Purpose.CONFIRM: _finish_confirm,
    Purpose.LINK: _finish_link,
}


def _record_sign_in(request: Any, user: User, back: ProviderReturn) -> None:
    """Record the sign-in, and make the user an administrator if ADMIN_SUBJECTS says so."""
    admins = settings_of(request.registry, AuthSettings).admin_subjects
    if f"{back.claims.issuer}|{back.claims.subject}" in admins and not user.is_admin:
        set_administrator(request.dbsession, user, True, setting=ADMIN_SUBJECTS)
    _record(request, Action.SIGN_IN, user, back, purpose=back.attempt.purpose)
    logger.info("%s signed in with %s", user.email, back.provider)


def _record(request: Any, action: Action, user: User, back: ProviderReturn, **details: Any) -> None:
    record_request(
        request,
        action,
        actor_id=user.id,
        actor=user.email,
        target=f"user:{user.id}",
        provider=back.provider,
        issuer=back.claims.issuer,
        subject=back.claims.subject,
        **details,
    )
