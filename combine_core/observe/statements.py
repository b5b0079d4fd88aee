"""SQL that says where it comes from, and is heard of when it is slow, times out or repeats itself.

Each statement begins with a comment, ``/* route=api.v1.runs request_id=0123abcd */``, which
``pg_stat_activity`` shows. Outside of requests it names the process. Parameters are never logged.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event

from combine_core.observe.context import Work, current_work

log = logging.getLogger(__name__)

# As often as this in one request, the same statement is probably sent once for each row of another.
N_PLUS_ONE = 10
LONGEST_STATEMENT = 500

# The codes with which PostgreSQL ends what takes too long (its manual, appendix A).
_TIMEOUTS = {
    "57014": "statement timeout (or cancelled by an operator)",
    "55P03": "lock timeout (another transaction holds the row or table)",
    "25P04": "transaction timeout",
}

_STARTED = "_combine_started"
_END = " */ "
# Neither ends a comment nor means anything to the driver, for which % begins a parameter.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_NAME = 80


def watch_statements(engine: Engine, *, process: str, slow_ms: int) -> None:
    """Mark the statements of `engine` with what sends them, and log what is wrong with them.

    :param process: what kind of process this is: names statements outside of requests
    :param slow_ms: statements that take as many milliseconds are logged as slow
    """
    outside = f"/* {_UNSAFE.sub(' ', process)[:_LONGEST_NAME]}{_END}"
    slow_seconds = slow_ms / 1000

    def before(
        _connection: Connection,
        _cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        _many: bool,
    ) -> tuple[str, Any]:
        work = current_work()
        if work is None:
            comment = outside
        else:
            comment = work.comment or comment_of(work)
            # Rows that are inserted in several batches are one statement all the same.
            if getattr(context, _STARTED, None) is None:
                work.statements[statement] += 1
        setattr(context, _STARTED, time.perf_counter())
        return comment + statement, parameters

    def after(
        _connection: Connection,
        _cursor: Any,
        statement: str,
        _parameters: Any,
        context: Any,
        _many: bool,
    ) -> None:
        seconds = _take_time(context)
        if seconds >= slow_seconds:
            _warn("slow query", statement, seconds)

    def failed(failure: ExceptionContext) -> None:
        code = getattr(failure.original_exception, "pgcode", None)
        kind = _TIMEOUTS.get(code) if code is not None else None
        seconds = _take_time(failure.execution_context)
        if kind is not None:
            _warn(f"{kind}, {code},", failure.statement or "(end of the transaction)", seconds)

    event.listen(engine, "before_cursor_execute", before, retval=True)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", failed)


def comment_of(work: Work) -> str:
    """The comment for statements of this work; whatever its names hold, it ends where it should."""
    if work.comment is None:
        comment = f"/* route={_name(work.route)} request_id={_name(work.request_id)}{_END}"
        if work.route is None:  # none has matched so far
            return comment
        work.comment = comment
    return work.comment


def warn_of_repetition(work: Work) -> None:
    """Log the statement that the request sent most often, if that was suspiciously often."""
    if not work.statements:
        return
    statement, count = work.statements.most_common(1)[0]
    if count >= N_PLUS_ONE:
        log.warning(
            "possible N+1 in route %s: sent %d times: %s",
            work.route or "-",
            count,
            _shown(statement),
            extra={"count": count, "statement": _shown(statement)},
        )


def _name(text: str | None) -> str:
    return "-" if text is None else _UNSAFE.sub("_", text[:_LONGEST_NAME])


def _take_time(context: Any) -> float:
    started: float | None = getattr(context, _STARTED, None)
    if started is None:
        return 0.0
    seconds = time.perf_counter() - started
    work = current_work()
    if work is not None:
        work.database_seconds += seconds
    return seconds


def _warn(what: str, statement: str, seconds: float) -> None:
    work = current_work()
    duration = round(seconds * 1000, 1)
    shown = _shown(statement)
    log.warning(
        "%s in route %s after %.0f ms: %s",
        what,
        (work and work.route) or "-",
        duration,
        shown,
        extra={"duration": duration, "statement": shown},
    )


def _shown(statement: str) -> str:
    """In one line, without our comment, and no longer than a line should be."""
    if statement.startswith("/* "):
        statement = statement.partition(_END)[2]
    line = " ".join(statement.split())
    return line if len(line) <= LONGEST_STATEMENT else f"{line[:LONGEST_STATEMENT]}..."
