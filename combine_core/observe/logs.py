"""Formats log lines as text or JSON, adds the request, and masks secrets.

The ini file configures loggers and handlers. :func:`configure_logging` then sets the levels and the format of
console lines.
"""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pythonjsonlogger.json import JsonFormatter as LibraryJsonFormatter

from combine_core.observe.context import current_work
from combine_core.settings.core import CoreSettings, LogFormat
from combine_core.settings.redaction import REDACTOR

OURS = "combine"
# The fields of a JSON line in this order. The duration is in milliseconds.
_FIELDS = {
    "created": "timestamp",
    "levelname": "level",
    "name": "logger",
    "message": "message",
    "request_id": "request_id",
    "user": "user",
    "route": "route",
    "status": "status",
    "duration": "duration",
}
_TEXT = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s] %(message)s"
# Control characters, with which a text could move the cursor or clear the terminal.
_VISIBLE = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}


class RequestFilter(logging.Filter):
    """A filter for handlers that adds the current request to each record and passes every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add request_id, user and route, unless the record has them."""
        work = current_work()
        for name, value in (
            ("request_id", work and work.request_id),
            ("user", work and work.user),
            ("route", work and work.route),
        ):
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class TextFormatter(logging.Formatter):
    """A formatter of lines for people: time (UTC), level, logger, request id, message."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        validate: bool = True,
        *,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        known = {"request_id": "-", "user": "-", "route": "-", **(defaults or {})}
        super().__init__(fmt or _TEXT, datefmt, style, validate, defaults=known)

    def format(self, record: logging.LogRecord) -> str:
        """Format a record. Further lines, as of a traceback, are indented, so that they cannot forge one."""
        shown = logging.makeLogRecord(record.__dict__)
        for name in ("request_id", "user", "route"):
            if getattr(shown, name, "") is None:
                delattr(shown, name)
        text = REDACTOR.text(super().format(shown))
        return text.translate(_VISIBLE).replace("\n", "\n    ")


class JsonFormatter(LibraryJsonFormatter):
    """A formatter that writes one JSON object per line."""

    def __init__(self) -> None:
        super().__init__(list(_FIELDS), rename_fields=_FIELDS)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        created = log_data["timestamp"]
        log_data["timestamp"] = (
            time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))
            + f".{int(created % 1 * 1000):03d}Z"
        )
        return {key: REDACTOR.value(value) for key, value in log_data.items()}


class Redacting(logging.Formatter):
    """A formatter that masks secrets in the output of another formatter."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return REDACTOR.text(self._inner.format(record))


def configure_logging(settings: CoreSettings, secrets: Iterable[str] = ()) -> None:
    """Apply LOG_LEVEL and LOG_FORMAT in addition to the logging of the ini file.

    Console handlers get the formatters of this module; other handlers keep theirs. All handlers add the
    request and mask secrets. Call this again after other code has set up logging.

    :param secrets: values to mask (``LoadedSettings.secrets()``)
    """
    REDACTOR.add(secrets)
    REDACTOR.add(settings.secrets())
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stderr))
    for handler in _handlers():
        _prepare(handler, settings.log_format)
    # Without LOG_LEVEL, the levels of the ini file apply.
    if "log_level" in settings.model_fields_set:
        _set_level(settings.log_level.upper())
    for logger in _loggers():
        # By default, fileConfig() disables the loggers that existed before it.
        if logger.name.startswith(OURS):
            logger.disabled = False


def _prepare(handler: logging.Handler, log_format: LogFormat) -> None:
    if not any(isinstance(one, RequestFilter) for one in handler.filters):
        handler.addFilter(RequestFilter())
    # Not for subclasses, which write to files or collect records for tests.
    if type(handler) is logging.StreamHandler:
        handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
    elif not isinstance(handler.formatter, Redacting | TextFormatter | JsonFormatter):
        handler.setFormatter(Redacting(handler.formatter or logging.Formatter()))


def _set_level(level: str) -> None:
    root = logging.getLogger()
    root.setLevel(level)
    for logger in _loggers():
        # The ini file can make a library less verbose than LOG_LEVEL, but not more verbose.
        if logger.name.startswith(OURS):
            logger.setLevel(logging.NOTSET)
        elif logger.level != logging.NOTSET:
            logger.setLevel(max(logger.level, root.level))


def _handlers() -> Iterator[logging.Handler]:
    yield from logging.getLogger().handlers
    for logger in _loggers():
        yield from logger.handlers


def _loggers() -> list[logging.Logger]:
    known = logging.getLogger().manager.loggerDict.values()
    return [logger for logger in known if isinstance(logger, logging.Logger)]
