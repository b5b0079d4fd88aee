"""Query a health endpoint of a running service; print what is wrong and what to do."""

import argparse
import json
import os
import ssl
from collections.abc import Mapping
from http.client import HTTPException
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from combine_health.checks.http_url import HttpExchange, HttpUrl, get, parse
from combine_health.checks.network import Deadline, explain
from combine_health.cli.result import CommandResult, InputError, sentence
from combine_health.options import wait

HELP = "ask a running service (exit 0 or 1), for Docker and Kubernetes"
TOKEN = "COMBINE_HEALTH_TOKEN"  # noqa: S105 - the variable's name
LARGEST = 4 * 1024 * 1024  # bytes of an answer
DETAILS = "/health/detailed"
# Each is a function that returns whether all is well, and a line about it.
NAMED_PROBES = "combine.probes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url",
        nargs="?",
        metavar="URL",
        help="default: /health/ready of the server that LISTEN and PORT describe in the environment"
        " or in the .env of this folder, else of http://127.0.0.1:8000;"
        " or the name of a probe without a URL, such as worker",
    )
    parser.add_argument(
        "--timeout", default="3", metavar="SECONDS", help="for the whole command (default: 3)"
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    url = arguments.url or f"{_own_url()}/health/ready"
    try:
        seconds = wait(arguments.timeout)
    except ValueError as error:
        raise InputError(f"--timeout: {error}") from None
    for named in entry_points(group=NAMED_PROBES, name=url):
        ok, headline = named.load()()
        return CommandResult(ok=ok, headline=headline)
    return probe(url, Deadline(seconds))


def _own_url() -> str:
    """The URL of the server that starts in this environment."""
    if not os.environ.get("LISTEN", "").strip() and not Path(".env").is_file():
        return f"http://127.0.0.1:{os.environ.get('PORT') or '8000'}"
    # Loaded late: a probe runs every few seconds, and seldom needs it.
    from combine_health.server.listening import StartError, addresses, variables

    try:
        host, _, port = addresses({}, variables(Path()))[0].rpartition(":")
    except StartError as error:
        raise InputError(str(error)) from None
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - asked, not bound
    return f"http://{host}:{port}"


def probe(url: str, deadline: Deadline) -> CommandResult:
    """Query ``url``, and after a bad answer also the full status. Raises `InputError` for a bad URL."""
    try:
        target = parse(url)
    except ValueError as error:
        raise InputError(str(error)) from None
    try:
        answer = get(target, deadline, most=LARGEST)
    except (OSError, HTTPException, ValueError) as error:
        return _failed(_cause(error), target.shown)
    body = _json(answer)
    status = body.get("status")
    said = status if isinstance(status, str) else f"HTTP {answer.status}"
    if 200 <= answer.status < 300:
        took = f" ({1000 * answer.seconds:.0f} ms)"
        return CommandResult(ok=True, headline=", ".join([said, *_words(body)]) + took)
    if 300 <= answer.status < 400:
        return _failed("redirected", target.shown)
    if not isinstance(status, str):
        return _failed("wrong_status", f"{target.shown} answered HTTP {answer.status}")
    details = _details(url, deadline)
    if details is None:
        public = ", ".join([said, *_words(body)])
        headline = sentence(public, f"See {DETAILS} of the service, or its log.")
        return CommandResult(ok=False, headline=headline)
    what = [said, *(_text(details.get(key)) for key in ("cause", "detail"))]
    headline = sentence(": ".join(filter(None, what)), _text(details.get("remedy")))
    return CommandResult(ok=False, headline=headline, more=_checks(details))


def _failed(cause: str, what: str) -> CommandResult:
    headline = sentence(f"{cause}: {what}", HttpUrl.remedies.get(cause))
    return CommandResult(ok=False, headline=headline)


def _cause(error: Exception) -> str:
    cause = explain(error)
    if cause != "failed":
        return cause
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "bad_answer" if isinstance(error, HTTPException | ValueError) else "failed"


def _json(answer: HttpExchange) -> Mapping[str, Any]:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _words(body: Mapping[str, Any]) -> list[str]:
    return [f"{key} {value}" for key, value in body.items() if key != "status"]


def _details(url: str, deadline: Deadline) -> Mapping[str, Any] | None:
    """Fetch the full status from the same service, if it exists and may be seen."""
    parts = urlsplit(url)
    base, separator, _ = parts.path.rpartition("/health")
    if not separator:
        return None
    beside = urlunsplit((parts.scheme, parts.netloc, base + DETAILS, "", ""))
    token = os.environ.get(TOKEN, "").strip()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        body = _json(get(parse(beside), deadline, most=LARGEST, headers=headers))
    except (OSError, HTTPException, ValueError):
        return None  # the probe's answer is known; the full status would only have explained it
    checks = body.get("checks")
    return body if isinstance(checks, dict) and "cause" in body else None


def _checks(details: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, check in details["checks"].items():
        if isinstance(check, dict) and check.get("status") != "healthy":
            what = [_text(check.get(key)) for key in ("status", "cause", "detail")]
            lines.append(sentence(f"  {name}: " + ", ".join(filter(None, what)), None))
            more = (_text(check.get(key)) for key in ("remedy", "runbook"))
            lines += [f"    {text}" for text in more if text]
    return lines


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
