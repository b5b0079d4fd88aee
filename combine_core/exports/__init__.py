"""Exports documents as Markdown, DOCX and PDF, with their evidence and provenance.

``service`` builds an outline from the database. :func:`export` writes the file in a child process, which does
not import the database, so that a large document cannot block the service.
"""

from __future__ import annotations

import logging
import subprocess

from pydantic import TypeAdapter

from combine_core.child_process import describe_exit, run_module
from combine_core.exports.outline import Outline

logger = logging.getLogger(__name__)

# Media types by file extension. Generated API clients know no other type of binary data.
FORMATS = {
    "md": "text/markdown; charset=utf-8",
    "docx": "application/octet-stream",
    "pdf": "application/octet-stream",
}
# Less than the 60 seconds after which the database ends the request's idle transaction.
TIMEOUT_S = 30.0
OUTLINE = TypeAdapter(Outline)


class NotExported(Exception):
    """The file could not be written. The message says what to do."""


def export(outline: Outline, extension: str, timeout: float = TIMEOUT_S) -> bytes:
    """Return the bytes of the file.

    :param extension: ``docx`` or ``pdf``
    :param timeout: seconds
    :raises NotExported: the file takes too much time or memory
    """
    try:
        done = run_module(
            "combine_core.exports.child",
            extension,
            stdin=OUTLINE.dump_json(outline),
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise NotExported(_message(extension)) from error
    if done.returncode != 0:
        logger.warning("The writer of %s files ended with %s", extension, describe_exit(done))
        raise NotExported(_message(extension))
    return done.stdout


def _message(extension: str) -> str:
    return (
        f"The document cannot be written as {extension.upper()}: it needs too much time or memory, or the"
        " writer ended by an error, which the log has. Download it as Markdown."
    )
