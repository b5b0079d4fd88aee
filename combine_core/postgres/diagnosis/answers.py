"""What a server says when it refuses: SQLSTATE first, because it has no language."""

from __future__ import annotations

from dataclasses import dataclass

from combine_core.postgres.diagnosis.causes import Cause, Diagnosis

# PostgreSQL, Appendix A: error codes.
_BY_SQLSTATE = {
    "28P01": Cause.AUTH_FAILED,
    "28000": Cause.AUTH_FAILED,
    "3D000": Cause.MISSING,
    "53300": Cause.TOO_MANY_CONNECTIONS,
    "57P01": Cause.NOT_ACCEPTING,
    "57P02": Cause.NOT_ACCEPTING,
    "57P03": Cause.NOT_ACCEPTING,
    "57014": Cause.TIMEOUT,
    "25006": Cause.READ_ONLY,
}
# The function in the server that raised the error: not translated either.
_WHY_FULL = {
    "InitPostgres": "The slots that are left are reserved for superusers.",
    "InitializeSessionUserId": "The limit of this user (ALTER ROLE, CONNECTION LIMIT) is reached.",
    "CheckMyDatabase": "The limit of this database (ALTER DATABASE, CONNECTION LIMIT) is reached.",
}
_WHY_REFUSED = {
    "ClientAuthentication": "No line of its pg_hba.conf lets this user in from here.",
    "InitializeSessionUserId": "The user does not exist or may not log in.",
}
NO_RULE = "ClientAuthentication"
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class ServerError:
    """The fields C (SQLSTATE), M (message, in the server's language) and R (routine) of an error."""

    sqlstate: str
    message: str
    routine: str = ""

    def diagnosis(self) -> Diagnosis:
        """The cause that it names."""
        cause = cause_of(self.sqlstate)
        why = ""
        if cause is Cause.TOO_MANY_CONNECTIONS:
            why = _WHY_FULL.get(self.routine, "max_connections is reached.")
        elif self.sqlstate == "28000":
            why = _WHY_REFUSED.get(self.routine, "")
        said = f'The server says: "{one_line(self.message)}" (SQLSTATE {self.sqlstate}).'
        return Diagnosis(cause or Cause.REJECTED, f"{said} {why}".rstrip())


def cause_of(sqlstate: str | None) -> Cause | None:
    """The cause that an SQLSTATE stands for, if it is one about connecting."""
    return _BY_SQLSTATE.get(sqlstate or "")


def one_line(text: str) -> str:
    """``text`` without line ends and control characters, and not too long, to be quoted."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_LONGEST]
