"""The register as a table (CSV) and as dates for calendars (iCalendar, RFC 5545)."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterable

from combine_core.register.model import Item, ItemKind, Saying

_COLUMNS = ("Kind", "Text", "Owner", "Due", "Day", "State", "First said in", "Last said in", "Id")
# What a spreadsheet program would take for a formula begins with these.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(items: Iterable[Item]) -> str:
    """A row for each item, with a head. The byte order mark tells Excel that it is UTF-8."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    for item in items:
        first, last = (_place(item.sayings[at : at + 1 or None]) for at in (0, -1))
        day = item.due_on.isoformat() if item.due_on else ""
        row = [item.kind, item.text, item.owner, item.due, day, item.state, first, last, item.id]
        writer.writerow([_harmless(str(value or "")) for value in row])
    return f"\ufeff{file.getvalue()}"


def _place(sayings: Iterable[Saying]) -> str:
    """Where a statement stands, such as ``Brief, version 2``."""
    for saying in sayings:
        if saying.version is None:
            return "a deleted document"
        return f"{saying.version.document.title}, version {saying.version.number}"
    return ""


def _harmless(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def write_icalendar(items: Iterable[Item], name: str) -> bytes:
    """A whole-day event for each action with a day.

    :param name: of the calendar
    """
    # Loaded when it is needed: it brings the time zones of the world.
    from icalendar import Calendar, Event

    calendar = Calendar()
    calendar.add("prodid", "-//Combine//register//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", name)
    for item in items:
        if item.kind != ItemKind.ACTION or item.due_on is None:
            continue
        event = Event()
        event.add("uid", f"{item.id}@combine")
        event.add("dtstamp", item.created_at)
        event.add("dtstart", item.due_on)
        event.add("dtend", item.due_on + datetime.timedelta(days=1))
        event.add("summary", f"{item.owner}: {item.text}" if item.owner else item.text)
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    return bytes(calendar.to_ical())
