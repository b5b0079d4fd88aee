"""The process that reads one file: bytes on standard input, JSON on standard output.

Run by :mod:`combine_core.readers.process` as ``python -m combine_core.readers.child SUFFIX SECONDS``.
"""

from __future__ import annotations

import json
import sys

from combine_core.child_process import limit
from combine_core.readers.process import UNREADABLE, load_reader
from combine_core.readers.reading import Unreadable, blocks_as_json
from combine_core.readers.signature import check_signature

MEMORY = 1024 * 1024 * 1024
# More text than a source may have.
MOST_TEXT = 4 * 1024 * 1024
# Text and blocks together.
MOST_ANSWER = 32 * 1024 * 1024


def main() -> int:
    suffix = sys.argv[1]
    reader = load_reader(suffix)
    limit(MEMORY)
    data = sys.stdin.buffer.read()
    try:
        check_signature(suffix, data)
        reading = reader(data, f"file{suffix}")
        if len(reading.text.encode()) > MOST_TEXT:
            raise Unreadable("holds more than 4 MB of text. Split it.")
        answer = json.dumps(
            {
                "text": reading.text,
                "blocks": None if reading.blocks is None else blocks_as_json(reading.blocks),
                "notes": reading.notes,
            },
            ensure_ascii=False,
        )
        if len(answer) > MOST_ANSWER:
            raise Unreadable("has too many rows for the long names of its columns. Split it.")
    except Unreadable as error:
        sys.stdout.buffer.write(str(error).encode())
        return UNREADABLE
    except (MemoryError, RecursionError):
        sys.stdout.buffer.write(
            b"needs too much memory to read. Split it, or save its text as .txt."
        )
        return UNREADABLE
    sys.stdout.buffer.write(answer.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
