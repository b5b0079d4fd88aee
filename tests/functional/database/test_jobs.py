"""Tests that the job rows of Combine equal those that Procrastinate writes."""

from __future__ import annotations

import procrastinate
import pytest
from procrastinate.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from combine_core.jobs import enqueue

ROWS = text("""
    SELECT queue_name, task_name, priority, lock, queueing_lock, args, status, attempts,
      round(extract(epoch FROM scheduled_at - now()) / 3600) AS hours
    FROM procrastinate_jobs ORDER BY id
""")


def test_combine_and_procrastinate_write_equal_rows(dbsession):
    app = procrastinate.App(connector=SQLAlchemyPsycopg2Connector())
    for lock, hours in ((None, 0), ("one at a time", 2)):
        queue, arguments = "queue", {"step_id": 'a "b" % : \' é', "to": ""}
        app.configure_task(
            "task",
            queue=queue,
            lock=lock,
            connection=dbsession.connection(),
            schedule_in={"hours": hours} if hours else None,
        ).defer(**arguments)
        enqueue(dbsession, "task", queue, lock=lock, delay=hours * 3600, **arguments)
        theirs, ours = dbsession.execute(ROWS).all()[-2:]
        assert ours == theirs
        assert ours.hours == (hours or None)


def test_database_errors_are_raised_unchanged(dbsession):
    dbsession.execute(text("SET TRANSACTION READ ONLY"))
    with pytest.raises(DBAPIError, match="read-only"):
        enqueue(dbsession, "task", "queue")
