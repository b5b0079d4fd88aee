"""The process that writes one file: an outline as JSON on standard input, the file on standard output.

Run by :mod:`combine_core.exports.process` as ``python -m combine_core.exports.child EXTENSION SECONDS``.
"""

from __future__ import annotations

import resource
import sys

from combine_core.exports.process import OUTLINE

# A PDF of 500 statements takes 200 MB.
MEMORY = 1536 * 1024 * 1024


def main() -> int:
    extension, seconds = sys.argv[1], int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if extension == "docx":
        from combine_core.exports.docx import write
    else:
        from combine_core.exports.pdf import write
    sys.stdout.buffer.write(write(OUTLINE.validate_json(sys.stdin.buffer.read())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
