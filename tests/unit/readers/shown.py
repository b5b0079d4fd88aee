"""Reads small files in the process of the test. Other tests cover the limits."""

from __future__ import annotations

from combine_core.readers import Reading
from combine_core.readers.process import load_reader


def read(name: str, data: bytes | str) -> Reading:
    """Read a file with the reader for the extension ``name``."""
    data = data.encode() if isinstance(data, str) else data
    return load_reader(f".{name}")(data, f"file.{name}")


def shown(reading: Reading) -> list[tuple[str, str]]:
    """Return the kind and the words of each block."""
    assert reading.blocks is not None
    text = reading.text
    return [(block.kind.value, text[block.body : block.end].strip()) for block in reading.blocks]
