"""Reads uploaded files in a worker and releases the steps that wait for them."""

from __future__ import annotations

import logging
import threading
import uuid

from sqlalchemy.orm import Session, sessionmaker

from combine_core.runs.claim import release_waiting_steps
from combine_core.sources import UnsupportedFile, read_upload
from combine_core.sources.reading import (
    Reading,
    begin_reading,
    fail_reading,
    reason_to_give_up,
    store_reading,
)
from combine_core.text import InvalidText

logger = logging.getLogger(__name__)

# Each reader may take a gigabyte of memory.
MAX_READERS = 2
_slots = threading.BoundedSemaphore(MAX_READERS)


def read_revision(sessions: sessionmaker[Session], revision_id: uuid.UUID) -> None:
    """Read the file of this revision and store its text or its error.

    No database connection is held while the file is read.
    """
    with _slots:
        with sessions.begin() as session:
            reading = begin_reading(session, revision_id)
        if reading is None:
            logger.debug("Revision %s has no file to read", revision_id)
            return
        problem = reason_to_give_up(reading) or _read(sessions, reading)
    if problem is None:
        return
    with sessions.begin() as session:
        if fail_reading(session, reading, problem):
            release_waiting_steps(session, reading.source_id, reading.number)
    logger.info("Revision %s of source %s %s", reading.number, reading.source_id, problem)


def _read(sessions: sessionmaker[Session], reading: Reading) -> str | None:
    """Read the file and store its text. Return the problem if it cannot be read."""
    try:
        file = read_upload(reading.upload.name, reading.upload.data)
        with sessions.begin() as session:
            if store_reading(session, reading, file):
                release_waiting_steps(session, reading.source_id, reading.number)
    except InvalidText as error:
        return error.why
    except UnsupportedFile as error:
        # The web process has a reader plugin that this worker lacks.
        return str(error)
    return None
