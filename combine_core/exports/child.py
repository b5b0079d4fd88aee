"""Writes one file: reads an outline as JSON from standard input, writes the file to standard output.

The child process of :mod:`combine_core.exports.process`. It is started as
``python -m combine_core.exports.child EXTENSION SECONDS``.
"""

from __future__ import annotations

import sys

from combine_core.child_process import limit
from combine_core.exports.process import OUTLINE

# A PDF of 500 statements takes 200 MB.
MEMORY = 1536 * 1024 * 1024


def main() -> int:
    limit(MEMORY)
    extension = sys.argv[1]
    if extension == "docx":
        from combine_core.exports.docx import write
    else:
        from combine_core.exports.pdf import write
    sys.stdout.buffer.write(write(OUTLINE.validate_json(sys.stdin.buffer.read())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
