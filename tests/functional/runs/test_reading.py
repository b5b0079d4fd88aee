"""Tests that workers read files once, despite late, lost and repeated attempts."""

import threading
import uuid

import pytest
from sqlalchemy import select, text

from combine_core.runs import Step, StepState, start_run
from combine_core.runs.reading import read_revision
from combine_core.sources import (
    FileText,
    ReadingState,
    Source,
    SourceRevision,
    UploadedFile,
    add_file,
    add_file_revision,
    lock_source,
)
from combine_core.sources.reading import (
    MAX_ATTEMPTS,
    adopt_unread,
    begin_reading,
    fail_reading,
    store_reading,
)

PAGE = UploadedFile("port.html", b"<main><h1>Port</h1><p>We decided to hire two pilots.</p></main>")


@pytest.fixture
def unread(sessions, place) -> uuid.UUID:
    """The revision of a new source with a file that no worker has read."""
    with sessions.begin() as session:
        source = add_file(session, place.project_id, "port.html", PAGE, place.user_id)
        return session.scalars(
            select(SourceRevision.id).where(SourceRevision.source_id == source.id)
        ).one()


def sources(sessions) -> list[Source]:
    with sessions() as session:
        return list(session.scalars(select(Source).where(Source.name == "port.html")))


def test_a_file_is_read_once(sessions, unread):
    read_revision(sessions, unread)
    [source] = sources(sessions)
    assert (source.state, source.revision, source.line_count) == (ReadingState.READY, 1, 3)
    # A repeated job does nothing.
    read_revision(sessions, unread)
    with sessions() as session:
        assert session.scalars(select(SourceRevision)).all() == []


def test_a_late_attempt_stores_nothing(sessions, unread):
    with sessions.begin() as session:
        late = begin_reading(session, unread)
    with sessions.begin() as session:
        assert begin_reading(session, unread).attempt == 2
    with sessions.begin() as session:
        assert not store_reading(session, late, FileText("late", file_sha256=PAGE.sha256))
        assert not fail_reading(session, late, "cannot be read.")
    assert [source.state for source in sources(sessions)] == [ReadingState.READING]


def test_a_file_that_crashes_every_attempt_fails(sessions, unread):
    for _ in range(MAX_ATTEMPTS):
        with sessions.begin() as session:
            begin_reading(session, unread)
    read_revision(sessions, unread)
    [source] = sources(sessions)
    assert source.state == ReadingState.FAILED
    assert "3 attempts ended without a result" in source.error


def test_an_earlier_revision_read_later_is_not_the_newest(sessions, place, unread):
    with sessions.begin() as session:
        [found] = sources(sessions)
        source = lock_source(session, place.project_id, found.id)
        other = UploadedFile("port.html", PAGE.data.replace(b"two", b"three"))
        assert add_file_revision(session, source, other, place.user_id) == 2
        later = session.scalars(select(SourceRevision.id).where(SourceRevision.number == 2)).one()
    read_revision(sessions, later)
    assert [s.state for s in sources(sessions)] == [ReadingState.READY]
    read_revision(sessions, unread)
    [source] = sources(sessions)
    assert (source.revision, source.state) == (2, ReadingState.READY)
    with sessions() as session:
        [first] = session.scalars(select(SourceRevision)).all()
        assert (first.number, first.state) == (1, ReadingState.READY)


def test_a_file_with_a_lost_job_is_queued_again(sessions, unread):
    with sessions.begin() as session:
        assert adopt_unread(session) == 0
        session.execute(text("DELETE FROM procrastinate_jobs"))
    with sessions.begin() as session:
        assert adopt_unread(session) == 1
    with sessions() as session:
        queued = "SELECT count(*) FROM procrastinate_jobs WHERE args ->> 'revision_id' = :id"
        assert session.scalar(text(queued), {"id": str(unread)}) == 1


def test_a_source_deleted_during_reading_is_ignored(sessions, unread):
    with sessions.begin() as session:
        reading = begin_reading(session, unread)
        session.execute(text("DELETE FROM sources WHERE name = 'port.html'"))
    with sessions.begin() as session:
        assert not store_reading(session, reading, FileText("x", file_sha256=PAGE.sha256))


def test_a_run_started_at_the_end_of_reading_is_not_stuck(
    sessions, place, unread, providers, wait_for_lock
):
    """The reader waits for the start to commit. Otherwise the run would wait for ever."""
    [source] = sources(sessions)
    reader = threading.Thread(target=read_revision, args=(sessions, unread))
    with sessions.begin() as session:
        run = start_run(
            session,
            place.project_id,
            "brief",
            [source.id],
            place.user_id,
            model="extract",
            providers=providers,
        )
        reader.start()
        wait_for_lock()
        assert reader.is_alive()
    reader.join()
    with sessions() as session:
        steps = session.scalars(
            select(Step).where(Step.run_id == run.id).order_by(Step.position)
        ).all()
        assert [step.state for step in steps] == [StepState.READY, StepState.PENDING]
        assert steps[0].needs == []
