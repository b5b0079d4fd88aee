"""Formats values for people, as filters of the templates."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from markupsafe import Markup

from combine_core.documents import details_of, nothing_in_words, support_in_words, text_of
from combine_core.evidence import reason_in_words, repair_in_words

_STEPS = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def moment(value: datetime) -> Markup:
    """A time as a ``<time>`` element, in UTC, to the minute."""
    utc = value.astimezone(UTC)
    shown = f"{utc.day} {utc:%b %Y, %H:%M}"
    return Markup('<time datetime="{}">{}&nbsp;UTC</time>').format(
        utc.isoformat(timespec="seconds"), shown
    )


def duration(seconds: float) -> str:
    """A duration in its two largest units, such as ``3 min 20 s``."""
    left = max(0, round(seconds))
    parts = []
    for unit, size in _STEPS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}\N{NO-BREAK SPACE}{unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "under 1\N{NO-BREAK SPACE}s"


def file_size(size: int) -> str:
    """A number of bytes, such as ``512 bytes``, ``3.4 kB`` or ``1.2 MB``."""
    if size < 1000:
        return f"{size}\N{NO-BREAK SPACE}{'byte' if size == 1 else 'bytes'}"
    if size < 1_000_000:
        return f"{size / 1000:.1f}\N{NO-BREAK SPACE}kB"
    return f"{size / 1_000_000:.1f}\N{NO-BREAK SPACE}MB"


def dollars(amount: Decimal) -> str:
    """US dollars, with cents. A small amount gets as many digits as it needs to show."""
    if amount == 0 or amount >= 1:
        return f"${amount:,.2f}"
    digits = max(2, 1 - amount.adjusted())
    return f"${amount:.{min(digits, 6)}f}"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun, such as ``1 line`` or ``2,000 lines``."""
    noun = singular if number == 1 else plural or f"{singular}s"
    return f"{number:,}\N{NO-BREAK SPACE}{noun}"


def line_range(first: int, last: int) -> str:
    """``line 3``, or ``lines 3-7`` with an en dash."""
    if first == last:
        return f"line {first:,}"
    return f"lines {first:,}\N{EN DASH}{last:,}"


FILTERS = {
    "count": count,
    "details_of": details_of,
    "nothing_in_words": nothing_in_words,
    "support_in_words": support_in_words,
    "text_of": text_of,
    "reason_in_words": reason_in_words,
    "repair_in_words": repair_in_words,
    "dollars": dollars,
    "duration": duration,
    "file_size": file_size,
    "moment": moment,
}
