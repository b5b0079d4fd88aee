"""The redirect to a provider, and the callback.

No database connection is held during a request to a provider. ``start`` sends it before the first SQL
statement. ``callback`` takes the attempt in a transaction of its own, calls the provider, and only then
begins the request's transaction.
"""

from __future__ import annotations

import logging
import secrets
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
from combine_auth.sessions import end_sessions_of, is_fresh
from combine_auth.settings import AuthSettings
from combine_auth.sign_in.attempts import (
    Attempt,
    LateCallback,
    attempt_config,
    begin_attempt,
    take_attempt,
)
from combine_auth.sign_in.failures import failure_counts
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
_VERIFIED = "combine_auth.verified_callback"
_MAX_PARAMETER = 4096


def client_of_path(request: Any) -> OidcClient:
    """Return the client of the provider in the path. Raises SignInFailure if it is not set up."""
    providers = identity_providers(request.registry)
    name = request.matchdict["provider"]
    client = providers.clients.get(name)
    if client is None:
        detail = providers.hidden.get(name, "no provider of this name is set up")
        raise SignInFailure(FailureCode.PROVIDER_NOT_CONFIGURED, detail)
    return client


def _callback_url(request: Any, client: OidcClient) -> str:
    """Return the redirect URI. It is built from PUBLIC_URL, never from the request."""
    public_url = settings_of(request.registry, CoreSettings).public_url
    return redirect_uri(public_url, client.provider.name)


def _session_proof(request: Any) -> Proof:
    """Return the session that authenticates the request. Raises SignInFailure if there is none."""
    proof: Proof | None = request.proof
    if proof is None or proof.kind is not CredentialKind.SESSION:
        raise SignInFailure(FailureCode.SIGNED_OUT, "nobody is signed in with this browser")
    return proof


# The redirect to the provider.


def prepare_buttons(request: Any) -> None:
    """Set the Content-Security-Policy and the browser's cookie for a page with provider buttons.

    Chromium applies a page's ``form-action`` to every redirect after a form, even to the one back to this
    service, and only the provider knows its redirects
    (https://github.com/w3c/webappsec-csp/issues/8). The rest of the policy does not change.
    """
    clients = identity_providers(request.registry).clients.values()
    if not clients:
        return
    attempt_config(request.registry).cookie.ensure(request)
    origins = sorted(_http_origins(client.provider.issuer for client in clients))

    def widen(_request: Any, response: Any) -> None:
        policy = response.headers.get("Content-Security-Policy")
        if policy is not None:
            sources = " ".join(["form-action 'self' https:", *origins])
            response.headers["Content-Security-Policy"] = policy.replace(
                "form-action 'self'", sources
            )

    request.add_response_callback(widen)


def _http_origins(issuers: Iterable[str]) -> set[str]:
    """Return the origins of the issuers with http, which run on this machine."""
    parts = [urlsplit(issuer) for issuer in issuers]
    return {f"http://{part.netloc}" for part in parts if part.scheme == "http"}


def start(request: Any) -> Any:
    """Redirect the browser to the provider. The form has ``purpose``, ``next`` and ``invitation``."""
    check_limit(request, "sign-in")
    client = client_of_path(request)
    purpose_text = text_of(request, "purpose")
    purpose = Purpose(purpose_text) if purpose_text in list(Purpose) else Purpose.SIGN_IN
    keys, cookie = attempt_config(request.registry)
    state = secrets.token_urlsafe(32)
    attempt_secrets = keys.secrets_of(state, keys.current_id)
    url = client.authorization_url(
        redirect_uri=_callback_url(request, client),
        state=state,
        nonce=attempt_secrets.nonce,
        verifier=attempt_secrets.verifier,
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
        user_id=_target_user(request, purpose),
        next_path=safe_next(text_of(request, "next")),
    )
    return HTTPSeeOther(location=url, headers=headers)


def _reauthentication(purpose: Purpose, client: OidcClient) -> dict[str, Any]:
    """Return the parameters that make the provider authenticate the person again.

    That is ``prompt=login`` (OpenID Connect Core 1.0, 3.1.2.1). Google does not support it and rejects
    unknown values, so the person chooses an account there instead.
    """
    if purpose is not Purpose.CONFIRM:
        return {}
    prompt = "select_account" if client.provider.issuer == _GOOGLE else "login"
    return {"prompt": prompt, "max_age": 0}


def _target_user(request: Any, purpose: Purpose) -> uuid.UUID | None:
    """Return the user whose account the attempt changes; ``None`` for a plain sign-in."""
    if purpose is Purpose.SIGN_IN:
        return None
    if purpose is Purpose.INVITATION:
        token = text_of(request, "invitation")
        user = invited_user(request.dbsession, token)
        if user is None:
            raise SignInFailure(FailureCode.INVITATION_INVALID, "the link is not valid")
        confirmed = text_of(request, "confirmed") == "yes"
        if not confirmed and account_of(request.dbsession, user).in_use:
            # The account was first used after the page was rendered. The new page shows its owner.
            path = request.route_path("auth.invitation", _query={"token": token})
            raise HTTPSeeOther(location=path)
        return user.id
    proof = _session_proof(request)
    if purpose is Purpose.LINK and not is_fresh(request.dbsession, proof.id):
        raise SignInFailure(FailureCode.NOT_FRESH, "the session is too old to add an identity")
    return proof.identity.user_id


# The callback.


def _callback_query(request: Any) -> dict[str, str | None]:
    """Return the parameters of the callback, not validated. Each may occur only once (RFC 6749, 3.1)."""
    values: dict[str, str | None] = {}
    for name in ("state", "code", "error", "error_description", "iss"):
        sent = [value for value in request.GET.getall(name) if value]
        if len(sent) > 1 or any(len(value) > _MAX_PARAMETER for value in sent):
            detail = f"the callback has {name} twice, or its {name} is too long"
            raise SignInFailure(FailureCode.STATE_MISMATCH, detail)
        values[name] = sent[0] if sent else None
    return values


@dataclass(frozen=True)
class VerifiedCallback:
    """A callback whose attempt and ID token are verified."""

    provider: str
    attempt: Attempt
    claims: Claims


def callback(request: Any) -> Any:
    """Finish the attempt, and sign the user in."""
    if _is_prefetch(request):
        # The person may never open the page, and a state works only once. If they do, the browser sends
        # the request again.
        return HTTPServiceUnavailable("This address cannot be prefetched.")
    check_limit(request, "callback")
    client = client_of_path(request)
    try:
        verified = _verify_callback(request, client)
    except LateCallback as late:
        # The back button, or a second tab. A signed-in user needs no error page.
        if request.identity is None:
            raise
        return HTTPSeeOther(location=late.next_path)
    user = _FINISH[verified.attempt.purpose](request, verified)
    failure_counts(request.registry).succeeded(verified.provider)
    headers = remember(request, user.id, provider=verified.provider)
    return HTTPSeeOther(location=verified.attempt.next_path, headers=headers)


def _is_prefetch(request: Any) -> bool:
    """Check whether the browser prefetches the page."""
    values = (request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz"))
    return any("prefetch" in value.lower() for value in values)


def _verify_callback(request: Any, client: OidcClient) -> VerifiedCallback:
    # Attempt and code work only once. pyramid_retry may run the view again, with the same environ.
    earlier: VerifiedCallback | None = request.environ.get(_VERIFIED)
    if earlier is not None:
        return earlier
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
        raise SignInFailure(
            FailureCode.PROVIDER_ERROR, "the callback has neither a code nor an error"
        )
    claims = client.fetch_claims(
        code=query["code"],
        callback_issuer=query["iss"],
        redirect_uri=_callback_url(request, client),
        nonce=attempt.secrets.nonce,
        verifier=attempt.secrets.verifier,
    )
    verified = VerifiedCallback(name, attempt, claims)
    request.environ[_VERIFIED] = verified
    return verified


def _finish_sign_in(request: Any, verified: VerifiedCallback) -> User:
    may_sign_up = settings_of(request.registry, AuthSettings).may_sign_up
    user, is_new = sign_in(request.dbsession, verified.provider, verified.claims, may_sign_up)
    if is_new:
        _record(request, Action.USER_CREATE, user, verified)
    _record_sign_in(request, user, verified)
    return user


def _finish_invitation(request: Any, verified: VerifiedCallback) -> User:
    attempt = verified.attempt
    assert attempt.user_id is not None
    user = accept_invitation(
        request.dbsession, attempt.user_id, attempt.begun_at, verified.provider, verified.claims
    )
    # The previous user of the account notices the change, and a thief loses access.
    ended = end_sessions_of(request.dbsession, user.id)
    _record(request, Action.INVITATION, user, verified, ended=ended)
    _record_sign_in(request, user, verified)
    return user


def _finish_confirm(request: Any, verified: VerifiedCallback) -> User:
    attempt = verified.attempt
    assert attempt.user_id is not None
    user = confirm(request.dbsession, attempt.user_id, verified.claims, attempt.begun_at)
    _record_sign_in(request, user, verified)
    return user


def _finish_link(request: Any, verified: VerifiedCallback) -> User:
    # The callback replaces the session, as at a sign-in: a session id from before the account got
    # another identity must not stay valid.
    user_id = _session_proof(request).identity.user_id
    if user_id != verified.attempt.user_id:
        raise SignInFailure(FailureCode.WRONG_USER, "another user has signed in meanwhile")
    is_new = link(request.dbsession, user_id, verified.provider, verified.claims)
    user: User = request.dbsession.get(User, user_id)
    if is_new:
        _record(request, Action.IDENTITY_LINK, user, verified)
    return user


_FINISH = {
    Purpose.SIGN_IN: _finish_sign_in,
    Purpose.INVITATION: _finish_invitation,
    Purpose.CONFIRM: _finish_confirm,
    Purpose.LINK: _finish_link,
}


def _record_sign_in(request: Any, user: User, verified: VerifiedCallback) -> None:
    """Record the sign-in, and make the user an administrator if ADMIN_SUBJECTS names the identity."""
    admins = settings_of(request.registry, AuthSettings).admin_subjects
    if f"{verified.claims.issuer}|{verified.claims.subject}" in admins and not user.is_admin:
        set_administrator(request.dbsession, user, True, setting=ADMIN_SUBJECTS)
    _record(request, Action.SIGN_IN, user, verified, purpose=verified.attempt.purpose)
    logger.info("%s signed in with %s", user.email, verified.provider)


def _record(
    request: Any, action: Action, user: User, verified: VerifiedCallback, **details: Any
) -> None:
    record_request(
        request,
        action,
        actor_id=user.id,
        actor=user.email,
        target=f"user:{user.id}",
        provider=verified.provider,
        issuer=verified.claims.issuer,
        subject=verified.claims.subject,
        **details,
    )
