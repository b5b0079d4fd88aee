"""Reads the ZIP file of a project, and validates it before its content is used.

Nothing is unpacked to the disk. Members are read in pieces and lines, and each limit applies to the data that
is actually read, whatever sizes the file declares.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

FORMAT = "combine-project"
VERSION = 1
MANIFEST = "manifest.json"
README = "README.md"
_MIB = 2**20
MOST_MEMBERS = 10_000
_MOST_MANIFEST = 4 * _MIB
# Any file may unpack to this size. For a larger content, the compression ratio is limited.
_ALWAYS_ALLOWED = 64 * _MIB
_MOST_RATIO = 200
_MOST_DEPTH = 50
# Each value of a JSON document takes about a hundred bytes of memory, however short it is.
_MOST_VALUES = 1_000_000
# Also matches an unterminated string, so that the search never starts again within it.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_READABLE = re.compile(r"documents/[0-9]{4}-[a-z0-9-]{1,80}\.md")
_ROWS = re.compile(r"rows/([a-z_]{1,40})\.jsonl")
_PIECE = 65_536


class InvalidArchive(ValueError):
    """The error for a file that cannot be imported. The message has the reason and the remedy."""


@dataclass(frozen=True)
class Limits:
    """The limits of an import.

    :ivar content: the bytes of all unpacked members together; ``None`` for the limit of the compression ratio
    :ivar row: the bytes of one row
    """

    content: int | None = None
    row: int = 128 * _MIB


def rows_member(name: str) -> str:
    return f"rows/{name}.jsonl"


class Archive:
    """A ZIP file with a validated list of members.

    :param known: the names of the tables that it may contain
    :raises InvalidArchive: the file is not an export of a project, or this release cannot read it
    """

    def __init__(self, file: IO[bytes], limits: Limits, known: frozenset[str]) -> None:
        self._limits = limits
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise InvalidArchive(
                "It is not a ZIP file, or it is damaged. Choose a file that was exported from a project."
            ) from error
        infos = self._zip.infolist()
        self._check_members(infos, file.seek(0, 2))
        self._members = {info.filename: info for info in infos}
        self.manifest = self._read_manifest(known)

    def _check_members(self, infos: list[zipfile.ZipInfo], size: int) -> None:
        if len(infos) > MOST_MEMBERS:
            raise InvalidArchive(f"It has {len(infos):,} members; {MOST_MEMBERS:,} are allowed.")
        for info in infos:
            name = info.filename
            if not (
                name in (MANIFEST, README) or _ROWS.fullmatch(name) or _READABLE.fullmatch(name)
            ):
                raise InvalidArchive(
                    f"It has a member {name[:100]!r}, which no export has. Export the project again."
                )
            mode = info.external_attr >> 16
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise InvalidArchive(
                    f"Its member {name} is not a regular file. Export the project again."
                )
            if info.flag_bits & 1:
                raise InvalidArchive(
                    "It is encrypted. Export the project again, without a password."
                )
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InvalidArchive(
                    f"Its member {name} is compressed in a way that no export uses. Export the project again."
                )
        names = [info.filename for info in infos]
        if len(set(names)) != len(names):
            raise InvalidArchive("It has two members of the same name. Export the project again.")
        content = sum(info.file_size for info in infos)
        if content > max(_ALWAYS_ALLOWED, _MOST_RATIO * size):
            raise InvalidArchive(
                f"It would unpack from {size:,} to {content:,} bytes, which no export does."
                " Export the project again."
            )
        if self._limits.content is not None and content > self._limits.content:
            raise InvalidArchive(
                f"Its content has {content:,} bytes; a request may upload {self._limits.content:,}."
                " Ask an operator to import it: combine project import FILE"
            )

    def _read_manifest(self, known: frozenset[str]) -> dict[str, Any]:
        if MANIFEST not in self._members:
            raise InvalidArchive(
                f"It has no {MANIFEST}, so it is not a complete export of a project. Export the project"
                " again."
            )
        with self._open(MANIFEST) as member:
            data = member.read(_MOST_MANIFEST + 1)
        if len(data) > _MOST_MANIFEST:
            raise InvalidArchive(f"Its {MANIFEST} is too large. Export the project again.")
        manifest = parse_json(data, MANIFEST)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise InvalidArchive(
                f"Its {MANIFEST} is not that of a project. Choose an exported project."
            )
        if manifest.get("version") != VERSION or type(manifest["version"]) is not int:
            raise InvalidArchive(
                f"It has version {str(manifest.get('version'))[:20]} of the format, and this release reads"
                f" version {VERSION}. Import it with the release that exported it, or a newer one."
            )
        self._check_listed(manifest.get("members"), known)
        return manifest

    def _check_listed(self, listed: Any, known: frozenset[str]) -> None:
        if not isinstance(listed, dict):
            raise InvalidArchive(f"Its {MANIFEST} lists no members. Export the project again.")
        present = self._members.keys() - {MANIFEST}
        needed = {rows_member(name) for name in known}
        if missing := sorted((listed.keys() | needed) - present):
            raise InvalidArchive(
                f"Its member {missing[0][:100]} is missing. Export the project again."
            )
        for name in sorted(present):
            if name not in listed:
                raise InvalidArchive(
                    f"Its {MANIFEST} does not list {name}. Export the project again."
                )
            match = _ROWS.fullmatch(name)
            if match and match[1] not in known:
                raise InvalidArchive(
                    f"It has {match[1]}, which this release does not know. Import it with a newer release."
                )
        self._sha256 = listed

    def check_hashes(self) -> None:
        """Compare the hash of every member with the manifest.

        :raises InvalidArchive: a hash differs
        """
        for name, expected in self._sha256.items():
            digest = hashlib.sha256()
            with self._open(name) as member:
                while piece := member.read(_PIECE):
                    digest.update(piece)
            if digest.hexdigest() != expected:
                raise InvalidArchive(
                    f"Its member {name} was changed after the export: its SHA-256 differs. Export the project"
                    " again."
                )

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        name = rows_member(table)
        with self._open(name) as member:
            number = 0
            while line := member.readline(self._limits.row + 1):
                number += 1
                where = f"{name}, line {number}"
                if len(line) > self._limits.row:
                    raise InvalidArchive(
                        f"{where} is too long: {self._limits.row:,} bytes are allowed."
                    )
                row = parse_json(line, where)
                if not isinstance(row, dict):
                    raise InvalidArchive(f"{where} is not a JSON object. Export the project again.")
                yield row

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with self._zip.open(self._members[name]) as member:
                yield member
        except InvalidArchive:
            raise
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            # zipfile seeks to a negative offset if the central directory is damaged.
            ValueError,
        ) as error:
            raise InvalidArchive(
                f"Its member {name} is damaged. Copy or export the file again."
            ) from error


def parse_json(data: bytes, where: str) -> Any:
    """Parse a JSON document, and check that the database can store every text in it.

    :param where: the location of the document, for messages
    :raises InvalidArchive: the document is invalid, or would take too much memory
    """
    without_strings = _STRING.sub(b"", data)
    if sum(without_strings.count(sign) for sign in (b",", b"[", b"{")) > _MOST_VALUES:
        raise InvalidArchive(f"{where} has too many values. Export the project again.")
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidArchive(f"{where} is not valid JSON. Export the project again.") from error
    _check_values(value, where, _MOST_DEPTH)
    return value


def _check_values(value: Any, where: str, depth: int) -> None:
    if depth == 0:
        raise InvalidArchive(f"{where} is nested too deeply. Export the project again.")
    if isinstance(value, str):
        if "\0" in value or not _is_encodable(value):
            raise InvalidArchive(
                f"{where} contains a NUL or half a surrogate pair. Export the project again."
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArchive(f"{where} contains NaN or Infinity. Export the project again.")
    elif isinstance(value, list):
        for inner in value:
            _check_values(inner, where, depth - 1)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_values(key, where, depth - 1)
            _check_values(inner, where, depth - 1)


def _is_encodable(text: str) -> bool:
    try:
        for start in range(0, len(text), _PIECE):
            text[start : start + _PIECE].encode()
    except UnicodeEncodeError:
        return False
    return True
