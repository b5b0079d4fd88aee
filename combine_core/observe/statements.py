"""Adds the origin to each SQL statement, and logs statements that are slow, time out or repeat.

Each statement begins with a comment, ``/* route=api.v1.runs request_id=0123abcd */``, which
``pg_stat_activity`` shows. Outside of requests it names the process. Parameters are never logged.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from time import perf_counter
from typing import Any

from sqlalchemy import Engine, ExceptionContext, event

from combine_core.observe.context import Work, current_work

log = logging.getLogger(__name__)

# A request that sends a statement this often probably sends it once for each row of another statement.
N_PLUS_ONE = 10
LONGEST_STATEMENT = 500

# The SQLSTATEs of PostgreSQL's timeouts (PostgreSQL manual, appendix A).
_TIMEOUTS = {
    "57014": "statement timeout (or cancelled by an operator)",
    "55P03": "lock timeout (another transaction holds the row or table)",
    "25P04": "transaction timeout",
}

_COUNTED = "_combine_counted"
_END = " */ "
# Replaced in names: a name must not end the comment, and the driver treats % as the start of a parameter.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_NAME = 80
# The execution option of a COPY statement that contains the file with its rows.
COPIED = "combine_copied"


def watch_statements(engine: Engine, *, process: str, slow_ms: int) -> None:
    """Add the origin to the statements of `engine`, and log slow statements and timeouts.

    This uses the hooks of the dialect, which send the statement themselves. The hooks of the engine around
    each statement cost several times as much, and prepare arguments that are not needed here.

    :param process: the kind of process, which is the origin of statements outside of requests
    :param slow_ms: the duration from which a statement is logged as slow
    """
    process_comment = f"/* {_UNSAFE.sub(' ', process)[:_LONGEST_NAME]}{_END}"
    slow_seconds = slow_ms / 1000

    connected = False

    def watched(send: Callable[..., Any], statement: str, context: Any, *parameters: Any) -> bool:
        if not connected:
            return False
        work = current_work()
        if work is None:
            comment = process_comment
        else:
            comment = work.comment or comment_of(work)
            # An insert in several batches counts as one statement.
            if not hasattr(context, _COUNTED):
                work.statements[statement] += 1
                setattr(context, _COUNTED, True)
        fault: Exception | None = None
        started = perf_counter()
        try:
            send(comment + statement, *parameters)
        except Exception as error:
            fault = error
            raise
        finally:
            seconds = perf_counter() - started
            if work is not None:
                work.database_seconds += seconds
            if fault is not None:
                _warn_of_timeout(fault, statement, seconds)
            elif seconds >= slow_seconds:
                _warn("slow query", statement, seconds)
        return True  # the statement has been sent

    def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        copied = context.execution_options.get(COPIED)
        if copied is not None:
            return watched(cursor.copy_expert, statement, context, copied)
        return watched(cursor.execute, statement, context, parameters)

    def execute_bare(cursor: Any, statement: str, context: Any) -> bool:
        return watched(cursor.execute, statement, context)

    def execute_many(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        return watched(cursor.executemany, statement, context, parameters)

    def on_connect(*_arguments: Any) -> None:
        # Before this, SQLAlchemy inspects the server with statements of its own.
        nonlocal connected
        connected = True

    def failed(failure: ExceptionContext) -> None:
        if failure.statement is None:
            _warn_of_timeout(failure.original_exception, "(end of the transaction)", 0.0)

    event.listen(engine, "connect", on_connect, once=True)
    event.listen(engine, "do_execute", execute)
    event.listen(engine, "do_execute_no_params", execute_bare)
    event.listen(engine, "do_executemany", execute_many)
    event.listen(engine, "handle_error", failed)


def comment_of(work: Work) -> str:
    """Return the comment for the statements of this work. No name in it can end the comment."""
    if work.comment is None:
        comment = f"/* route={_name(work.route)} request_id={_name(work.request_id)}{_END}"
        if work.route is None:  # no route has matched yet
            return comment
        work.comment = comment
    return work.comment


def warn_of_repetition(work: Work) -> None:
    """Log the most frequent statement of a request if the request sent it `N_PLUS_ONE` times or more."""
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


def _warn_of_timeout(error: BaseException, statement: str, seconds: float) -> None:
    code = getattr(error, "pgcode", None)
    kind = _TIMEOUTS.get(code) if code is not None else None
    if kind is not None:
        _warn(f"{kind}, {code},", statement, seconds)


def _warn(event_: str, statement: str, seconds: float) -> None:
    work = current_work()
    duration = round(seconds * 1000, 1)
    shown = _shown(statement)
    log.warning(
        "%s in route %s after %.0f ms: %s",
        event_,
        (work and work.route) or "-",
        duration,
        shown,
        extra={"duration": duration, "statement": shown},
    )


def _shown(statement: str) -> str:
    """Join the lines of a statement, and truncate it."""
    line = " ".join(statement.split())
    return line if len(line) <= LONGEST_STATEMENT else f"{line[:LONGEST_STATEMENT]}..."
