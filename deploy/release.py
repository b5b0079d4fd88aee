"""Makes a release: runs the checks, sets the version, dates the changes, commits and tags.

    python deploy/release.py 0.1.0

Only combine_health/version.py contains the version. Afterwards the tree is at the next development version,
and the rollback tests use the new release as the previous one.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VERSION_FILE = ROOT / "combine_health" / "version.py"
CHANGES = ROOT / "CHANGES.md"
UNRELEASED = "## Unreleased\n"
# Names the commit of the release that the rollback tests run next to the current code.
PREVIOUS_RELEASE = ROOT / "tests" / "functional" / "migrations" / "previous_release"

NUMBER = "(0|[1-9][0-9]*)"
VERSION = re.compile(rf"{NUMBER}\.{NUMBER}\.{NUMBER}")


def git(*arguments: str) -> str:
    """Run git and return its output."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def refuse(reason: str) -> NoReturn:
    raise SystemExit(f"No release: {reason}")


def numbers(version: str) -> tuple[int, ...]:
    """Return the version as numbers to compare: 0.10.0 is newer than 0.9.0."""
    return tuple(map(int, version.split(".")))


def check(version: str) -> None:
    """Refuse the release if the version, the checkout or `make check` is not in order."""
    if not VERSION.fullmatch(version):
        refuse(f"VERSION must look like 0.1.0, not {version!r}. Write: make release VERSION=0.1.0")
    if git("status", "--porcelain"):
        refuse("there are uncommitted changes. Commit or remove them.")
    if git("rev-parse", "--abbrev-ref", "HEAD") != "main":
        refuse("releases are made from main. Write: git checkout main")
    if f"v{version}" in git("tag").split():
        refuse(f"the tag v{version} exists. Take the next version.")
    tags = git("tag", "--list", "v*").split()
    released = [tag[1:] for tag in tags if VERSION.fullmatch(tag[1:])]
    newest = max(released, key=numbers, default="0.0.0")
    if numbers(version) <= numbers(newest):
        refuse(f"{version} is not newer than v{newest}.")
    begun = VERSION.search(VERSION_FILE.read_text())
    # Tags may be absent, as in a shallow clone.
    if begun is not None and numbers(version) < numbers(begun.group()):
        refuse(f"{version} is older than {begun.group()}, the version in {VERSION_FILE.name}.")
    changes = CHANGES.read_text().partition(UNRELEASED)[2].partition("\n## ")[0]
    if not changes.strip():
        refuse("CHANGES.md is empty under Unreleased. Describe the changes there.")
    if subprocess.run(["make", "check"], cwd=ROOT, check=False).returncode != 0:
        refuse("`make check` failed. Fix the errors above first.")


def write_version(version: str) -> None:
    text = re.sub(r'__version__ = ".+"', f'__version__ = "{version}"', VERSION_FILE.read_text())
    VERSION_FILE.write_text(text)


def commit_and_tag(version: str) -> None:
    """Commit and tag the release, and commit the next development version."""
    write_version(version)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    heading = f"{UNRELEASED}\n## {version} ({today})\n"
    CHANGES.write_text(CHANGES.read_text().replace(UNRELEASED, heading, 1))
    git("commit", "--all", "--message", f"Release {version}")
    git("tag", "--annotate", f"v{version}", "--message", f"Combine {version}")
    major, minor, patch = numbers(version)
    write_version(f"{major}.{minor}.{patch + 1}.dev0")
    PREVIOUS_RELEASE.write_text(git("log", "-1", "--format=%H %s") + "\n")
    git("commit", "--all", "--message", "Begin the next version")


def main(version: str) -> None:
    """Make the release and leave the tree at the next development version."""
    check(version)
    before = git("rev-parse", "HEAD")
    try:
        commit_and_tag(version)
    except subprocess.CalledProcessError as error:
        # The tree was clean before, so the reset loses nothing.
        git("reset", "--quiet", "--hard", before)
        if f"v{version}" in git("tag").split():
            git("tag", "--delete", f"v{version}")
        refuse(f"`git {error.cmd[1]}` failed; see its output above. The checkout is unchanged.")
    sys.stdout.write(f"Tagged v{version}. Push: git push --follow-tags\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
