"""Back from the provider: the callback.

While the provider is asked, nothing of the database is held: the attempt is taken in a transaction of
its own before, and the request's own transaction begins after.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.security import remember

from combine_auth.audit import Action, record_request
from combine_auth.failures import FailureCode, SignInFailure, provider_refused
from combine_auth.identities import accept_invitation, confirm, link, sign_in
from combine_auth.limits import check_limit
from combine_auth.openid import Claims, OidcClient
from combine_auth.settings import AuthSettings
from combine_auth.sign_in.attempts import Attempt, LateCallback, take_attempt
from combine_auth.sign_in.leave import callback_address, client_named, session_proof
from combine_auth.sign_in.model import Purpose
from combine_auth.sign_in.parts import parts_of
from combine_core.database import session_factory
from combine_core.settings import settings_of
from combine_core.users import User

logger = logging.getLogger(__name__)

_ARRIVAL = "combine_auth.arrival"
_LONGEST = 4096


@dataclass(frozen=True)
class Answer:
    """What the provider has the browser bring, as it stands in the query."""

    state: str | None
    code: str | None
    error: str | None
    error_description: str | None
    iss: str | None

    @classmethod
    def of(cls, request: Any) -> Answer:
        """Read the query.

        :raises SignInFailure: a parameter is there twice, which RFC 6749, 3.1, forbids, or too long
        """
        # request.GET will not do: it raises where the query is not UTF-8.
        query = parse_qs(request.environ.get("QUERY_STRING", ""), errors="replace")
        values = {name: query.get(name, [None]) for name in cls.__dataclass_fields__}
        for name, given in values.items():
            if len(given) > 1 or len(given[0] or "") > _LONGEST:
                detail = f"the callback brought {name} twice, or one that is too long"
                raise SignInFailure(FailureCode.STATE_MISMATCH, detail)
        return cls(**{name: given[0] for name, given in values.items()})


@dataclass(frozen=True)
class Arrival:
    """Somebody who came back from the provider, and whom it says that they are."""

    provider: str
    attempt: Attempt
    claims: Claims


def callback(request: Any) -> Any:
    """Finish what the button began."""
    check_limit(request, "callback")
    client = client_named(request)
    try:
        arrival = _arrival(request, client)
    except LateCallback as late:
        # The back button, or a second tab: no reason to show an error to somebody who is inside.
        if request.identity is None:
            raise
        return HTTPSeeOther(location=late.next_path)
    headers = _FINISH[arrival.attempt.purpose](request, arrival)
    return HTTPSeeOther(location=arrival.attempt.next_path, headers=headers)


def _arrival(request: Any, client: OidcClient) -> Arrival:
    # An attempt and a code are good for once. What comes after may be tried again by pyramid_retry,
    # with the same environ.
    known: Arrival | None = request.environ.get(_ARRIVAL)
    if known is not None:
        return known
    answer = Answer.of(request)
    keys, cookie = parts_of(request.registry)
    name = client.provider.name
    with session_factory(request.registry).begin() as session:
        attempt = take_attempt(
            session, keys, state=answer.state, browser=cookie.read(request), provider=name
        )
    arrival = Arrival(name, attempt, _claims(request, client, answer, attempt))
    request.environ[_ARRIVAL] = arrival
    return arrival


def _claims(request: Any, client: OidcClient, answer: Answer, attempt: Attempt) -> Claims:
    if answer.error is not None:
        raise provider_refused(answer.error, answer.error_description)
    if not answer.code:
        raise SignInFailure(FailureCode.PROVIDER_ERROR, "neither a code nor an error came back")
    return client.claims_of(
        code=answer.code,
        callback_issuer=answer.iss,
        redirect_uri=callback_address(request, client),
        nonce=attempt.secrets.nonce,
        verifier=attempt.secrets.verifier,
    )


def _finish_sign_in(request: Any, arrival: Arrival) -> Any:
    user, is_new = sign_in(request.dbsession, arrival.provider, arrival.claims)
    if is_new:
        _note(request, Action.USER_CREATE, user, arrival)
    return _enter(request, user, arrival)


def _finish_invitation(request: Any, arrival: Arrival) -> Any:
    attempt = arrival.attempt
    assert attempt.user_id is not None
    user = accept_invitation(
        request.dbsession, attempt.user_id, attempt.begun_at, arrival.provider, arrival.claims
    )
    _note(request, Action.INVITATION, user, arrival)
    return _enter(request, user, arrival)


def _finish_confirm(request: Any, arrival: Arrival) -> Any:
    attempt = arrival.attempt
    assert attempt.user_id is not None
    user = confirm(request.dbsession, attempt.user_id, arrival.claims, attempt.begun_at)
    return _enter(request, user, arrival)


def _finish_link(request: Any, arrival: Arrival) -> Any:
    attempt = arrival.attempt
    proof = session_proof(request)
    if proof.identity.user_id != attempt.user_id:
        raise SignInFailure(FailureCode.WRONG_USER, "somebody else has signed in meanwhile")
    is_new = link(request.dbsession, proof.identity.user_id, arrival.provider, arrival.claims)
    user = request.dbsession.get(User, proof.identity.user_id)
    if is_new:
        _note(request, Action.IDENTITY_LINK, user, arrival)
    # There is one more way to be this user now: a session id that was known before is worth nothing.
    return _new_session(request, user, arrival)


_FINISH = {
    Purpose.SIGN_IN: _finish_sign_in,
    Purpose.INVITATION: _finish_invitation,
    Purpose.CONFIRM: _finish_confirm,
    Purpose.LINK: _finish_link,
}


def _enter(request: Any, user: User, arrival: Arrival) -> Any:
    claims = arrival.claims
    admins = settings_of(request.registry, AuthSettings).admin_subjects
    if f"{claims.issuer}|{claims.subject}" in admins and not user.is_admin:
        user.is_admin = True
        _note(request, Action.ADMIN_GRANT, user, arrival, by="ADMIN_SUBJECTS")
    _note(request, Action.SIGN_IN, user, arrival, purpose=arrival.attempt.purpose)
    logger.info("%s signed in with %s", user.email, arrival.provider)
    return _new_session(request, user, arrival)


def _new_session(request: Any, user: User, arrival: Arrival) -> Any:
    return remember(request, user.id, provider=arrival.provider)


def _note(request: Any, action: Action, user: User, arrival: Arrival, **details: Any) -> None:
    record_request(
        request,
        action,
        actor_id=user.id,
        actor=user.email,
        target=f"user:{user.id}",
        provider=arrival.provider,
        issuer=arrival.claims.issuer,
        subject=arrival.claims.subject,
        **details,
    )
