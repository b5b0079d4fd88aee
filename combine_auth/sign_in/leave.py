"""To the provider: what the buttons of the sign-in pages do."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from pyramid.httpexceptions import HTTPSeeOther

from combine_auth.authentication import CredentialKind, Proof
from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.forms import text_of
from combine_auth.identities import invited_user
from combine_auth.limits import check_limit
from combine_auth.openid import OidcClient, identity_providers, redirect_uri
from combine_auth.sign_in.attempts import begin_attempt
from combine_auth.sign_in.fresh import is_fresh
from combine_auth.sign_in.keys import new_state
from combine_auth.sign_in.model import Purpose
from combine_auth.sign_in.next_path import safe_next
from combine_auth.sign_in.parts import parts_of
from combine_core.settings import CoreSettings, settings_of

_GOOGLE = "https://accounts.google.com"


def client_named(request: Any) -> OidcClient:
    """The client of the provider that the path names.

    :raises SignInFailure: there is none, or its registration is incomplete
    """
    providers = identity_providers(request.registry)
    name = request.matchdict["provider"]
    client = providers.clients.get(name)
    if client is None:
        detail = providers.hidden.get(name, "no provider of this name is set up")
        raise SignInFailure(FailureCode.PROVIDER_NOT_CONFIGURED, detail)
    return client


def callback_address(request: Any, client: OidcClient) -> str:
    """Where the provider sends the browser: made of PUBLIC_URL, never of what a request says."""
    public_url = settings_of(request.registry, CoreSettings).public_url
    return redirect_uri(public_url, client.provider.name)


def start(request: Any) -> Any:
    """Send the browser to the provider.

    The form says what for (``purpose``), where to go afterwards (``next``), and with which invitation
    (``invitation``).
    """
    check_limit(request, "sign-in")
    client = client_named(request)
    purpose = _purpose(request)
    keys, cookie = parts_of(request.registry)
    state = new_state()
    secrets = keys.secrets_of(state, keys.current_id)
    # This may ask the provider for its metadata, so it comes before the first statement: no
    # connection to the database is held meanwhile.
    url = client.authorization_url(
        redirect_uri=callback_address(request, client),
        state=state,
        nonce=secrets.nonce,
        verifier=secrets.verifier,
        **_demands(purpose, client),
    )
    browser, headers = cookie.renew(request)
    begin_attempt(
        request.dbsession,
        keys,
        state=state,
        browser=browser,
        provider=client.provider.name,
        purpose=purpose,
        user_id=_about(request, purpose),
        next_path=safe_next(text_of(request, "next")),
    )
    return HTTPSeeOther(location=url, headers=headers)


def _purpose(request: Any) -> Purpose:
    wanted = text_of(request, "purpose")
    return Purpose(wanted) if wanted in list(Purpose) else Purpose.SIGN_IN


def _demands(purpose: Purpose, client: OidcClient) -> dict[str, Any]:
    """What makes the provider ask the person anew, whoever is signed in there.

    That is ``prompt=login`` (OpenID Connect Core 1.0, 3.1.2.1). Google has no such prompt, and refuses
    what it does not know: there the person chooses an account.
    """
    if purpose is not Purpose.CONFIRM:
        return {}
    prompt = "select_account" if client.provider.issuer == _GOOGLE else "login"
    return {"prompt": prompt, "max_age": 0}


def _about(request: Any, purpose: Purpose) -> uuid.UUID | None:
    """Whose account the sign-in is about."""
    if purpose is Purpose.SIGN_IN:
        return None
    if purpose is Purpose.INVITATION:
        user = invited_user(request.dbsession, text_of(request, "invitation"))
        if user is None:
            raise SignInFailure(FailureCode.INVITATION_INVALID, "the link is not good")
        return user.id
    proof = session_proof(request)
    if purpose is Purpose.LINK and not is_fresh(request.dbsession, proof.id):
        raise SignInFailure(FailureCode.NOT_FRESH, "to add an identity, the session is too old")
    return proof.identity.user_id


def session_proof(request: Any) -> Proof:
    """By which session somebody is signed in.

    :raises SignInFailure: by none
    """
    proof: Proof | None = request.proof
    if proof is None or proof.kind is not CredentialKind.SESSION:
        raise SignInFailure(FailureCode.SIGNED_OUT, "nobody is signed in with this browser")
    return proof


def let_forms_leave(request: Any) -> None:
    """Let the forms of this page lead to providers.

    Chromium holds a page's ``form-action`` against every redirect that a form's answer leads through,
    back to us included, and where a provider sends people on their way is its own matter
    (https://github.com/w3c/webappsec-csp/issues/8). The rest of the policy stays as it is.
    """
    clients = identity_providers(request.registry).clients.values()
    plain = sorted(_plain_origins(client.provider.issuer for client in clients))

    def widen(_request: Any, response: Any) -> None:
        policy = response.headers.get("Content-Security-Policy")
        if policy is not None:
            sources = " ".join(["form-action 'self' https:", *plain])
            response.headers["Content-Security-Policy"] = policy.replace(
                "form-action 'self'", sources
            )

    if clients:
        request.add_response_callback(widen)


def _plain_origins(issuers: Iterable[str]) -> set[str]:
    """The origins of issuers on http, which are on this very machine."""
    parts = [urlsplit(issuer) for issuer in issuers]
    return {f"http://{part.netloc}" for part in parts if part.scheme == "http"}
