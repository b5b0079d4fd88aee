"""What a failed sign-in says: to the person, and to the people who run the service."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum

from combine_auth.failures import FailureCode


class Way(StrEnum):
    """Where the button of the page leads."""

    AGAIN = "again"
    ACCOUNT = "account"


@dataclass(frozen=True)
class Words:
    """One page.

    In ``text`` and ``steps``, ``{provider}`` is the provider's title and ``{NAME}`` its name as
    variables begin with it.

    :ivar status: the page's HTTP status
    :ivar steps: for the people who run the service
    :ivar registration: whether they are to compare what the provider's console says
    :ivar level: how serious the line in the log is
    :ivar retry_after: seconds, where it may go better by itself
    """

    status: int
    title: str
    text: str
    steps: tuple[str, ...] = ()
    registration: bool = False
    level: int = logging.INFO
    way: Way = Way.AGAIN
    retry_after: int | None = None


GENERIC = Words(400, "This sign-in did not work", "Nothing was changed. Start again.")

_ASK = (
    "You can do nothing about it: tell the people who run the service, with the request id below."
)

WORDS = {
    FailureCode.STATE_MISSING: Words(
        400,
        "This sign-in cannot be finished",
        "The address that you came back with is incomplete. Start again.",
    ),
    FailureCode.STATE_MISMATCH: Words(
        400,
        "This sign-in was not begun here",
        "It was begun in another browser, or long ago, or this browser does not keep cookies."
        " Nothing was changed. Start again in this browser, and let this site set cookies.",
        steps=(
            "If it happens to everybody: people must open the service at `PUBLIC_URL` and nowhere"
            " else, since the cookie of a sign-in belongs to the host on which it was begun.",
        ),
    ),
    FailureCode.STATE_USED: Words(
        400,
        "This sign-in was finished before",
        "The page was opened a second time, or the button was pressed twice. Start again if you are"
        " not signed in.",
    ),
    FailureCode.STATE_EXPIRED: Words(
        400,
        "This sign-in took too long",
        "It has to be finished within 10 minutes. Start again.",
    ),
    FailureCode.ISSUER_MISMATCH: Words(
        400,
        "The answer came from somebody else",
        "You went to {provider}, and another provider answered. Nothing was changed. Start again.",
        steps=("Check `{NAME}_ISSUER`, if it is set.",),
        level=logging.WARNING,
    ),
    FailureCode.ACCESS_DENIED: Words(
        400,
        "You did not sign in",
        "{provider} was told not to let you in: by you, if you pressed Cancel, or by the rules of"
        " your organisation. You can start again, perhaps with another account.",
    ),
    FailureCode.LOGIN_EXPIRED: Words(
        400,
        "This sign-in is no longer good",
        "{provider} does not know it any more: it took too long, or was finished before. Start"
        " again.",
    ),
    FailureCode.PROVIDER_NOT_CONFIGURED: Words(
        404,
        "This way to sign in is not set up",
        "Choose another one on the sign-in page.",
        steps=(
            "`AUTH_PROVIDERS` names the providers; each needs `{NAME}_CLIENT_ID` and"
            " `{NAME}_CLIENT_SECRET`. A line at start says what is missing.",
        ),
        registration=True,
    ),
    FailureCode.INVALID_CLIENT: Words(
        502,
        "Invalid client",
        "The service's registration with {provider} is wrong, so that {provider} lets nobody in."
        f" {_ASK}",
        registration=True,
        level=logging.ERROR,
    ),
    FailureCode.REDIRECT_URI_MISMATCH: Words(
        502,
        "The way back is not registered",
        "{provider} does not know the address to which it should send you back. " + _ASK,
        registration=True,
        level=logging.ERROR,
    ),
    FailureCode.PROVIDER_UNAVAILABLE: Words(
        503,
        "{provider} does not answer",
        "Try again in a minute, or choose another way to sign in. Whoever is signed in stays so.",
        steps=(
            "Check that this machine reaches {provider}: DNS, the firewall, the proxy.",
            "The log says what was tried, and how it failed.",
        ),
        level=logging.WARNING,
        retry_after=30,
    ),
    FailureCode.PROVIDER_ERROR: Words(
        502,
        "{provider} could not sign you in",
        "It gave an answer that cannot be used. Try again; if it happens again, tell the people who"
        " run the service, with the request id below.",
        steps=("The log says what {provider} answered.",),
        registration=True,
        level=logging.WARNING,
    ),
    FailureCode.ID_TOKEN_INVALID: Words(
        502,
        "The answer of {provider} cannot be trusted",
        "It is not signed as it should be, or not meant for this service or this sign-in. Nothing"
        " was changed. Try again; if it happens again, tell the people who run the service.",
        steps=(
            "The log says which check failed.",
            "If it says that a time is wrong, check this machine's clock.",
            "Check `{NAME}_CLIENT_ID`, and `{NAME}_ISSUER` if it is set.",
        ),
        level=logging.WARNING,
    ),
    FailureCode.TENANT_NOT_ALLOWED: Words(
        403,
        "Your organisation may not sign in here",
        "Take an account of an organisation that may, or ask the people who run the service.",
        steps=("`MICROSOFT_TENANTS` lists the tenants that may.",),
    ),
    FailureCode.DOMAIN_NOT_ALLOWED: Words(
        403,
        "Your account may not sign in here",
        "Accounts of some organisations alone may. Take one of those, or ask the people who run the"
        " service.",
        steps=(
            "`GOOGLE_HOSTED_DOMAINS` lists the organisations of Google that may; `{NAME}_EMAIL_DOMAINS`"
            " the domains of verified addresses.",
        ),
    ),
    FailureCode.ACCOUNT_DISABLED: Words(
        403,
        "Your account is disabled",
        "You are known here, but may not come in. Ask the people who run the service.",
        steps=("To let them in again: `combine user enable EMAIL -c production.ini`",),
    ),
    FailureCode.EMAIL_IN_USE: Words(
        409,
        "Your address has an account already",
        "It is signed in to in another way. Sign in in that way; then you can add {provider} on your"
        " account page. An address alone does not show that the account is yours.",
        steps=(
            "If they have no other way in, send them the link that this prints:"
            " `combine user invite EMAIL -c production.ini`",
        ),
    ),
    FailureCode.IDENTITY_IN_USE: Words(
        409,
        "That account of {provider} signs in somebody else",
        "It cannot be added to a second account here. Sign in with it, and take it away there"
        " first; or choose another account of {provider}.",
        way=Way.ACCOUNT,
    ),
    FailureCode.INVITATION_INVALID: Words(
        400,
        "This invitation is not good any more",
        "It was used, or replaced by a newer one, or is more than 7 days old. Ask the people who run"
        " the service for another one.",
        steps=("To make another one: `combine user invite EMAIL -c production.ini`",),
    ),
    FailureCode.SIGNED_OUT: Words(
        403,
        "You were signed out meanwhile",
        "Nothing was added to your account. Sign in, and begin again on your account page.",
    ),
    FailureCode.NOT_FRESH: Words(
        403,
        "Confirm that it is you",
        "This needs a sign-in of the last 10 minutes. Confirm on your account page that it is you,"
        " and do it again.",
        way=Way.ACCOUNT,
    ),
    FailureCode.WRONG_USER: Words(
        403,
        "That was somebody else",
        "The account that you chose does not belong to the one that you are signed in to here."
        " Nothing was changed.",
        way=Way.ACCOUNT,
    ),
    FailureCode.RATE_LIMITED: Words(
        429,
        "Too many sign-ins",
        "There were too many within a short time. Try again in a minute.",
        retry_after=60,
    ),
}
