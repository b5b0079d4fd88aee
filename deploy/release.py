"""Make a release: check, set the version, date the changes, commit, tag.

    python deploy/release.py 0.1.0

The version stands in combine_health/version.py alone. Afterwards the tree is at the next development version.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION_FILE = ROOT / "combine_health" / "version.py"
CHANGES = ROOT / "CHANGES.md"
UNRELEASED = "## Unreleased\n"


def git(*arguments: str) -> str:
    """What git says."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def refuse(why: str) -> None:
    """End with the reason."""
    raise SystemExit(f"No release: {why}")


def check(version: str) -> None:
    """Refuse what cannot become a release."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        refuse(f"VERSION must look like 0.1.0, not {version!r}. Write: make release VERSION=0.1.0")
    if git("status", "--porcelain"):
        refuse("there are uncommitted changes. Commit or remove them.")
    if git("rev-parse", "--abbrev-ref", "HEAD") != "main":
        refuse("releases are made from main.")
    if f"v{version}" in git("tag").split():
        refuse(f"the tag v{version} exists.")
    latest = [tuple(map(int, tag[1:].split("."))) for tag in git("tag", "--list", "v*").split()]
    if latest and tuple(map(int, version.split("."))) <= max(latest):
        refuse(f"{version} is not newer than v{'.'.join(map(str, max(latest)))}.")
    changes = CHANGES.read_text().partition(UNRELEASED)[2].partition("\n## ")[0]
    if not changes.strip():
        refuse("CHANGES.md says nothing under Unreleased.")


def write_version(version: str) -> None:
    """Set the version in its one place."""
    text = re.sub(r'__version__ = ".+"', f'__version__ = "{version}"', VERSION_FILE.read_text())
    VERSION_FILE.write_text(text)


def main(version: str) -> None:
    """Make the release and leave the tree at the next development version."""
    check(version)
    subprocess.run(["make", "check"], cwd=ROOT, check=True)
    write_version(version)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    heading = f"{UNRELEASED}\n## {version} ({today})\n"
    CHANGES.write_text(CHANGES.read_text().replace(UNRELEASED, heading, 1))
    git("commit", "--all", "--message", f"Release {version}")
    git("tag", "--annotate", f"v{version}", "--message", f"Combine {version}")
    major, minor, patch = version.split(".")
    write_version(f"{major}.{minor}.{int(patch) + 1}.dev0")
    git("commit", "--all", "--message", "Begin the next version")
    sys.stdout.write(f"Tagged v{version}. Push: git push --follow-tags\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
