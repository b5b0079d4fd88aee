"""What the error pages say: what happened, and what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """What an error page says: what happened, and what to do."""

    title: str
    text: str
    # For the people who run the service.
    steps: tuple[str, ...] = ()


WORDS = {
    400: Words("This request cannot be understood", "Go back, reload the page, and send it again."),
    401: Words(
        "You are not signed in",
        "This service has no sign-in page. Ask the people who run it how to get in.",
    ),
    403: Words(
        "You may not do this",
        "Your role in this project does not allow it. An owner of the project can change it.",
    ),
    404: Words(
        "There is nothing here",
        "The address may be mistyped, or the thing is in a project that you are no member of.",
    ),
    405: Words(
        "This address does not work that way",
        "It was probably opened from a form that was sent before. Go back and start from there.",
    ),
    413: Words("That is too large", "Send a smaller file, or split the text into several sources."),
    500: Words(
        "Something went wrong here",
        "It is the service's fault, not yours, and nothing was changed. Try again. If it happens"
        " again, tell the people who run the service, with the request id below.",
    ),
}
EXPIRED_FORM = Words(
    "This form is too old",
    "The page was open for too long, or the form came from another site. Nothing was changed."
    " Go back, reload the page, and send it again.",
)
UNKNOWN_LIST = Words(
    "This part of the list is not known",
    "The address was changed or cut off. Open the list from its beginning.",
)
# The steps are the Resolution of "Database Connection Failed" in the runbook.
DATABASE_AWAY = Words(
    "The database cannot be reached",
    "Nothing was changed, and nothing is lost. Try again in a few seconds.",
    steps=(
        "Verify that the database is running.",
        "Check the format of DATABASE_URL.",
        "Verify network connectivity.",
        "Check the credentials.",
    ),
)
DATABASE_BUSY = Words(
    "The database is busy",
    "It did not get to this in time, and nothing was changed. Try again in a few seconds.",
)
