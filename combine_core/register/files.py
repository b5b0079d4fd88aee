"""Exports the register as a table (CSV) and as calendar events (iCalendar, RFC 5545)."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterable

from combine_core.register.model import Item, ItemKind, Saying

_COLUMNS = ("Kind", "Text", "Owner", "Due", "Day", "State", "First said in", "Last said in", "Id")
# A spreadsheet program interprets cells that start with these characters as formulas.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_csv(items: Iterable[Item]) -> str:
    """Write a header and a row for each item. The byte order mark tells Excel that the file is UTF-8."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    for item in items:
        first, last = (_location(item.sayings[index : index + 1 or None]) for index in (0, -1))
        day = item.due_on.isoformat() if item.due_on else ""
        row = [item.kind, item.text, item.owner, item.due, day, item.state, first, last, item.id]
        writer.writerow([_escape_formula(str(value or "")) for value in row])
    return f"\ufeff{file.getvalue()}"


def _location(sayings: Iterable[Saying]) -> str:
    """Return the document and version of the first statement, such as ``Brief, version 2``."""
    for saying in sayings:
        if saying.version is None:
            return "a deleted document"
        return f"{saying.version.document.title}, version {saying.version.number}"
    return ""


def _escape_formula(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA_STARTS) else value


def write_icalendar(items: Iterable[Item], name: str) -> bytes:
    """Write an all-day event for each action with a due day.

    :param name: the name of the calendar
    """
    # Imported on first use, because the library loads all time zones.
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
