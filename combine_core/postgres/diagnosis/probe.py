"""Finds out step by step why a database cannot be used: name, network, protocol, sign-in."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass

from sqlalchemy import URL

from combine_core.postgres.diagnosis.answers import NO_RULE, ServerError
from combine_core.postgres.diagnosis.causes import Cause, Diagnosis
from combine_core.postgres.diagnosis.protocol import (
    ClosedError,
    Conversation,
    Greeting,
    NotPostgresError,
)
from combine_core.postgres.diagnosis.target import Address, FoundError, Target, connect
from combine_core.postgres.diagnosis.texts import cause_of_text
from combine_core.postgres.diagnosis.tls import context_for

# The part of the budget that a step may use up, so that none starves the ones behind it.
_RESOLVE, _CONNECT, _TALK = 0.3, 0.25, 0.2
_LEAST_S = 0.05

# In which order libpq tries: with TLS, without.
_ORDER = {"disable": (False,), "allow": (False, True), "prefer": (True, False)}
_ONLY_TLS = (True,)


def diagnose(url: URL, budget_seconds: float) -> Diagnosis:
    """Why a new connection to ``url`` fails, in at most ``budget_seconds``. Never raises for a fault.

    It makes up to four connections and gives each back at once; so it is for after a failure.
    """
    try:
        return _Probe(url, Target.of(url), time.monotonic(), budget_seconds).run()
    except FoundError as found:
        return found.diagnosis
    except OSError as error:
        # Of our own machine: no file descriptor left, no permission for the socket.
        detail = f"Looking for the cause failed: {error.strerror or type(error).__name__}."
        return Diagnosis(Cause.UNKNOWN, detail)


@dataclass(frozen=True)
class _Probe:
    url: URL
    target: Target
    started: float
    budget: float

    def run(self) -> Diagnosis:
        addresses = self.target.resolve(self._slice(_RESOLVE))
        connection, address = connect(addresses, self._slice(_CONNECT))
        connection.close()
        answer = self._greet(address)
        if isinstance(answer, ServerError):
            return answer.diagnosis()
        return self._sign_in(address)

    def _greet(self, address: Address) -> ServerError | Greeting:
        """What the server says to our user and database, tried in libpq's order."""
        answer: ServerError | Greeting | None = None
        order = _ORDER.get(self.target.tls, _ONLY_TLS)
        if address.family == socket.AF_UNIX:
            order = (False,)  # libpq never encrypts there, whatever sslmode says
        for encrypted in order:
            heard = self._talk(address, encrypted=encrypted)
            if heard is None:
                continue  # no TLS here; libpq goes on without
            answer = heard
            if not _no_rule(answer):
                return answer
        if self.target.tls == "disable" and address.ip and _no_rule(answer):
            self._would_tls_help(address)
        assert answer is not None  # with one order only, no TLS is an error
        return answer

    def _would_tls_help(self, address: Address) -> None:
        if self._talk(address, encrypted=True) is Greeting.ASKS_TO_SIGN_IN:
            detail = f"{address} has no rule for us without TLS, and has one with it."
            raise FoundError(Cause.TLS_REQUIRED, detail)

    def _talk(self, address: Address, *, encrypted: bool) -> ServerError | Greeting | None:
        """One conversation up to the sign-in; ``None`` if TLS is wished for and not offered."""
        seconds = self._slice(_TALK)
        connection, _ = connect([address], seconds)
        talk = Conversation(connection, time.monotonic() + seconds)
        try:
            if encrypted and not self._encrypt(talk, address):
                return None
            return talk.start_up(self.target.user, self.target.database)
        except TimeoutError:
            detail = f"{address} takes the connection and says nothing for {seconds:.1f} s."
            raise FoundError(Cause.TIMEOUT, detail) from None
        except NotPostgresError as error:
            detail = f"{address} answers with {error}."
            raise FoundError(Cause.NOT_POSTGRESQL, detail) from None
        except (ClosedError, ConnectionError):
            detail = f"{address} takes the connection and closes it at once."
            raise FoundError(Cause.CLOSED, detail) from None
        finally:
            talk.connection.close()

    def _encrypt(self, talk: Conversation, address: Address) -> bool:
        if not talk.ask_for_tls():
            if self.target.tls in _ORDER:
                return False
            detail = f"{address} declines TLS, and sslmode is {self.target.tls}."
            raise FoundError(Cause.TLS_NOT_OFFERED, detail)
        try:
            talk.start_tls(context_for(self.target.tls, self.url), self.target.host)
        except ssl.SSLCertVerificationError as error:
            detail = f"The certificate of {address}: {error.verify_message}."
            raise FoundError(Cause.TLS_FAILED, detail) from None
        except ssl.SSLError as error:
            detail = f"The handshake with {address} failed: {error.reason or 'no reason given'}."
            raise FoundError(Cause.TLS_FAILED, detail) from None
        except FileNotFoundError:
            detail = f"sslmode is {self.target.tls}, and there is no file sslrootcert."
            raise FoundError(Cause.TLS_FAILED, detail) from None
        return True

    def _sign_in(self, address: Address) -> Diagnosis:
        # psycopg takes long to import, and a probe that ends before never needs it.
        from psycopg import ProgrammingError

        from combine_core.postgres.diagnosis.sign_in import sign_in

        seconds = self._slice(1.0)
        try:
            attempt = sign_in(self.url, address, seconds)
        except TimeoutError:
            detail = f"{address} does not finish signing in within {seconds:.1f} s."
            return Diagnosis(Cause.TIMEOUT, detail)
        except ProgrammingError:
            # Its text quotes parts of the URL.
            return Diagnosis(Cause.BAD_URL, "The driver cannot read it.")
        if attempt.read_only:
            return Diagnosis(Cause.READ_ONLY, attempt.read_only)
        if attempt.signed_in:
            return Diagnosis(Cause.REACHABLE, f"{address} lets us in.")
        if attempt.lacks_password:
            detail = "The server asks for a password, and DATABASE_URL has none."
            return Diagnosis(Cause.AUTH_FAILED, detail)
        if attempt.error is not None:
            return attempt.error.diagnosis()
        return _without_code(attempt.text, used_password=attempt.used_password)

    def _slice(self, part: float) -> float:
        left = self.started + self.budget - time.monotonic()
        return max(_LEAST_S, min(left, self.budget * part))


def _no_rule(answer: ServerError | Greeting | None) -> bool:
    return (
        isinstance(answer, ServerError)
        and answer.sqlstate == "28000"
        and answer.routine in {NO_RULE, ""}
    )


def _without_code(text: str, *, used_password: bool) -> Diagnosis:
    """The cause by libpq's text, or by elimination: all before the password went well."""
    known = cause_of_text(text)
    if known is not None:
        return Diagnosis(known, "The server refuses to let us in.")
    if used_password:
        return Diagnosis(Cause.AUTH_FAILED, "The server asked for the password, then refused.")
    return Diagnosis(Cause.REJECTED, "The server refuses to let us in.")
