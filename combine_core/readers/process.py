"""Reads a file in a process of its own, with limits, so that a hostile file harms nothing.

Parsers of foreign formats meet files that were made to exhaust memory or time, or to crash them. Text and
Markdown need no such parser and are read at once.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import PurePath

from combine_core.child_process import describe_exit, run_module
from combine_core.readers.plain import is_chat
from combine_core.readers.plain import read as read_plain
from combine_core.readers.reading import Reading, Unreadable, blocks_from_json

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "combine.readers"
PLAIN = (".txt", ".md", ".markdown")
SECONDS = 30.0

_LONG_CHAT = 256 * 1024

# The status with which the child says that it has written why the file cannot be read.
UNREADABLE = 3

Reader = Callable[[bytes, str], Reading]


class UnsupportedFile(Unreadable):
    """No reader is installed for files of this kind."""


@cache
def suffixes() -> tuple[str, ...]:
    """The endings of names for which there is a reader, such as ``.pdf``."""
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return (*PLAIN, *sorted(f".{point.name}" for point in points))


def load_reader(suffix: str) -> Reader:
    """The reader for this ending. Raises LookupError if there is none."""
    if suffix in PLAIN:
        return read_plain
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP, name=suffix.removeprefix("."))
    for point in points:
        reader: Reader = point.load()
        return reader
    raise LookupError(suffix)


def is_read_at_once(name: str, data: bytes) -> bool:
    """Check whether a file can be read in this process because that takes only moments."""
    # A long chat has so many messages that reading it holds others up.
    return _suffix(name) in PLAIN and not (len(data) > _LONG_CHAT and is_chat(data))


def check_supported(name: str) -> None:
    """Raise :class:`UnsupportedFile` if there is no reader for files with this name."""
    if _suffix(name) not in suffixes():
        known = ", ".join(one.removeprefix(".") for one in suffixes())
        raise UnsupportedFile(f"cannot be read. Save it as one of these: {known}.")


def _suffix(name: str) -> str:
    return PurePath(name.lower()).suffix


def read_file(name: str, data: bytes, seconds: float = SECONDS) -> Reading:
    """The text and the blocks of a file.

    :param name: whose ending says what the file is
    :param seconds: how long the reader may take
    :raises UnsupportedFile: there is no reader for it
    :raises Unreadable: the file is broken, holds no text, or needs too much time or memory
    """
    if is_read_at_once(name, data):
        return read_plain(data, name)
    check_supported(name)
    suffix = _suffix(name)
    try:
        done = run_module("combine_core.readers.child", suffix, stdin=data, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise Unreadable(
            f"takes more than {seconds:g} seconds to read. Split it, or save its text as .txt."
        ) from error
    if done.returncode == UNREADABLE:
        raise Unreadable(done.stdout.decode("utf-8", "replace"))
    if done.returncode != 0:
        logger.warning("The reader of %s files ended with %s", suffix, describe_exit(done))
        raise Unreadable(
            "cannot be read: it needs too much memory, or its reader ended by an error. Split it, or save"
            " its text as .txt."
        )
    answer = json.loads(done.stdout)
    blocks = None if answer["blocks"] is None else blocks_from_json(answer["blocks"])
    return Reading(answer["text"], blocks, tuple(answer["notes"]))
