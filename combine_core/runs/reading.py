"""Reads uploaded files for a worker. Steps that waited for a file go on when it has been read."""

from __future__ import annotations

import logging
import threading
import uuid

from sqlalchemy.orm import Session, sessionmaker

from combine_core.runs.claim import release_readers
from combine_core.sources import UnsupportedFile, read_upload
from combine_core.sources.reading import (
    Reading,
    begin_reading,
    exhausted,
    fail_reading,
    store_reading,
)
from combine_core.text import InvalidText

logger = logging.getLogger(__name__)

# Each reader may take a gigabyte of memory.
MOST_AT_ONCE = 2
_turns = threading.BoundedSemaphore(MOST_AT_ONCE)


def read_revision(sessions: sessionmaker[Session], revision_id: uuid.UUID) -> None:
    """Read the file of this revision and store its text, or why it cannot be read.

    No connection is held while the file is read.
    """
    with _turns:
        with sessions.begin() as session:
            reading = begin_reading(session, revision_id)
        if reading is None:
            logger.debug("Nothing to read for revision %s", revision_id)
            return
        why = exhausted(reading)
        if why is None:
            why = _read(sessions, reading)
    if why is None:
        return
    with sessions.begin() as session:
        if fail_reading(session, reading, why):
            release_readers(session, reading.source_id, reading.number)
    logger.info("Revision %s of source %s %s", reading.number, reading.source_id, why)


def _read(sessions: sessionmaker[Session], reading: Reading) -> str | None:
    """Read and store. Returns why the file cannot be read, if so."""
    try:
        file = read_upload(reading.upload.name, reading.upload.data)
        with sessions.begin() as session:
            if store_reading(session, reading, file):
                release_readers(session, reading.source_id, reading.number)
    except InvalidText as error:
        return error.why
    except UnsupportedFile as error:
        # The worker runs without the plug-in that the web process has.
        return str(error)
    return None
