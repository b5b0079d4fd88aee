"""The command ``combine audit``, which lists audit events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click
from sqlalchemy.orm import Session

from combine_auth.audit import Action, AuditEvent
from combine_auth.audit.service import AuditFilter, list_events, public_details, show_event
from combine_auth.cli.console import OpenService, printable, show_table
from combine_core.settings.config_option import config_option

DEFAULT_LIMIT = 50
MAX_LIMIT = 10_000
_PAGE = 200
_AGO = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _parse_time(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """Parse a time: an age (90m, 24h, 7d), or ISO 8601, in UTC if it has no zone."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value)
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"{value!r} is not a time. Write 90m, 24h, 7d, 2026-11-23 or 2026-11-23T14:00Z."
        raise click.BadParameter(message) from error


@click.command()
@config_option
@click.option(
    "--user",
    "email",
    callback=printable,
    metavar="EMAIL",
    help="Only events by or about this user.",
)
@click.option(
    "--action",
    type=click.Choice([action.value for action in Action]),
    help="Only events of this kind.",
)
@click.option(
    "--outcome",
    callback=printable,
    help="Only events with this outcome: ok, or the code of a refusal.",
)
@click.option(
    "--since", callback=_parse_time, metavar="TIME", help="The earliest time: 24h, 7d, 2026-11-23."
)
@click.option("--until", callback=_parse_time, metavar="TIME", help="Only events before this time.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="The maximum number of events.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_obj
def audit(
    open_service: OpenService,
    ini: str,
    email: str | None,
    action: str | None,
    outcome: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List audit events, newest first."""
    audit_filter = AuditFilter(email, action, outcome, since, until)
    with open_service(ini) as service, service.sessions() as session:
        events = list(_events(session, audit_filter, limit))
    if as_json:
        for event in events:
            click.echo(json.dumps(show_event(event), ensure_ascii=False))
        return
    head = ("TIME", "ACTION", "OUTCOME", "ACTOR", "TARGET", "ADDRESS", "REQUEST", "DETAILS")
    show_table(head, (_row(event) for event in events))
    if len(events) == limit:
        click.echo(f"There may be more events: --limit is {limit}.", err=True)


def _events(session: Session, audit_filter: AuditFilter, limit: int) -> Iterator[AuditEvent]:
    cursor = None
    while limit > 0:
        page = list_events(session, audit_filter, cursor=cursor, limit=min(limit, _PAGE))
        yield from page.items
        limit -= len(page.items)
        cursor = page.next
        if cursor is None:
            return


def _row(event: AuditEvent) -> tuple[str, ...]:
    details = " ".join(
        f"{name}={_format_value(value)}" for name, value in public_details(event).items()
    )
    return (
        f"{event.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z",
        event.action,
        event.outcome,
        event.actor or "-",
        event.target or "-",
        event.ip or "-",
        event.request_id or "-",
        details,
    )


def _format_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
