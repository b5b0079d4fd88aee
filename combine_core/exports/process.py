"""Writes a file in a process of its own, with limits: no document holds up the service, however large."""

from __future__ import annotations

import logging
import subprocess

from pydantic import TypeAdapter

from combine_core.apart import last_words, run_apart
from combine_core.exports.outline import Outline

logger = logging.getLogger(__name__)

# The endings of the files, with their media types. Clients that are generated from the description know no
# other type of binary data.
FORMATS = {
    "md": "text/markdown; charset=utf-8",
    "docx": "application/octet-stream",
    "pdf": "application/octet-stream",
}
# The request's transaction is idle meanwhile, and the database ends it after 60 seconds.
SECONDS = 30.0

OUTLINE = TypeAdapter(Outline)


class NotExported(Exception):
    """The file could not be written. The message says what to do."""


def export(outline: Outline, extension: str, seconds: float = SECONDS) -> bytes:
    """The file.

    :param extension: ``docx`` or ``pdf``
    :param seconds: how long it may take
    :raises NotExported: it takes too much time or memory
    """
    try:
        done = run_apart(
            "combine_core.exports.child",
            extension,
            given=OUTLINE.dump_json(outline),
            seconds=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise NotExported(_in_words(extension)) from error
    if done.returncode != 0:
        logger.warning("The writer of %s files ended with %s", extension, last_words(done))
        raise NotExported(_in_words(extension))
    return done.stdout


def _in_words(extension: str) -> str:
    return (
        f"The document cannot be written as {extension.upper()}: it needs too much time or memory, or the"
        " writer ended by an error, which the log has. Download it as Markdown."
    )
