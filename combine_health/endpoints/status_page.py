"""The page for people at /status: plain HTML, no script, refreshed by the browser itself."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any

from pyramid.response import Response

from combine_health.endpoints.access import may_see_details
from combine_health.endpoints.details import read_sections, uptime
from combine_health.engine.check import Kind
from combine_health.engine.history import Change
from combine_health.engine.registry import HealthRegistry
from combine_health.engine.result import Json, Status
from combine_health.engine.state import Reading
from combine_health.engine.verdict import Circumstances, Service, Verdict, judge
from combine_health.version import __version__

REFRESH = 10  # seconds
SHOWN = 15  # transitions

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #57606a; --paper: #f6f7f9; --card: #fff;
  --line: #d5dae0; --good: #116b32; --good-bg: #dff3e4; --fair: #7a4b00; --fair-bg: #fdf0cf;
  --bad: #a3151f; --bad-bg: #fde3e3; --still: #3d4a57; --still-bg: #e6eaef; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --quiet: #9ba6b2; --paper: #12151a;
  --card: #1b2027; --line: #323a44; --good: #7fdc9b; --good-bg: #123421; --fair: #f2c45c;
  --fair-bg: #3b2c08; --bad: #ff9c9c; --bad-bg: #431a1d; --still: #b6c1cc; --still-bg: #2a313a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.05rem; font-weight: 600; margin: 0 0 .75rem; color: var(--quiet); }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p { margin: .25rem 0; overflow-wrap: anywhere; }
.banner { padding: 1rem 1.2rem; border-radius: .6rem; border: 1px solid var(--line); }
.banner strong { font-size: 1.5rem; display: block; }
.good { color: var(--good); background: var(--good-bg); }
.fair { color: var(--fair); background: var(--fair-bg); }
.bad { color: var(--bad); background: var(--bad-bg); }
.still { color: var(--still); background: var(--still-bg); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .7rem 1rem; margin: .5rem 0; }
.card header { display: flex; flex-wrap: wrap; gap: .3rem .7rem; align-items: baseline; }
.name { font-weight: 600; overflow-wrap: anywhere; }
.tag { border-radius: 1rem; padding: .05rem .65rem; font-size: .875rem; font-weight: 600;
  white-space: nowrap; }
.quiet { color: var(--quiet); font-size: .875rem; }
.remedy { border-left: .25rem solid var(--line); padding-left: .7rem; margin-top: .4rem; }
table { border-collapse: collapse; width: 100%; background: var(--card);
  border: 1px solid var(--line); border-radius: .6rem; }
th, td { text-align: left; padding: .4rem .8rem; border-top: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
thead th { border-top: 0; color: var(--quiet); font-size: .875rem; }
tbody th { width: 14rem; font-weight: 600; }
a { color: inherit; }
footer { margin-top: 2rem; }
@media (max-width: 40rem) { thead { display: none; } tr { display: block; padding: .35rem .5rem;
  border-top: 1px solid var(--line); } th, td, tbody th { display: inline-block; width: auto;
  border: 0; padding: .1rem .4rem; } }
"""
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
    Service.HEALTHY: "Everything works.",
    Service.DEGRADED: "It works, with less than it should have.",
    Service.STARTING: "It is starting; not everything has been looked at yet.",
    Service.UNAVAILABLE: "Something that it cannot do without fails.",
    Service.MAINTENANCE: "It is out of rotation on purpose.",
    Service.DRAINING: "It finishes its requests and ends.",
}
_SHADES = {
    "healthy": "good",
    "degraded": "fair",
    "starting": "still",
    "maintenance": "still",
    "draining": "still",
}


def respond(request: Any, health: HealthRegistry, readings: Sequence[Reading]) -> Response:
    """The page, with details for those who may see them."""
    circumstances = health.circumstances()
    verdict = judge(readings, circumstances)
    full = may_see_details(request, health)
    parts = [_banner(verdict, circumstances, full=full), _checks(readings, full=full)]
    if full:
        sections = read_sections(health.sections, request.registry, health.redactor)
        changes = [*health.recent, *(c for one in readings if one.state for c in one.state.recent)]
        parts += [
            _server(circumstances),
            _history(changes),
            _facts("Contacts", sections.pop("contacts", None)),
            *(_facts(name.replace("_", " ").capitalize(), sections[name]) for name in sections),
        ]
    body = _page(verdict, "".join(parts), _footer(health, full=full))
    return Response(body=body.encode(), status=200, headerlist=list(HEADERS))


def _page(verdict: Verdict, main: str, footer: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(str(verdict.status))} - service status</title>"
        f'<meta http-equiv="refresh" content="{REFRESH}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>Service status</h1>"
        f"<main>{main}</main><footer>{footer}</footer></body></html>\n"
    )


def _banner(verdict: Verdict, circumstances: Circumstances, *, full: bool) -> str:
    said = [f"<p>{_SENTENCES[verdict.status]}</p>"]
    order = circumstances.maintenance
    if full and order is not None:
        said.append(
            f"<p>Reason: {escape(order.reason)}. By {escape(order.owner)},"
            f" until {_time(order.until)}.</p>"
        )
    elif full and verdict.status is not Service.HEALTHY:
        said.append(_cause(verdict.cause, verdict.detail))
    if full and verdict.remedy:
        said.append(f"<p>What to do: {escape(verdict.remedy)}</p>")
    return (
        f'<div class="banner {_shade(verdict.status)}" role="status">'
        f"<strong>{escape(str(verdict.status).capitalize())}</strong>{''.join(said)}</div>"
    )


def _checks(readings: Sequence[Reading], *, full: bool) -> str:
    if not readings:
        return "<h2>Checks</h2><p>No checks are declared.</p>"
    worst_first = sorted(readings, key=lambda one: (one.passing, one.status is Status.HEALTHY))
    return "<h2>Checks</h2>" + "".join(_check(one, full=full) for one in worst_first)


def _check(one: Reading, *, full: bool) -> str:
    head = (
        f'<header><span class="name">{escape(one.check.name)}</span>'
        f'<span class="tag {_shade(one.status)}">{escape(str(one.status))}</span>'
    )
    if not full:
        return f'<div class="card">{head}</header></div>'
    facts = [str(one.check.kind)]
    if one.check.kind is not Kind.INFO:
        facts.append("critical" if one.check.critical else "not critical")
    if one.age is not None:
        facts.append(f"looked at {one.age:.0f} s ago")
    if one.duration is not None:
        facts.append(f"took {one.duration * 1000:.1f} ms")
    facts.append(f"{one.status} since {one.since:%Y-%m-%d %H:%M:%S}")
    parts = [head, f'<span class="quiet">{escape(", ".join(facts))}</span></header>']
    if one.status is not Status.HEALTHY:
        parts.append(_cause(one.cause, one.detail))
        link = _link(one.check.runbook, "Runbook")
        if one.remedy or link:
            parts.append(f'<p class="remedy">{escape(one.remedy or "")} {link}</p>')
    elif one.detail:
        parts.append(f"<p>{escape(one.detail)}</p>")
    return f'<div class="card">{"".join(parts)}</div>'


def _server(circumstances: Circumstances) -> str:
    server = circumstances.saturation
    if server is None:
        return ""
    said = f"{server.busy} of {server.threads} worker threads busy, {server.queue} requests wait."
    return f'<h2>Server</h2><div class="card"><p>{said}</p></div>'


def _history(changes: Iterable[Change]) -> str:
    newest = sorted(changes, key=lambda change: change.at, reverse=True)[:SHOWN]
    if not newest:
        return ""
    rows = "".join(
        f"<tr><td>{_time(one.at)}</td><td>{escape(one.check or 'service')}</td>"
        f'<td>{escape(one.before)} to <span class="tag {_shade(one.after)}">{escape(one.after)}'
        f"</span></td><td>{escape(one.cause or '')}</td></tr>"
        for one in newest
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
        f'<tr><th scope="row">{escape(str(name).replace("_", " "))}</th><td>{escape(_said(value))}</td></tr>'
        for name, value in pairs
    )
    return f"<h2>{escape(title)}</h2><table><tbody>{rows}</tbody></table>"


def _footer(health: HealthRegistry, *, full: bool) -> str:
    said = [f"As of {_time(health.clock.wall())}; refreshed every {REFRESH} s."]
    if full:
        version = health.settings.version or __version__
        said.append(f"Version {escape(version)}, up for {uptime(health):.0f} s.")
    else:
        said.append("Causes and remedies are shown to those who may see details.")
    return "".join(f'<p class="quiet">{text}</p>' for text in said)


def _cause(cause: str | None, detail: str | None) -> str:
    said = ": ".join(text for text in (cause, detail) if text)
    return f"<p>{escape(said)}</p>" if said else ""


def _link(target: str | None, text: str) -> str:
    if not target:
        return ""
    if not target.startswith(("https://", "http://", "/")):
        return f"({escape(target)})"
    return f'<a href="{escape(target)}" rel="noreferrer">{text}</a>'


def _said(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return "" if value is None else str(value)


def _time(moment: datetime) -> str:
    iso = moment.isoformat(timespec="seconds")
    return f'<time datetime="{iso}">{moment:%Y-%m-%d %H:%M:%S %Z}</time>'


def _shade(status: str) -> str:
    return _SHADES.get(status, "bad")
