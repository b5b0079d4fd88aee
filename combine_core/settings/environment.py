"""The four environments a service runs in."""

import difflib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Environment(StrEnum):
    """Where the service runs; what is refused depends on it."""

    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


EVERYWHERE = frozenset(Environment)
NOWHERE: frozenset[Environment] = frozenset()
# Where other people depend on the service.
DEPLOYED = frozenset({Environment.STAGING, Environment.PRODUCTION})
# Development warns where the others refuse.
NOT_DEVELOPMENT = EVERYWHERE - {Environment.DEVELOPMENT}


@dataclass(frozen=True, slots=True)
class Place:
    """What settings may depend on beside themselves.

    :ivar environment: the environment that the rules are applied for
    :ivar here: the folder of the ini file; relative paths start there
    :ivar port: the port that the server will listen on
    """

    environment: Environment
    here: Path
    port: int


def probable_environment(value: str | None) -> Environment:
    """The environment that was probably meant: "Prod" is production.

    Without a likely answer it is production, whose rules are the strictest. Only for judging the
    other settings of a start that is refused anyway, or that names no environment at all.
    """
    word = (value or "").strip().strip("\"'").casefold()
    if len(word) >= 3:
        for environment in Environment:
            if environment.startswith(word):
                return environment
        close = difflib.get_close_matches(word, [e.value for e in Environment], n=1)
        if close:
            return Environment(close[0])
    return Environment.PRODUCTION
