"""Tests that an invalid file is rejected before its rows are used."""

import contextlib
import hashlib
import io
import json
import tracemalloc
import zipfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from combine_core.portability.archive import Archive, InvalidArchive, Limits, parse_json

ROWS = b'{"a": 1}\n{"a": 2}\n'
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def packed(manifest: object = None, rows: bytes = ROWS) -> io.BytesIO:
    usual = {
        "format": "combine-project",
        "version": 1,
        "members": {"rows/runs.jsonl": hashlib.sha256(rows).hexdigest()},
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        # The members have a fixed date, so that the bytes are the same in every run.
        for name, content in (
            ("manifest.json", json.dumps(usual if manifest is None else manifest)),
            ("rows/runs.jsonl", rows),
        ):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file


def opened(file: io.BytesIO, limits: Limits | None = None) -> Archive:
    archive = Archive(file, limits or Limits(), frozenset({"runs"}))
    archive.check_hashes()
    return archive


def test_the_rows_of_a_valid_file_are_read():
    assert list(opened(packed()).rows("runs")) == [{"a": 1}, {"a": 2}]


@given(data=st.binary() | st.binary().map(lambda data: packed().getvalue() + data))
def test_any_bytes_are_read_or_rejected(data):
    with contextlib.suppress(InvalidArchive):
        opened(io.BytesIO(data))


@given(key=st.sampled_from(["format", "version", "members"]) | st.text(), value=VALUES)
def test_any_manifest_is_read_or_rejected(key, value):
    manifest = {
        "format": "combine-project",
        "version": 1,
        "members": {"rows/runs.jsonl": hashlib.sha256(ROWS).hexdigest()},
        key: value,
    }
    with contextlib.suppress(InvalidArchive):
        opened(packed(manifest))


@example(at=361, byte=1)
@given(at=st.integers(0, 400), byte=st.integers(0, 255))
def test_any_damaged_byte_is_read_or_rejected(at, byte):
    data = bytearray(packed().getvalue())
    data[at % len(data)] = byte
    with contextlib.suppress(InvalidArchive):
        assert list(opened(io.BytesIO(bytes(data))).rows("runs")) == [{"a": 1}, {"a": 2}]


def test_limits_are_enforced():
    with pytest.raises(InvalidArchive, match="a request may upload 10"):
        opened(packed(), Limits(content=10))
    with pytest.raises(InvalidArchive, match="line 1 is too long"):
        list(opened(packed(), Limits(row=5)).rows("runs"))


@pytest.mark.parametrize(
    "data", [b"[" + b"[]," * 2_000_000 + b"[]]", b"[" * 3_000_000, b'"' + b'\\"' * 1_500_000]
)
def test_the_memory_of_a_hostile_row_is_limited(data):
    tracemalloc.start()
    with pytest.raises(InvalidArchive):
        parse_json(data, "the row")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(data)
