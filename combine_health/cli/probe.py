"""Query a health endpoint of a running service, and print the cause and remedy of a failure."""

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

HELP = "query a running service (exit 0 or 1), for Docker and Kubernetes"
TOKEN = "COMBINE_HEALTH_TOKEN"  # noqa: S105 - the variable's name
LARGEST = 4 * 1024 * 1024  # bytes of a response
DETAILS = "/health/detailed"
# An entry-point group of functions that return the success of a probe and its line of output.
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
    """Return the URL of the server that the environment configures."""
    if not os.environ.get("LISTEN", "").strip() and not Path(".env").is_file():
        return f"http://127.0.0.1:{os.environ.get('PORT') or '8000'}"
    # Imported late because a probe runs every few seconds and rarely needs it.
    from combine_health.server.listening import StartError, addresses, variables

    try:
        host, _, port = addresses({}, variables(Path()))[0].rpartition(":")
    except StartError as error:
        raise InputError(str(error)) from None
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - a client address, not one to bind
    return f"http://{host}:{port}"


def probe(url: str, deadline: Deadline) -> CommandResult:
    """Query ``url`` and, after a failure, the full status. Raises `InputError` for an invalid URL."""
    try:
        target = parse(url)
    except ValueError as error:
        raise InputError(str(error)) from None
    try:
        response = get(target, deadline, most=LARGEST)
    except (OSError, HTTPException, ValueError) as error:
        return _failed(_cause(error), target.shown)
    body = _json(response)
    status = body.get("status")
    word = status if isinstance(status, str) else f"HTTP {response.status}"
    if 200 <= response.status < 300:
        latency = f" ({1000 * response.seconds:.0f} ms)"
        return CommandResult(ok=True, headline=", ".join([word, *_words(body)]) + latency)
    if 300 <= response.status < 400:
        return _failed("redirected", target.shown)
    if not isinstance(status, str):
        return _failed("wrong_status", f"{target.shown} answered HTTP {response.status}")
    details = _details(url, deadline)
    if details is None:
        public = ", ".join([word, *_words(body)])
        headline = sentence(public, f"See {DETAILS} of the service, or its log.")
        return CommandResult(ok=False, headline=headline)
    parts = [word, *(_text(details.get(key)) for key in ("cause", "detail"))]
    headline = sentence(": ".join(filter(None, parts)), _text(details.get("remedy")))
    return CommandResult(ok=False, headline=headline, more=_checks(details))


def _failed(cause: str, detail: str) -> CommandResult:
    headline = sentence(f"{cause}: {detail}", HttpUrl.remedies.get(cause))
    return CommandResult(ok=False, headline=headline)


def _cause(error: Exception) -> str:
    cause = explain(error)
    if cause != "failed":
        return cause
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "bad_answer" if isinstance(error, HTTPException | ValueError) else "failed"


def _json(response: HttpExchange) -> Mapping[str, Any]:
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _words(body: Mapping[str, Any]) -> list[str]:
    return [f"{key} {value}" for key, value in body.items() if key != "status"]


def _details(url: str, deadline: Deadline) -> Mapping[str, Any] | None:
    """Fetch the full status of the same service; return ``None`` without access to it."""
    parts = urlsplit(url)
    base, separator, _ = parts.path.rpartition("/health")
    if not separator:
        return None
    details_url = urlunsplit((parts.scheme, parts.netloc, base + DETAILS, "", ""))
    token = os.environ.get(TOKEN, "").strip()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        body = _json(get(parse(details_url), deadline, most=LARGEST, headers=headers))
    except (OSError, HTTPException, ValueError):
        return None  # the result of the probe is known; the full status would only explain it
    checks = body.get("checks")
    return body if isinstance(checks, dict) and "cause" in body else None


def _checks(details: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, check in details["checks"].items():
        if isinstance(check, dict) and check.get("status") != "healthy":
            parts = [_text(check.get(key)) for key in ("status", "cause", "detail")]
            lines.append(f"  {name}: " + ", ".join(filter(None, parts)))
            more = (_text(check.get(key)) for key in ("remedy", "runbook"))
            lines += [f"    {text}" for text in more if text]
    return lines


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
