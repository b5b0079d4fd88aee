"""Tests statements of real requests: their comment, and the log of slow and repeated statements."""

import pytest
from sqlalchemy import bindparam, column, event, insert, literal, select, table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import Integer

from combine_core.observe.statements import LONGEST_STATEMENT

SHOW = text("SELECT current_query(), current_setting('application_name')")


def test_the_comment_comes_before_the_statement(serve):
    seen = []
    serve(lambda request: seen.append(request.dbsession.execute(SHOW).one())).get()
    ((query, name),) = seen
    assert query.startswith("/* route=api.v1.view request_id=abcd-1234 */ SELECT current_query()")
    assert name == "combine web"


def test_the_comment_outside_of_requests_names_the_process(make):
    with make(application_name="combine worker").connect() as connection:
        query, name = connection.execute(SHOW).one()
    assert query.startswith("/* combine worker */ SELECT")
    assert name == "combine worker"


def test_parameters_and_percent_signs_still_work(serve):
    seen = []

    def view(request):
        session = request.dbsession
        seen.append(session.scalar(text("SELECT :a || '%'"), {"a": "x"}))
        bare = session.connection().execution_options(no_parameters=True)
        seen.append(bare.exec_driver_sql("SELECT '%'").scalar())
        session.connection().execution_options(no_parameters=False)
        seen.append(session.connection().exec_driver_sql("SELECT %s || '%%'", ("y",)).scalar())

    serve(view).get("a%(b)s%s%")
    assert seen == ["x%", "%", "y%"]


def test_compiled_statements_come_from_the_cache(serve):
    hits = []

    def view(request):
        statement = select(literal(1, Integer) + bindparam("more", type_=Integer))
        for more in (1, 2, 3):
            result = request.dbsession.execute(statement, {"more": more})
            hits.append(result.context.cache_hit.name)

    served = serve(view)
    served.get("first-request")
    served.get("second-request")
    assert hits == ["CACHE_MISS", *["CACHE_HIT"] * 5]


def test_a_slow_query_is_logged(serve, lines):
    def view(request):
        request.dbsession.execute(
            text("SELECT pg_sleep(0.02),\n   :secret"), {"secret": "canary-of-a-user"}
        )

    serve(view, slow_query_ms="10").get()
    (line,) = lines.text("slow query")
    assert " WARNING combine_core.observe.statements [abcd-1234] slow query in route" in line
    assert line.endswith(" ms: SELECT pg_sleep(0.02), %(secret)s")
    (said,) = lines.json("slow query")
    assert said["duration"] >= 20
    assert (said["route"], said["request_id"]) == ("api.v1.view", "abcd-1234")
    assert said["statement"] == "SELECT pg_sleep(0.02), %(secret)s"
    assert "canary" not in str(lines.text()) + str(lines.json())


def test_a_fast_query_is_not_logged(serve, lines):
    serve(lambda request: request.dbsession.execute(text("SELECT 1"))).get()
    assert [line["logger"] for line in lines.json()] == ["combine_core.access"]


def test_a_long_statement_is_truncated(make, lines):
    engine = make(slow_query_ms=1)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(0.005), '" + "x" * 5000 + "'"))
    (line,) = lines.json("slow query")
    assert len(line["statement"]) == LONGEST_STATEMENT + 3


def test_a_slow_request_is_logged(serve, lines):
    def view(request):
        request.dbsession.execute(text("SELECT pg_sleep(0.03)"))

    serve(view, slow_request_ms="20").get()
    (said,) = lines.json("slow request")
    assert said["message"].startswith("slow request: GET /view 200 ")
    assert "in route api.v1.view, of which 1 statements took " in said["message"]
    assert said["statements"] == 1
    assert 30 <= said["database_duration"] <= said["duration"]
    assert said["route"] == "api.v1.view"


@pytest.mark.parametrize(("times", "expected"), [(9, 0), (10, 1), (24, 1)])
def test_repeated_statements_are_logged(serve, lines, times, expected):
    def view(request):
        for number in range(times):
            request.dbsession.execute(text("SELECT :n"), {"n": number})
        for number in range(times):
            request.dbsession.execute(text(f"SELECT {number}"))

    serve(view).get()
    found = lines.json("possible N+1")
    assert len(found) == expected
    for line in found:
        assert (line["count"], line["statement"]) == (times, "SELECT %(n)s")
        assert line["message"] == (
            f"possible N+1 in route api.v1.view: sent {times} times: SELECT %(n)s"
        )
        assert line["request_id"] == "abcd-1234"


def test_each_request_is_counted_separately(serve, lines):
    served = serve(lambda request: request.dbsession.execute(text("SELECT 1")))
    for _ in range(12):
        served.get()
    assert lines.json("possible N+1") == []


def test_an_insert_in_batches_counts_as_one_statement(serve, lines):
    sent = []

    def view(request):
        connection = request.dbsession.connection()
        connection.execute(text("CREATE TEMPORARY TABLE batches (n integer) ON COMMIT DROP"))
        batches = table("batches", column("n", Integer))
        rows = [{"n": n} for n in range(2000)]
        event.listen(connection, "before_cursor_execute", lambda *given: sent.append(given[2]))
        returned = connection.execution_options(insertmanyvalues_page_size=100).execute(
            insert(batches).returning(batches.c.n), rows
        )
        assert len(returned.all()) == 2000

    serve(view).get()
    assert len(sent) == 20
    assert lines.json("possible N+1") == []


def test_a_statement_timeout_is_logged(serve, lines):
    def view(request):
        session = request.dbsession
        session.execute(text("SET LOCAL statement_timeout = '30ms'"))
        with pytest.raises(DBAPIError) as caught:
            session.execute(text("SELECT pg_sleep(60), :v"), {"v": "canary-of-a-user"})
        assert "canary" not in str(caught.value)

    serve(view).get()
    (line,) = lines.json("timeout")
    assert line["message"].startswith("statement timeout (or cancelled by an operator), 57014, in")
    assert line["message"].endswith(" ms: SELECT pg_sleep(60), %(v)s")
    assert (line["route"], line["request_id"]) == ("api.v1.view", "abcd-1234")
    assert line["duration"] >= 25


def test_a_lock_timeout_is_logged(make, lines):
    engine = make()
    lock = text("SELECT pg_advisory_xact_lock(811)")
    with engine.begin() as holder, engine.begin() as other:
        holder.execute(lock)
        other.execute(text("SET LOCAL lock_timeout = '20ms'"))
        with pytest.raises(DBAPIError):
            other.execute(lock)
    (line,) = lines.json("timeout")
    assert line["message"].startswith("lock timeout (another transaction holds the row or table),")
    assert line["level"] == "WARNING"


def test_other_errors_are_not_logged_as_timeouts(make, lines):
    with make().connect() as connection, pytest.raises(DBAPIError):
        connection.execute(text("SELECT 1/0"))
    assert lines.json() == []
