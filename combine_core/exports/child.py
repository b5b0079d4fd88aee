"""Writes one file: reads an outline as JSON from standard input, writes the file to standard output.

The child process of :mod:`combine_core.exports`. It is started as
``python -m combine_core.exports.child EXTENSION SECONDS``.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from combine_core.child_process import limit
from combine_core.exports import OUTLINE
from combine_core.exports.outline import Outline

# A PDF of 500 statements takes 200 MB.
MEMORY = 1536 * 1024 * 1024
_TEMPLATE = Path(__file__).with_name("document.typ")
# A long word that cannot be broken would run off the page. A SHA-256 stays whole, so that it can be copied.
_HASH_OR_LONG = re.compile(r"([0-9a-f]{64}(?![0-9a-f]))|\S{40}(?=\S)")


def main() -> int:
    limit(MEMORY)
    extension = sys.argv[1]
    outline = OUTLINE.validate_json(sys.stdin.buffer.read())
    if extension == "docx":
        from combine_core.exports.docx import write_docx

        sys.stdout.buffer.write(write_docx(outline))
    else:
        sys.stdout.buffer.write(write_pdf(outline))
    return 0


def write_pdf(outline: Outline) -> bytes:
    """Write the PDF with typst. The texts are data for the template, never template code."""
    import typst

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


if __name__ == "__main__":
    sys.exit(main())
