"""Prints the commit of a checkout as the local part of a version (PEP 440): ``+g1a2b3c4d5e6f``.

    python deploy/revision.py GIT_FOLDER [REVISION]

It reads the files of the folder, so that it works in an image without git. It prints nothing if the
commit is unknown; the version then has no local part.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

DIGITS = 12  # the length of abbreviated commits in large repositories


def revision(git: Path) -> str:
    """Return the commit that is checked out, in hexadecimal, or "" if it is unknown."""
    head = _text(git / "HEAD")
    if not head.startswith("ref: "):
        return head
    ref = head.removeprefix("ref: ")
    loose = _text(git / ref)
    if loose:
        return loose
    for line in _text(git / "packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == ref:
            return commit
    return ""


def _text(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def main(git: str, override: str = "") -> None:
    commit = override.strip() or revision(Path(git))
    if not commit:
        return
    if not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        raise SystemExit(f"{commit[:80]!r} is not a git commit: write 7 to 64 hexadecimal digits.")
    sys.stdout.write(f"+g{commit[:DIGITS]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
