"""A URL that answers as it should."""

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, ClassVar

from combine_health.checks.connection import REMEDIES, Deadline, explain
from combine_health.checks.http_exchange import Exchange, get, parse
from combine_health.checks.options import option, require, size, text
from combine_health.engine.result import HealthResult, Status
from combine_health.setting_values import wait

_STATUSES = re.compile(r"\d{3}(-\d{3})?")


def statuses(value: str) -> str:
    """Status codes and ranges, by spaces or commas."""
    words = value.replace(",", " ").split()
    if not words or not all(map(_STATUSES.fullmatch, words)):
        raise ValueError("write status codes, such as 200 or 200-299")
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """Failing unless a GET is answered in time with the right status and text.

    Redirects are not followed and proxies not used: what is named is what is asked. A user part of
    the URL is sent as Basic authentication and never shown, as little as the query. Causes:
    ``wrong_status``, ``redirected``, ``wrong_body``, ``bad_answer``, ``tls``, and those of a TCP
    port.
    """

    url: str = option("url", text, "An http or https URL.", secret=True)
    status: str = option("statuses", statuses, "The right status codes.", "200-299")
    contains: str = option("text", text, "What the body must contain.", "")
    max_bytes: int = option("bytes", size, "How much of the body is read.", 64 * 1024)
    ca_file: str = option("path", text, "PEM file of the authorities to trust.", "")
    timeout: float = option("seconds", wait, "Longest time for all of it.", 2.0)

    remedies: ClassVar[Mapping[str, str]] = {
        **REMEDIES,
        "wrong_status": "Ask for the URL by hand, and look into the log of that service.",
        "redirected": "Name the URL that it points to; redirects are not followed.",
        "wrong_body": "Ask for the URL by hand: its body lacks what the check looks for.",
        "bad_answer": "What listens there does not speak HTTP: check the port.",
        "tls": "Check the certificate and the name: openssl s_client -connect HOST:PORT.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 10.0, "timeout": 3.0}

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterator[str]:
        try:
            parse(self.url)
        except ValueError as error:
            yield str(error)
        try:
            statuses(self.status)
        except ValueError as error:
            yield f"status: {error}"
        if not self.timeout > 0:
            yield "timeout must be above 0 seconds"
        if not 0 < self.max_bytes <= 16 * 2**20:
            yield "max_bytes must be above 0, at most 16M"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, whoever says it."""
        target = parse(self.url)
        return tuple(filter(None, (target.password, target.authorization)))

    def __call__(self, _registry: Any) -> HealthResult:
        """Ask once."""
        target = parse(self.url)
        try:
            answer = get(target, Deadline(self.timeout), most=self.max_bytes, ca_file=self.ca_file)
        except ssl.SSLError as error:
            cause = explain(error)
            said = error.reason or "TLS failed"
            return HealthResult.failing(
                "tls" if cause == "failed" else cause, f"{target.shown}: {said}"
            )
        except (ConnectionError, TimeoutError) as error:
            return HealthResult.failing(explain(error), f"{target.shown}: {error}")
        except (HTTPException, ValueError) as error:
            said = type(error).__name__
            return HealthResult.failing("bad_answer", f"{target.shown}: {said}")
        except OSError as error:
            return HealthResult.failing(explain(error), f"{target.shown}: {error}")
        return self._judge(answer, target.shown)

    def _judge(self, answer: Exchange, shown: str) -> HealthResult:
        data: dict[str, object] = {
            "url": shown,
            "http_status": answer.status,
            "latency_ms": round(1000 * answer.seconds, 3),
        }
        if not self._is_right(answer.status):
            cause = "redirected" if 300 <= answer.status < 400 else "wrong_status"
            return HealthResult.failing(cause, f"{shown} answered {answer.status}", **data)
        if self.contains and self.contains.encode() not in answer.body:
            return HealthResult.failing(
                "wrong_body", f"the first {len(answer.body)} bytes of {shown} lack the text", **data
            )
        return HealthResult(Status.HEALTHY, data=data)

    def _is_right(self, status: int) -> bool:
        for word in statuses(self.status).split():
            first, _, last = word.partition("-")
            if int(first) <= status <= int(last or first):
                return True
        return False
