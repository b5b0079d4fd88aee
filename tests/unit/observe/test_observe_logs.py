"""Tests log lines, and the changes of configure_logging to handlers and levels."""

import io
import json
import logging
import sys
from datetime import datetime

import pytest
from pyramid.request import Request

from combine_core.observe import JsonFormatter, TextFormatter, configure_logging
from combine_core.observe.context import USER_KEY, working_on
from combine_core.observe.logs import Redacting, RequestFilter
from combine_core.settings import CoreSettings

SECRET = "sk-ant-canary-1234567890"


@pytest.fixture
def root(monkeypatch):
    """The logging configuration of the process without the handlers of pytest. It is restored afterwards."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    levels = {
        logger: (logger.level, logger.disabled, list(logger.handlers))
        for logger in root.manager.loggerDict.values()
        if isinstance(logger, logging.Logger)
    }
    level = root.level
    yield root
    root.setLevel(level)
    for logger, (before, disabled, handlers) in levels.items():
        logger.setLevel(before)
        logger.disabled = disabled
        logger.handlers = handlers


def console(root) -> io.StringIO:
    stream = io.StringIO()
    # This also replaces the handlers that pytest adds during a test.
    root.handlers[:] = [logging.StreamHandler(stream)]
    return stream


def request_with_id(known_as="abcd-1234"):
    request = Request.blank("/api/v1/me?secret=1", headers={"X-Request-ID": known_as})
    request.environ[USER_KEY] = "jane@example.com"
    request.matched_route = type("Route", (), {"name": "me"})()
    return request


def core(**values) -> CoreSettings:
    return CoreSettings(**values)


def test_a_text_line(root):
    stream = console(root)
    configure_logging(core())
    with working_on(request_with_id()):
        logging.getLogger("combine_core.x").warning("it is %s", "late")
    logging.getLogger("combine_core.x").warning("outside")
    first, second = stream.getvalue().splitlines()
    time, rest = first.split(" ", 1)
    assert rest == "WARNING combine_core.x [abcd-1234] it is late"
    assert datetime.fromisoformat(time).utcoffset().total_seconds() == 0
    assert second.endswith("WARNING combine_core.x [-] outside")


def test_a_json_line(root):
    stream = console(root)
    configure_logging(core(log_format="json"))
    with working_on(request_with_id()):
        logging.getLogger("combine_core.x").warning(
            "it is %s", "late", extra={"status": 200, "duration": 1.5, "model": "extract"}
        )
    logging.getLogger("combine_core.x").warning("outside")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert datetime.fromisoformat(first.pop("timestamp")).utcoffset().total_seconds() == 0
    assert first == {
        "level": "WARNING",
        "logger": "combine_core.x",
        "message": "it is late",
        "request_id": "abcd-1234",
        "user": "jane@example.com",
        "route": "me",
        "status": 200,
        "duration": 1.5,
        "model": "extract",
    }
    assert list(second) == [
        *("timestamp", "level", "logger", "message"),
        *("request_id", "user", "route", "status", "duration"),
    ]
    assert second["request_id"] is None
    assert second["status"] is None


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_secrets_are_masked_in_message_argument_extra_and_traceback(root, log_format):
    stream = console(root)
    configure_logging(core(log_format=log_format, anthropic_api_key=SECRET), ["other-secret-77"])
    log = logging.getLogger("combine_core.x")
    log.warning("%s postgresql://u:canary@db/x", SECRET, extra={"held": {"key": SECRET}})
    log.warning("other-secret-77")
    try:
        raise ValueError(f"bad key {SECRET}")
    except ValueError:
        log.exception("failed with %s", SECRET, stack_info=True)
    said = stream.getvalue()
    assert "ValueError: bad key ***" in said
    assert "canary" not in said
    assert "other-secret-77" not in said


def test_lines_cannot_be_forged(root):
    stream = console(root)
    configure_logging(core())
    try:
        raise ValueError("x\n2026-11-23T00:00:00.000Z INFO    root [-] all is well")
    except ValueError:
        logging.getLogger("combine_core.x").exception("a\nb\rc\x1b[2Jd\x9be")
    first, *others = stream.getvalue().splitlines()
    assert first.endswith(" a")
    assert others[0] == "    b\\x0dc\\x1b[2Jd\\x9be"
    assert all(line.startswith("    ") for line in others)


def test_json_stays_one_line(root):
    stream = console(root)
    configure_logging(core(log_format="json"))
    logging.getLogger("combine_core.x").warning("a\nb\u2028c")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "a\nb\u2028c"


def test_levels_of_the_ini_file_apply_without_log_level(root):
    console(root)
    root.setLevel(logging.ERROR)
    configure_logging(core())
    assert root.level == logging.ERROR


def test_log_level_wins_over_the_ini_file(root):
    console(root)
    root.setLevel(logging.ERROR)
    ours, quiet, loud = (
        logging.getLogger(name)
        for name in ("combine_core.levels", "observe_test.quiet", "observe_test.loud")
    )
    ours.setLevel(logging.ERROR)
    quiet.setLevel(logging.WARNING)
    loud.setLevel(logging.DEBUG)
    configure_logging(core(log_level="info"))
    assert ours.getEffectiveLevel() == logging.INFO
    assert quiet.getEffectiveLevel() == logging.WARNING
    assert loud.getEffectiveLevel() == logging.INFO
    assert logging.getLogger("observe_test.new").getEffectiveLevel() == logging.INFO


def test_our_loggers_are_enabled_again(root):
    ours = logging.getLogger("combine_core.switched_off")
    ours.disabled = True
    stream = console(root)
    configure_logging(core())
    ours.warning("here")
    assert "here" in stream.getvalue()


def test_a_process_without_handlers_gets_the_console(root):
    root.handlers.clear()
    configure_logging(core())
    (handler,) = root.handlers
    assert handler.stream is sys.stderr
    assert isinstance(handler.formatter, TextFormatter)


def test_other_handlers_keep_their_format_and_mask_secrets(root, tmp_path):
    handler = logging.FileHandler(tmp_path / "app.log")
    handler.setFormatter(logging.Formatter("mine %(request_id)s %(message)s"))
    root.handlers[:] = [handler]
    for _ in range(2):
        configure_logging(core(log_format="json", anthropic_api_key=SECRET))
    with working_on(request_with_id()):
        logging.getLogger("combine_core.x").warning(SECRET)
    handler.close()
    assert (tmp_path / "app.log").read_text() == "mine abcd-1234 ***\n"
    assert isinstance(handler.formatter, Redacting)
    assert len([one for one in handler.filters if isinstance(one, RequestFilter)]) == 1


def test_handlers_of_other_loggers_are_prepared_too(root):
    console(root)
    stream = io.StringIO()
    logger = logging.getLogger("observe_test.own")
    logger.addHandler(logging.StreamHandler(stream))
    logger.propagate = False
    configure_logging(core(log_format="json"))
    logger.warning("own")
    assert json.loads(stream.getvalue())["message"] == "own"


def test_formatters_work_before_anything_is_configured():
    record = logging.makeLogRecord({"msg": "early", "levelname": "INFO", "name": "x"})
    assert TextFormatter().format(record).endswith("INFO    x [-] early")
    assert TextFormatter("%(route)s %(message)s").format(record) == "- early"
    assert json.loads(JsonFormatter().format(record))["message"] == "early"
