"""The causes of database faults: a stable code for each, its meaning, and the runbook's remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# The words of the runbook, "Database Connection Failed", Resolution.
VERIFY_RUNNING = "1. Verify database is running."
CHECK_URL = "2. Check DATABASE_URL format."
VERIFY_NETWORK = "3. Verify network connectivity."
CHECK_CREDENTIALS = "4. Check credentials."
RESOLUTION = f"{VERIFY_RUNNING} {CHECK_URL} {VERIFY_NETWORK} {CHECK_CREDENTIALS}"

# Its commands, verbatim.
CONTAINER = "docker-compose ps db"
LOGS = "docker-compose logs db"
CONNECT = 'docker-compose exec db psql -U combine -d combine -c "SELECT 1"'
SHOW_URL = "echo $DATABASE_URL"


class Role(StrEnum):
    """A row of the runbook's table of contacts."""

    ON_CALL = "On-call"
    DATABASE = "Database"
    INFRASTRUCTURE = "Infrastructure"


class Cause(StrEnum):
    """The code of a cause. Programs rely on the codes; the texts beside them may change."""

    BAD_URL = "DB_BAD_URL"
    UNKNOWN_HOST = "DB_UNKNOWN_HOST"
    REFUSED = "DB_REFUSED"
    NO_ROUTE = "DB_NO_ROUTE"
    TIMEOUT = "DB_TIMEOUT"
    SLOW = "DB_SLOW"
    CLOSED = "DB_CLOSED"
    NOT_POSTGRESQL = "DB_NOT_POSTGRESQL"
    TLS_REQUIRED = "DB_TLS_REQUIRED"
    TLS_NOT_OFFERED = "DB_TLS_NOT_OFFERED"
    TLS_FAILED = "DB_TLS_FAILED"
    AUTH_FAILED = "DB_AUTH_FAILED"
    MISSING = "DB_MISSING"
    TOO_MANY_CONNECTIONS = "DB_TOO_MANY_CONNECTIONS"
    NOT_ACCEPTING = "DB_NOT_ACCEPTING"
    READ_ONLY = "DB_READ_ONLY"
    POOLER_REFUSED = "DB_POOLER_REFUSED"
    POOLER_ALONE = "DB_POOLER_ALONE"
    REJECTED = "DB_REJECTED"
    DISK_FULL = "DB_DISK_FULL"
    OUT_OF_RESOURCES = "DB_OUT_OF_RESOURCES"
    STORAGE_FAILED = "DB_STORAGE_FAILED"
    CORRUPTED = "DB_CORRUPTED"
    POOL_EXHAUSTED = "DB_POOL_EXHAUSTED"
    REACHABLE = "DB_REACHABLE"
    UNKNOWN = "database_unreachable"


@dataclass(frozen=True, slots=True)
class Advice:
    """What a cause means and what to do about it.

    :ivar meaning: one sentence
    :ivar remedy: the step of the runbook's resolution, and what that step means for this cause
    :ivar commands: commands of the runbook to run next
    :ivar retryable: whether the fault may pass without help, so that trying again makes sense
    :ivar contact: the team to call
    """

    meaning: str
    remedy: str
    commands: tuple[str, ...]
    retryable: bool
    contact: Role

    @property
    def line(self) -> str:
        """The remedy and its commands in one line."""
        return f"{self.remedy} Run: {' ; '.join(self.commands)}" if self.commands else self.remedy


ADVICE: dict[Cause, Advice] = {
    Cause.BAD_URL: Advice(
        "DATABASE_URL cannot be used as it is written.",
        f"{CHECK_URL} Write postgresql://USER:PASSWORD@HOST:5432/DATABASE.",
        (SHOW_URL,),
        False,
        Role.ON_CALL,
    ),
    Cause.UNKNOWN_HOST: Advice(
        "The host name in DATABASE_URL has no address.",
        f"{CHECK_URL} {VERIFY_NETWORK} Is the name right, and does the name server know it?"
        " A container that has stopped loses its name.",
        (SHOW_URL, CONTAINER),
        True,
        Role.INFRASTRUCTURE,
    ),
    Cause.REFUSED: Advice(
        "Nothing listens on the database's port: it does not run, or runs elsewhere.",
        f"{VERIFY_RUNNING} If it runs, check the port in DATABASE_URL.",
        (CONTAINER, LOGS, SHOW_URL),
        True,
        Role.DATABASE,
    ),
    Cause.NO_ROUTE: Advice(
        "No network path leads to the database's host.",
        f"{VERIFY_NETWORK} A missing route, a network that is down, or a firewall that says so.",
        (CONTAINER, SHOW_URL),
        True,
        Role.INFRASTRUCTURE,
    ),
    Cause.TIMEOUT: Advice(
        "The database does not answer in time (timeout): frozen, overloaded, or behind a firewall"
        " that drops packets.",
        f"{VERIFY_RUNNING} {VERIFY_NETWORK}",
        (CONTAINER, LOGS, CONNECT),
        True,
        Role.INFRASTRUCTURE,
    ),
    Cause.SLOW: Advice(
        "The database answers slowly.",
        f"{VERIFY_NETWORK} Look for load on the database's machine, for slow statements, and for a long way"
        " to it.",
        ('docker-compose logs app | grep -i "slow\\|timeout"', CONNECT),
        True,
        Role.DATABASE,
    ),
    Cause.CLOSED: Advice(
        "The connection was closed without a word: the database has stopped, crashed or cut it off,"
        " or a port forwarder has no database behind it.",
        f"{VERIFY_RUNNING} {VERIFY_NETWORK}",
        (CONTAINER, LOGS, CONNECT),
        True,
        Role.DATABASE,
    ),
    Cause.NOT_POSTGRESQL: Advice(
        "What answers at this address is not PostgreSQL.",
        f"{CHECK_URL} Another service listens there: check host and port.",
        (SHOW_URL, CONTAINER),
        False,
        Role.ON_CALL,
    ),
    Cause.TLS_REQUIRED: Advice(
        "The server accepts this user only over TLS, and DATABASE_URL switches it off.",
        f"{CHECK_URL} Put sslmode=require, or better verify-full, at its end.",
        (SHOW_URL,),
        False,
        Role.ON_CALL,
    ),
    Cause.TLS_NOT_OFFERED: Advice(
        "DATABASE_URL demands TLS, and the server does not offer it.",
        f"{CHECK_URL} Switch TLS on at the server (ssl = on), or lower sslmode in a trusted network.",
        (SHOW_URL, LOGS),
        False,
        Role.DATABASE,
    ),
    Cause.TLS_FAILED: Advice(
        "The server's TLS certificate cannot be trusted, or the handshake failed.",
        f"{CHECK_URL} Check sslmode and sslrootcert, the certificate's host name and its dates.",
        (SHOW_URL, LOGS),
        False,
        Role.INFRASTRUCTURE,
    ),
    Cause.AUTH_FAILED: Advice(
        "The server refuses the user or its password. It does not tell an unknown user from a wrong"
        " password.",
        f"{CHECK_CREDENTIALS} Compare user and password in DATABASE_URL with those of the database;"
        " docker-compose logs db says which it was.",
        (SHOW_URL, LOGS),
        False,
        Role.DATABASE,
    ),
    Cause.MISSING: Advice(
        "The server has no database of that name.",
        f"{CHECK_URL} Check the name at its end; if it is right, create the database, then"
        " restore it or run: docker-compose exec app alembic upgrade head",
        (SHOW_URL, CONNECT),
        False,
        Role.DATABASE,
    ),
    Cause.TOO_MANY_CONNECTIONS: Advice(
        "The server has no connection left for us.",
        f"{VERIFY_RUNNING} It runs, and is full: see who holds connections (pg_stat_activity),"
        " lower DB_POOL_SIZE or the number of instances, or raise max_connections.",
        (LOGS, CONNECT),
        True,
        Role.DATABASE,
    ),
    Cause.NOT_ACCEPTING: Advice(
        "The server is starting up, shutting down or recovering.",
        f"{VERIFY_RUNNING} A start or recovery ends by itself; its log shows the progress.",
        (CONTAINER, LOGS),
        True,
        Role.DATABASE,
    ),
    Cause.READ_ONLY: Advice(
        "The database answers but takes no writes: a standby, or set read-only.",
        f"{CHECK_URL} It must name the primary server; after a failover it may have moved. If it is"
        " the primary, default_transaction_read_only has been set there.",
        (SHOW_URL, LOGS),
        True,
        Role.DATABASE,
    ),
    Cause.POOLER_REFUSED: Advice(
        "The pooler before the database (PgBouncer) refuses a parameter of DATABASE_URL.",
        f"{CHECK_URL} Leave the parameter out, and give its values to the role instead, such as:"
        " ALTER ROLE combine SET search_path = app.",
        (SHOW_URL,),
        False,
        Role.ON_CALL,
    ),
    Cause.POOLER_ALONE: Advice(
        "The pooler before the database (PgBouncer) answers, but cannot reach the database or sign in there.",
        f"{VERIFY_RUNNING} If it runs, check the host, the port and the password that the pooler's"
        " configuration has for it; the pooler's log says which it is.",
        (CONTAINER, LOGS),
        True,
        Role.DATABASE,
    ),
    Cause.REJECTED: Advice(
        "The server answers and denies access.",
        f"{CHECK_CREDENTIALS} Check the rights of this user on this database and its tables (GRANT), and"
        " pg_hba.conf.",
        (LOGS, CONNECT),
        False,
        Role.DATABASE,
    ),
    Cause.DISK_FULL: Advice(
        "The database's disk is full.",
        f"{VERIFY_RUNNING} It runs, and can write nothing: free space on its volume or enlarge it (df -h),"
        " and find out what filled it.",
        (CONTAINER, LOGS),
        True,
        Role.INFRASTRUCTURE,
    ),
    Cause.OUT_OF_RESOURCES: Advice(
        "The server has run out of memory or of another resource.",
        f"{VERIFY_RUNNING} It runs: its log names the resource. Give the database more memory, or raise the"
        " setting that the log names.",
        (CONTAINER, LOGS),
        True,
        Role.DATABASE,
    ),
    Cause.STORAGE_FAILED: Advice(
        "The server cannot read or write its files.",
        f"{VERIFY_RUNNING} Its log names the file: check the disk, the volume and the rights on them.",
        (CONTAINER, LOGS),
        True,
        Role.INFRASTRUCTURE,
    ),
    Cause.CORRUPTED: Advice(
        "The database's files are damaged.",
        f"{VERIFY_RUNNING} It runs on damaged data: stop the service, copy the data directory, then restore"
        " the last good backup.",
        (LOGS,),
        False,
        Role.DATABASE,
    ),
    Cause.POOL_EXHAUSTED: Advice(
        "All connections of this process are in use; the database itself is not the cause.",
        "Check for connection leaks and slow statements; raise DB_POOL_SIZE or DB_MAX_OVERFLOW.",
        ('docker-compose logs app | grep -i "slow\\|timeout"',),
        True,
        Role.ON_CALL,
    ),
    Cause.REACHABLE: Advice(
        "The database takes new connections.",
        "Nothing to do: the fault has passed.",
        (),
        True,
        Role.ON_CALL,
    ),
    Cause.UNKNOWN: Advice(
        "The database cannot be used.",
        RESOLUTION,
        (CONTAINER, LOGS, CONNECT, SHOW_URL),
        True,
        Role.DATABASE,
    ),
}

REMEDIES: dict[str, str] = {cause.value: advice.line for cause, advice in ADVICE.items()}
"""The remedy in one line, by the code of the cause."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The cause of a fault, and what was observed this time (one sentence without secrets)."""

    cause: Cause
    detail: str

    @property
    def advice(self) -> Advice:
        return ADVICE[self.cause]

    @property
    def remedy(self) -> str:
        """The remedy and the runbook's commands in one line."""
        return self.advice.line

    @property
    def line(self) -> str:
        """Code, meaning, detail and remedy in one line, for a log."""
        return f"{self.cause}: {self.advice.meaning} {self.detail} {self.remedy}"

    def __str__(self) -> str:
        commands = [f"  {command}" for command in self.advice.commands]
        return "\n".join(
            [
                f"{self.cause}: {self.advice.meaning}",
                self.detail,
                self.advice.remedy,
                *(["Run next:", *commands] if commands else []),
                f"{'Trying again may help' if self.advice.retryable else 'Trying again does not help'}."
                f" Contact: {self.advice.contact}",
            ]
        )
