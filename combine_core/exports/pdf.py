"""Writes a document as PDF, with typst."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typst

from combine_core.exports.outline import Outline

_TEMPLATE = Path(__file__).with_name("document.typ")
# A long word that cannot be broken would run off the page. A SHA-256 stays whole, so that it can be copied.
_HASH_OR_LONG = re.compile(r"([0-9a-f]{64}(?![0-9a-f]))|\S{40}(?=\S)")


def write(outline: Outline) -> bytes:
    """Write the PDF. The texts are data for the template, never template code."""
    data = asdict(outline) | {"written_at": f"{outline.written_at:%Y-%m-%d %H:%M} UTC"}
    return typst.compile(
        _TEMPLATE.read_bytes(),
        format="pdf",
        sys_inputs={"outline": json.dumps(_breakable(data))},
        timestamp=int(outline.written_at.timestamp()),
    )


def _breakable(value: Any) -> Any:
    """Insert zero-width spaces into long words, so that lines can be broken there."""
    match value:
        case str():
            return _HASH_OR_LONG.sub(lambda found: found[1] or f"{found[0]}\u200b", value)
        case dict():
            return {key: _breakable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_breakable(inner) for inner in value]
        case _:
            return value
