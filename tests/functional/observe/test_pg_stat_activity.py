"""Tests that the query of the runbook for long statements shows the code that sent them."""

import threading

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

RUNBOOK = """
  SELECT pid, now() - pg_stat_activity.query_start AS duration, query
  FROM pg_stat_activity
  WHERE state = 'active' AND now() - query_start > interval '5 seconds';
"""


def test_a_long_statement_names_its_request(serve, lines, database_url):
    ended = []

    def view(request):
        with pytest.raises(DBAPIError) as caught:
            # It is longer than the view shows, so a comment at its end would be cut off.
            request.dbsession.execute(text(f"SELECT pg_sleep(25) {' ' * 2000}"))
        ended.append(caught.value.orig.pgcode)

    served = serve(view)
    request = threading.Thread(target=served.get, args=("long-one-1",))
    request.start()
    operator = psycopg2.connect(database_url)
    operator.autocommit = True
    try:
        with operator.cursor() as cursor:
            found = []
            # Wait for the five seconds. The statement ends by itself after 25.
            while not found and request.is_alive():
                request.join(0.1)
                cursor.execute(RUNBOOK)
                # Other tests use the same server.
                found = [row for row in cursor.fetchall() if "long-one-1" in row[2]]
            ((pid, duration, query),) = found
            cursor.execute("SELECT application_name FROM pg_stat_activity WHERE pid = %s", (pid,))
            assert cursor.fetchone() == ("combine web",)
            cursor.execute("SELECT pg_cancel_backend(%s)", (pid,))
    finally:
        operator.close()
        request.join(60)
    assert query.startswith("/* route=api.v1.view request_id=long-one-1 */ SELECT pg_sleep(25)")
    assert duration.total_seconds() > 5
    # The cancelled statement is in the log, with the same request id.
    assert ended == ["57014"]
    (line,) = lines.json("statement timeout (or cancelled by an operator), 57014")
    assert (line["request_id"], line["route"]) == ("long-one-1", "api.v1.view")
    assert line["duration"] > 5000
