"""Template filters that format values."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from decimal import Decimal

from markupsafe import Markup

from combine_core.documents import (
    change_in_words,
    deleted_in_words,
    details_of,
    made_in_words,
    nothing_in_words,
    own_in_words,
    section_in_words,
    stale_in_words,
    support_in_words,
    text_of,
)
from combine_core.evidence import reason_in_words, repair_in_words
from combine_core.portability.provenance import past_in_words, provenance_in_words
from combine_core.runs import Call, CallState, CallSums

_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def moment(value: datetime) -> Markup:
    """Return a time as a ``<time>`` element, in UTC and to the minute."""
    utc = value.astimezone(UTC)
    shown = f"{utc.day} {utc:%b %Y, %H:%M}"
    return Markup('<time datetime="{}">{}&nbsp;UTC</time>').format(
        utc.isoformat(timespec="seconds"), shown
    )


def duration(seconds: float) -> str:
    """Return a duration in its two largest units, such as ``3 min 20 s``."""
    left = max(0, round(seconds))
    parts = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}\N{NO-BREAK SPACE}{unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "under 1\N{NO-BREAK SPACE}s"


def file_size(size: int) -> str:
    """Return a number of bytes, such as ``512 bytes``, ``3.4 kB`` or ``1.2 MB``."""
    if size < 1000:
        return f"{size}\N{NO-BREAK SPACE}{'byte' if size == 1 else 'bytes'}"
    if size < 1_000_000:
        return f"{size / 1000:.1f}\N{NO-BREAK SPACE}kB"
    return f"{size / 1_000_000:.1f}\N{NO-BREAK SPACE}MB"


def dollars(amount: Decimal) -> str:
    """Return an amount in US dollars with cents, and with more digits for an amount below one cent."""
    if amount == 0 or amount >= 1:
        return f"${amount:,.2f}"
    digits = max(2, 1 - amount.adjusted())
    return f"${amount:.{min(digits, 6)}f}"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun, such as ``1 line`` or ``2,000 lines``."""
    noun = singular if number == 1 else plural or f"{singular}s"
    return f"{number:,}\N{NO-BREAK SPACE}{noun}"


def line_range(first: int, last: int) -> str:
    """Return a range such as ``line 3``, or ``lines 3-7`` with an en dash."""
    if first == last:
        return f"line {first:,}"
    return f"lines {first:,}\N{EN DASH}{last:,}"


def milliseconds(value: int) -> str:
    """Return a time such as ``840 ms`` or ``1.2 s``, and a longer one like :func:`duration`."""
    if value < 1000:
        return f"{value}\N{NO-BREAK SPACE}ms"
    return f"{value / 1000:.1f}\N{NO-BREAK SPACE}s" if value < 60_000 else duration(value / 1000)


def tokens_in_words(usage: Call | CallSums) -> str:
    """Return text such as ``1,200 tokens in (1,000 of them cached), 56 out``, or "" without tokens."""
    if not usage.input_tokens and not usage.output_tokens:
        return ""
    cached = usage.cache_read_tokens or 0
    part = f" ({cached:,} of them cached)" if cached else ""
    return f"{count(usage.input_tokens or 0, 'token')} in{part}, {usage.output_tokens or 0:,} out"


def cost_of_call(call: Call) -> str:
    """Return the cost of a call. An unknown cost is never shown as zero."""
    if call.cost is not None:
        return dollars(call.cost) if call.used_llm else "no cost"
    # A call with tokens was answered, and so was charged. An error without tokens is a rejection.
    rejected = call.state == CallState.ERROR and call.output_tokens is None
    return "not charged" if rejected else "cost unknown"


def cost_in_words(sums: CallSums) -> str:
    """Return the total cost of calls. An unknown cost is never shown as zero."""
    unknown = [
        text
        for number, text in (
            (sums.unpriced_calls, f"{count(sums.unpriced_calls, 'call')} without a known price"),
            (sums.unanswered_calls, f"{count(sums.unanswered_calls, 'call')} without an answer"),
        )
        if number
    ]
    if sums.cost is None:
        return f"cost unknown: {', '.join(unknown)}"
    if unknown:
        return f"at least {dollars(sums.cost)}, {', '.join(unknown)}"
    return "nothing was charged" if sums.failed_calls == sums.calls else dollars(sums.cost)


def usage_in_words(sums: CallSums) -> str:
    """Return the number of calls and tokens: ``3 calls, 1 failed, 1,200 tokens in, 56 out``."""
    failed = f"{sums.failed_calls:,} failed" if sums.failed_calls else ""
    parts = (count(sums.calls, "call"), failed, tokens_in_words(sums))
    return ", ".join(part for part in parts if part)


def month_name(month: str) -> str:
    """Return ``November 2026`` for ``2026-11``."""
    year, number = month.split("-")
    return f"{calendar.month_name[int(number)]} {year}"


def capitalize_first(text: str) -> str:
    """Capitalize the first letter, and keep the case of the others."""
    return text[:1].upper() + text[1:]


FILTERS = {
    "change_in_words": change_in_words,
    "capitalize_first": capitalize_first,
    "cost_in_words": cost_in_words,
    "cost_of_call": cost_of_call,
    "count": count,
    "deleted_in_words": deleted_in_words,
    "details_of": details_of,
    "made_in_words": made_in_words,
    "nothing_in_words": nothing_in_words,
    "past_in_words": past_in_words,
    "provenance_in_words": provenance_in_words,
    "own_in_words": own_in_words,
    "section_in_words": section_in_words,
    "stale_in_words": stale_in_words,
    "support_in_words": support_in_words,
    "text_of": text_of,
    "reason_in_words": reason_in_words,
    "repair_in_words": repair_in_words,
    "dollars": dollars,
    "duration": duration,
    "file_size": file_size,
    "milliseconds": milliseconds,
    "moment": moment,
    "month_name": month_name,
    "tokens_in_words": tokens_in_words,
    "usage_in_words": usage_in_words,
}
