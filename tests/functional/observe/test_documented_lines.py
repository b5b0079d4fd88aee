"""Tests that docs/logging.md shows the real log lines: the tests provoke and compare each one."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from combine_core.database.pool import LeakWatch
from combine_core.llm import ProviderError
from combine_core.observe.memory import MemoryWatch, Reading
from combine_core.observe.provider_calls import provider_call
from combine_core.postgres.diagnosis import Cause, Diagnosis
from combine_core.web.memory_budget import MemoryBudget
from combine_core.web.problems import ProblemError, problem_response
from combine_health import Change
from combine_health.engine.listeners import log_change

PAGE = (Path(__file__).parents[3] / "docs/logging.md").read_text(encoding="utf-8")
MIB = 2**20
SLEEP = text("SELECT pg_sleep(:seconds)")
LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def documented(language: str) -> list[str]:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def form(line: str) -> str:
    """Return the line without its variable parts. Error codes stay."""
    line = re.sub(r"\[[0-9a-f]{16}\]", "[ID]", line)
    line = re.sub(r"request [0-9a-f]{16}, thread [\w-]+", "request ID, thread NAME", line)
    line = re.sub(r"(?<![\w-])(?!57014|55P03)\d[\d.:TZ-]*", "N", line)
    return line.replace("claude-opus-9", "MODEL")


def slow(request):
    request.dbsession.execute(SLEEP, {"seconds": 0.02})


def busy(request):
    for number in range(12):
        request.dbsession.execute(text("SELECT :number"), {"number": number})


def out_of_time(request):
    request.dbsession.execute(text("SET LOCAL statement_timeout = '20ms'"))
    with pytest.raises(DBAPIError):
        request.dbsession.execute(SLEEP, {"seconds": 60})


def locked_out(request):
    request.dbsession.execute(text("SET LOCAL lock_timeout = '20ms'"))
    with pytest.raises(DBAPIError):
        request.dbsession.execute(LOCK, {"key": 20})


def too_large_beside_others(_request):
    budget = MemoryBudget(lambda: Reading(179 * MIB, 240 * MIB, "container", 179 * MIB, 24))
    budget.take(8 * MIB)
    with pytest.raises(ProblemError):
        budget.take(4 * MIB)


def without_database(request):
    nobody = create_engine("postgresql+psycopg2://combine@127.0.0.1:1/combine")
    with pytest.raises(OperationalError) as caught:
        nobody.connect()
    assert problem_response(request, caught.value).status_code == 503


@pytest.fixture
def all_lines(serve, make, lines):
    """Log lines of every kind."""
    serve(slow, slow_query_ms="15", slow_request_ms="20").client.get("/view")
    serve(busy).client.get("/view")
    serve(out_of_time).client.get("/view")
    with make().begin() as holder:
        holder.execute(LOCK, {"key": 20})
        serve(locked_out).client.get("/view")

    def use_up(request):
        if "second" in request.GET:
            with pytest.raises(PoolTimeout):
                small.engine.connect()
            return
        with small.engine.connect(), ThreadPoolExecutor(1) as other:
            LeakWatch(0, lambda: [small.engine.pool]).check()
            assert other.submit(small.client.get, "/view?second=1").result().status_code == 200

    small = serve(use_up, db_pool_size="1", db_max_overflow="0")
    small.engine.pool._timeout = 0.01
    small.client.get("/view")

    with provider_call("anthropic", "claude-opus-9", slow_ms=60_000):
        pass
    with provider_call("anthropic", "claude-opus-9", slow_ms=0):
        pass
    with pytest.raises(ProviderError), provider_call("anthropic", "claude-opus-9", slow_ms=60_000):
        raise ProviderError("timeout", "Anthropic did not answer in time.")

    diagnosis = Diagnosis(Cause.REFUSED, "127.0.0.1:5432 refuses.")
    said = f"{diagnosis.advice.meaning} {diagnosis.detail}"
    for check, before, after, cause in (
        ("database", "healthy", "failing", "DB_REFUSED"),
        (None, "healthy", "unavailable", "database.DB_REFUSED"),
        (None, "unavailable", "healthy", None),
    ):
        change = Change(check, before, after, cause, said, diagnosis.remedy, datetime.now(UTC))
        with lines.hearing("combine_health"):
            log_change(change)
    serve(without_database).client.get("/view")

    memory = [Reading(187 * MIB, 1024 * MIB, "container", 150 * MIB, 24)]
    now = [1000.0]
    watch = MemoryWatch(lambda: 10, lambda: memory[0], lambda: now[0])
    watch.check()
    memory[0], now[0] = Reading(881 * MIB, 1024 * MIB, "container", 185 * MIB, 24), 4600.0
    watch.check()
    memory[0] = Reading(187 * MIB, 1024 * MIB, "container", 150 * MIB, 24, kills=1)
    watch.check()
    serve(too_large_beside_others).client.get("/view")
    return lines


def test_the_page_shows_real_lines_of_every_kind(all_lines):
    # On a busy machine any statement can be slow. The page shows the one that sleeps.
    real = {form(line) for line in all_lines.text() if not re.search("slow query.*number", line)}
    assert {form(line) for line in documented("text")} == real


def test_json_lines_have_the_documented_fields(all_lines):
    (example,) = map(json.loads, documented("json"))
    by_logger = {}
    for line in all_lines.json():
        by_logger.setdefault(line["logger"], []).append(line)
    assert list(by_logger["combine_core.access"][0]) == list(example)
    del example["client"]  # only requests have these fields
    for line in all_lines.json():
        assert list(line)[: len(example)] == list(example)
        for field in line.keys() - example.keys():
            assert f"`{field}`" in PAGE, line


def test_the_search_words_of_the_runbook_find_the_lines(all_lines):
    r"""The commands are: docker-compose logs app | grep -i "slow\|timeout", and grep -i memory."""
    for line in all_lines.text():
        slow = re.search("slow|timeout", line, re.IGNORECASE)
        memory = re.search("memory", line, re.IGNORECASE)
        told = re.search(r"combine_core\.access|connection leak|combine_health|N\+1| INFO ", line)
        assert slow or memory or told, line
