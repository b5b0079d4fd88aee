"""Reads files: the text whose numbered lines evidence quotes, and its blocks.

A reader is a function that takes the bytes of a file and its name, and returns a :class:`Reading`. It is
found by the entry-point group ``combine.readers``, where its name is the ending of the file's name:
``pdf = combine_core.readers.documents:read_pdf``. It raises :class:`Unreadable` with what is wrong and what
to do. Readers run in a process of their own, with limits on time and memory.
"""

from combine_core.readers.block import SILENT, Block, BlockKind, block_at
from combine_core.readers.markdown import read_blocks
from combine_core.readers.process import (
    UnsupportedFile,
    check_supported,
    is_read_at_once,
    read_file,
    suffixes,
)
from combine_core.readers.reading import (
    Builder,
    Reading,
    Unreadable,
    blocks_as_json,
    blocks_from_json,
)

__all__ = [
    "SILENT",
    "Block",
    "BlockKind",
    "Builder",
    "Reading",
    "Unreadable",
    "UnsupportedFile",
    "block_at",
    "blocks_as_json",
    "blocks_from_json",
    "check_supported",
    "is_read_at_once",
    "read_blocks",
    "read_file",
    "suffixes",
]
