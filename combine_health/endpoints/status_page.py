"""Renders the page /status as HTML without scripts. The browser refreshes it if the reader chooses so."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

from pyramid.response import Response

from combine_health.endpoints.access import may_see_details
from combine_health.endpoints.details import read_sections, uptime
from combine_health.engine.check import CheckKind, Json, Status
from combine_health.engine.registry import HealthRegistry
from combine_health.engine.state import Change, Reading
from combine_health.engine.verdict import Circumstances, ServiceStatus, Verdict, judge
from combine_health.version import __version__

REFRESH = 10  # seconds
REFRESHING = "refresh"  # in the query
SHOWN_CHANGES = 15

STYLE = files("combine_health.endpoints").joinpath("status_page.css").read_text()
_HASH = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)

_SENTENCES = {
    ServiceStatus.HEALTHY: "Everything works.",
    ServiceStatus.DEGRADED: "The service works, but something that is not critical fails.",
    ServiceStatus.STARTING: "The service is starting: some checks have no result yet.",
    ServiceStatus.UNAVAILABLE: "Something critical fails.",
    ServiceStatus.MAINTENANCE: "An operator has taken the service out of rotation.",
    ServiceStatus.DRAINING: "The server finishes its requests and shuts down.",
}
_CLASSES = {  # of CSS
    "healthy": "good",
    "degraded": "fair",
    "starting": "still",
    "maintenance": "still",
    "draining": "still",
}


def respond(request: Any, health: HealthRegistry, readings: Sequence[Reading]) -> Response:
    """Return the page, with details for clients that may see them."""
    circumstances = health.circumstances()
    verdict = judge(readings, circumstances)
    full = may_see_details(request, health)
    parts = [_banner(verdict, circumstances, full=full), _checks(readings, full=full)]
    if full:
        sections = read_sections(health.sections, request.registry, health.redactor)
        changes = [
            *health.recent,
            *(c for reading in readings if reading.state for c in reading.state.recent),
        ]
        parts += [
            _server(circumstances),
            _history(changes),
            _facts("Contacts", sections.pop("contacts", None)),
            *(_facts(name.replace("_", " ").capitalize(), sections[name]) for name in sections),
        ]
    # request.GET would raise on a query that is not UTF-8.
    refreshing = REFRESHING in parse_qs(request.query_string, True, errors="replace")
    footer = _refreshing(health, on=refreshing) + _footer(health, full=full)
    body = _page(verdict, _back(request, health), "".join(parts), footer, refreshing=refreshing)
    return Response(body=body.encode(), status=200, headerlist=list(HEADERS))


def _page(verdict: Verdict, back: str, main: str, footer: str, *, refreshing: bool) -> str:
    # Off by default: slow readers and users of screen readers would lose their place.
    refresh = f'<meta http-equiv="refresh" content="{REFRESH}">' if refreshing else ""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(str(verdict.status))} - service status</title>"
        f"{refresh}"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{back}"
        f"<main><h1>Service status</h1>{main}</main><footer>{footer}</footer></body></html>\n"
    )


def _back(request: Any, health: HealthRegistry) -> str:
    home = health.settings.home
    if home is None:
        return ""
    if home.startswith("/"):
        home = request.script_name + home
    return f'<header class="head"><a href="{escape(home)}">Back to the service</a></header>'


def _refreshing(health: HealthRegistry, *, on: bool) -> str:
    time = f"As of {_time(health.clock.wall())}."
    if on:
        return f'<p class="quiet">{time} Refreshed every {REFRESH} s. <a href="?">Stop</a></p>'
    link = f'<a href="?{REFRESHING}">Refresh every {REFRESH} s</a>'
    return f'<p class="quiet">{time} {link}</p>'


def _banner(verdict: Verdict, circumstances: Circumstances, *, full: bool) -> str:
    parts = [f"<p>{_SENTENCES[verdict.status]}</p>"]
    order = circumstances.maintenance
    if full and order is not None:
        parts.append(
            f"<p>Reason: {escape(order.reason)}. By {escape(order.owner)},"
            f" until {_time(order.until)}.</p>"
        )
    elif full and verdict.status is not ServiceStatus.HEALTHY:
        parts.append(_cause(verdict.cause, verdict.detail))
    if full and verdict.remedy:
        parts.append(f"<p>What to do: {escape(verdict.remedy)}</p>")
    return (
        f'<div class="banner {_css_class(verdict.status)}" role="status">'
        f"<strong>{escape(str(verdict.status).capitalize())}</strong>{''.join(parts)}</div>"
    )


def _checks(readings: Sequence[Reading], *, full: bool) -> str:
    if not readings:
        return "<h2>Checks</h2><p>No checks are declared.</p>"
    worst_first = sorted(readings, key=lambda one: (one.passing, one.status is Status.HEALTHY))
    return "<h2>Checks</h2>" + "".join(_check(reading, full=full) for reading in worst_first)


def _check(reading: Reading, *, full: bool) -> str:
    head = (
        f'<header><span class="name">{escape(reading.check.name)}</span>'
        f'<span class="tag {_css_class(reading.status)}">{escape(str(reading.status))}</span>'
    )
    if not full:
        return f'<div class="card">{head}</header></div>'
    facts = [str(reading.check.kind)]
    if reading.check.kind is not CheckKind.INFO:
        facts.append("critical" if reading.check.critical else "not critical")
    if reading.age is not None:
        facts.append(f"checked {reading.age:.0f} s ago")
    if reading.duration is not None:
        facts.append(f"took {reading.duration * 1000:.1f} ms")
    facts.append(f"{reading.status} since {reading.since:%Y-%m-%d %H:%M:%S}")
    parts = [head, f'<span class="quiet">{escape(", ".join(facts))}</span></header>']
    if reading.status is not Status.HEALTHY:
        parts.append(_cause(reading.cause, reading.detail))
        link = _link(reading.check.runbook, "Runbook")
        if reading.remedy or link:
            parts.append(f'<p class="remedy">{escape(reading.remedy or "")} {link}</p>')
    elif reading.detail:
        parts.append(f"<p>{escape(reading.detail)}</p>")
    return f'<div class="card">{"".join(parts)}</div>'


def _server(circumstances: Circumstances) -> str:
    server = circumstances.saturation
    if server is None:
        return ""
    load = f"{server.busy} of {server.threads} worker threads busy, {server.queue} requests wait."
    return f'<h2>Server</h2><div class="card"><p>{load}</p></div>'


def _history(changes: Iterable[Change]) -> str:
    newest = sorted(changes, key=lambda change: change.at, reverse=True)[:SHOWN_CHANGES]
    if not newest:
        return ""
    rows = "".join(
        f"<tr><td>{_time(change.at)}</td><td>{escape(change.check or 'service')}</td>"
        f'<td>{escape(change.before)} to <span class="tag {_css_class(change.after)}">{escape(change.after)}'
        f"</span></td><td>{escape(change.cause or '')}</td></tr>"
        for change in newest
    )
    return (
        "<h2>History</h2><table><thead><tr><th>When</th><th>What</th>"
        f"<th>Change</th><th>Cause</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _facts(title: str, facts: Json) -> str:
    if facts is None:
        return ""
    pairs = facts.items() if isinstance(facts, dict) else [(title, facts)]
    rows = "".join(
        f'<tr><th scope="row">{escape(str(name).replace("_", " "))}</th><td>{escape(_text(value))}</td></tr>'
        for name, value in pairs
    )
    return f"<h2>{escape(title)}</h2><table><tbody>{rows}</tbody></table>"


def _footer(health: HealthRegistry, *, full: bool) -> str:
    text = "Only clients that may see details can read causes and remedies."
    if full:
        version = health.settings.version or __version__
        text = f"Version {escape(version)}, up for {uptime(health):.0f} s."
    return f'<p class="quiet">{text}</p>'


def _cause(cause: str | None, detail: str | None) -> str:
    sentence = ": ".join(text for text in (cause, detail) if text)
    return f"<p>{escape(sentence)}</p>" if sentence else ""


def _link(target: str | None, text: str) -> str:
    if not target:
        return ""
    if not target.startswith(("https://", "http://", "/")):
        return f"({escape(target)})"
    return f'<a href="{escape(target)}" rel="noreferrer">{text}</a>'


def _text(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "" if value is None else str(value)


def _time(moment: datetime) -> str:
    iso = moment.isoformat(timespec="seconds")
    return f'<time datetime="{iso}">{moment:%Y-%m-%d %H:%M:%S %Z}</time>'


def _css_class(status: str) -> str:
    return _CLASSES.get(status, "bad")
