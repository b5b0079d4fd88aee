"""The result of a reader, and a builder for it."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from combine_core.readers.block import Block, BlockKind

# What no source can hold; tabs become spaces. White space of other kinds is a space as well.
_UNSTORABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
# Invisible, and in the middle of words.
_DIVIDES = re.compile("[\u00ad\u200b\u2060\ufeff]")
_SPACE = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u3000]+")

# What stands in a row and names no column: an amount, a share, a day, a time, an address.
_VALUE = re.compile(
    r"[^\w\s]*\s?(?:[A-Z]{3}\s)?\d[\d.,:/' -]*\s?(?:%|°?[A-Za-z]{1,3}|[€$£])?|\S+@\S+|https?://\S+"
)
_YEAR = re.compile(r"(?:19|20)\d\d(?:[/-]\d\d(?:\d\d)?)?")
_DIGITS = re.compile(r"\d+")


class Unreadable(ValueError):
    """The file cannot be read. The message says why, and what to do."""


@dataclass(frozen=True)
class Reading:
    """The text of a file, its blocks, and what people should know of how it was read.

    :ivar blocks: ``None``: the text is Markdown or plain text, and :func:`read_blocks` finds them
    :ivar notes: sentences, such as "It was converted from Windows-1252."
    """

    text: str
    blocks: list[Block] | None = None
    notes: tuple[str, ...] = ()


@dataclass
class Builder:
    """Puts a text together from blocks, in their order."""

    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _blocks: list[Block] = field(default_factory=list)
    _path: list[tuple[int, str]] = field(default_factory=list)

    def heading(self, level: int, title: str, **known: Any) -> None:
        """Add a title, which stands above what follows."""
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        title = one_line(title)
        if title:
            self.add(BlockKind.HEADING, f"{'#' * min(level, 6)} {title}", **known)
            self._path.append((level, title.rstrip(":")))

    def add(
        self,
        kind: BlockKind,
        words: str,
        *,
        prefix: str = "",
        below: tuple[str, ...] = (),
        **known: Any,
    ) -> None:
        """Add a block; lines of white space alone are left out.

        :param prefix: what stands before the words, such as the mark of a list or "Anna: "
        :param below: further titles that it alone stands under
        :param known: further attributes of the block
        """
        lines = [line for line in map(one_line, words.split("\n")) if line]
        if not lines:
            return
        if self._parts and kind is not (self._blocks[-1].kind if self._blocks else None):
            self._write("\n")
        start = self._length
        self._write(prefix + "\n".join(lines) + "\n")
        headings = (*(title for _, title in self._path), *below)
        body = start + len(prefix)
        self._blocks.append(Block(kind, start, self._length, headings, body=body, **known))

    def row(self, cells: Iterable[object], columns: tuple[str, ...] = ()) -> None:
        """Add a row of a table: "Door | 900"."""
        written = [one_line(str(cell)) if cell is not None else "" for cell in cells]
        if any(written):
            self.add(BlockKind.TABLE_ROW, " | ".join(written), columns=columns)

    def reading(self, *notes: str) -> Reading:
        if not self._blocks:
            raise Unreadable("holds no text. Choose another file.")
        return Reading("".join(self._parts), self._blocks, notes)

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)


def one_line(text: str) -> str:
    """The words of a line, as a source can hold them."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    text = _DIVIDES.sub("", _UNSTORABLE.sub(" ", text.replace("\n", " ")))
    text = unicodedata.normalize("NFC", text)
    return _SPACE.sub(" ", text).strip()


def table(builder: Builder, rows: Iterable[Iterable[object]], *, head: bool = True) -> None:
    """Add the rows of a table. The first names its columns, unless it looks like those below.

    :param head: whether the first row may name the columns
    """
    written = (tuple("" if cell is None else one_line(str(cell)) for cell in row) for row in rows)
    filled = (row for row in written if any(row))
    first, second = next(filled, ()), next(filled, ())
    while sum(map(bool, first)) == 1 and sum(map(bool, second)) > 1:
        # A title above the table.
        builder.add(BlockKind.PARAGRAPH, "".join(first))
        first, second = second, next(filled, ())
    columns: tuple[str, ...] = ()
    if head and _is_head(first, second):
        columns = first
        builder.add(BlockKind.HEADING, " | ".join(first))
        first = ()
    for row in itertools.chain((first, second), filled):
        builder.row(row, columns)


def _is_head(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Check whether a row names the columns: "Item | 2026" does, "Fee | 900 EUR" does not."""
    if any(_VALUE.fullmatch(cell) and not _YEAR.fullmatch(cell) for cell in first):
        return False
    if any(cell.endswith((":", ".")) and not _YEAR.search(cell) for cell in first):
        return False
    if any("://" in cell for cell in first):
        return False
    return not any(
        _DIGITS.search(cell)
        and not _YEAR.fullmatch(cell)
        and _DIGITS.sub("0", cell) == _DIGITS.sub("0", below)
        for cell, below in zip(first, second, strict=False)
    )


# An older release takes it for no columns.
_AS_BEFORE = ""
_NAMES = [one.name for one in fields(Block)]
_DEFAULTS = {one.name: one.default for one in fields(Block)}


def blocks_as_json(blocks: Iterable[Block]) -> str:
    """The blocks as they are stored: an object each, without what has its default value.

    Only the first row of a table names its columns.
    """
    stored: list[dict[str, Any]] = []
    columns: tuple[str, ...] = ()
    for block in blocks:
        known = {
            name: value for name in _NAMES if (value := getattr(block, name)) != _DEFAULTS[name]
        }
        if block.columns and block.columns == columns:
            known["columns"] = _AS_BEFORE
        columns = block.columns
        stored.append(known)
    return json.dumps(stored, ensure_ascii=False, separators=(",", ":"))


def blocks_from_json(stored: str) -> list[Block]:
    """The blocks of :func:`blocks_as_json`. What a later release has added is left out."""
    blocks: list[Block] = []
    columns: tuple[str, ...] = ()
    for given in json.loads(stored):
        known = {name: value for name, value in given.items() if name in _NAMES}
        known["kind"] = BlockKind(known["kind"])
        known["headings"] = tuple(known.get("headings", ()))
        if known.get("columns") != _AS_BEFORE:
            columns = tuple(known.get("columns", ()))
        blocks.append(Block(**known | {"columns": columns}))
    return blocks
