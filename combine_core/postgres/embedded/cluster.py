"""Creates a cluster, completely or not at all."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from pathlib import Path

from combine_core.postgres.embedded.account import Account
from combine_core.postgres.embedded.binaries import Binaries
from combine_core.postgres.embedded.data_folder import DataFolder
from combine_core.postgres.embedded.locks import EmbeddedPostgresError, FileLock
from combine_core.postgres.embedded.server import USER

logger = logging.getLogger(__package__)

PASSWORD = "password"  # noqa: S105  # the name of a file
PARTIAL = "cluster.partial"

# PostgreSQL truncates paths at 1024 bytes (MAXPGPATH), and appends about 60 bytes itself.
_LONGEST_PATH = 900


def major_version(folder: DataFolder) -> int | None:
    """Return the major version that created the cluster, or None if there is no cluster."""
    try:
        return int((folder.data / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError) as error:
        if not folder.cluster.exists():
            return None
        raise EmbeddedPostgresError(
            f"{folder.data} contains no PostgreSQL cluster: its file PG_VERSION is missing or damaged."
            f" Restore the files from a backup, or delete {folder.cluster} to begin with an empty database."
        ) from error


def read_password(folder: DataFolder) -> str:
    """Return the password of the database user, which was created with the cluster."""
    path = folder.cluster / PASSWORD
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        raise EmbeddedPostgresError(
            f"{path} is missing, and without it the service cannot sign in to the database. Restore"
            f" it from a backup, or delete {folder.cluster} to begin with an empty database."
        ) from None


def make_cluster(
    folder: DataFolder, binaries: Binaries, deciding: FileLock, *, durable: bool
) -> None:
    """Run initdb in a separate folder, and rename that folder when it is complete.

    :param deciding: the lock that this process holds. initdb inherits it, so if this process dies, no other
        process can take the lock and remove the incomplete folder while initdb still writes to it
    :param durable: whether the files must survive a crash of the machine
    """
    if len(os.fsencode(folder.data)) > _LONGEST_PATH:
        raise EmbeddedPostgresError(
            f"The path of the database is longer than the {_LONGEST_PATH} bytes that PostgreSQL can"
            f" handle: {folder.data}. Move the checkout or choose another var_dir."
        )
    partial = folder.path / PARTIAL
    if partial.exists():
        logger.info("removing the incomplete cluster %s", partial)
        shutil.rmtree(partial)
    logger.info("creating a cluster in %s with %s", folder.cluster, binaries)
    partial.mkdir(mode=0o700)
    folder.account.admit(partial)
    password = partial / PASSWORD
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(32) + "\n")
    folder.account.give(password)
    # initdb runs as the account, which must not write beside this folder.
    data = partial / "data"
    data.mkdir(mode=0o700)
    folder.account.give(data)
    _initdb(folder.account, binaries, data, password, deciding, durable=durable)
    if durable:
        _sync(password)
        _sync(partial)
    partial.rename(folder.cluster)
    if durable:
        _sync(folder.path)


def _initdb(
    account: Account,
    binaries: Binaries,
    data: Path,
    password: Path,
    deciding: FileLock,
    *,
    durable: bool,
) -> None:
    for locale in _locales(binaries):
        result = account.run(
            [
                binaries.folder / "initdb",
                f"--pgdata={data}",
                f"--username={USER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--lc-messages=C",
                *locale,
                "--no-instructions",
                *(["--data-checksums"] if durable else ["--no-sync"]),
            ],
            pass_fds=(deciding.fd,),
        )
        if result.returncode == 0:
            return
        if "locale" not in result.stderr:
            break
        logger.info("this system has no %s", " ".join(locale))
    raise EmbeddedPostgresError(
        f"initdb of {binaries} could not create a database in {data}:\n{result.stderr.strip()}\n"
        "Fix this error (disk full? read-only folder?) and start again, or set DATABASE_URL."
    )


def _locales(binaries: Binaries) -> list[list[str]]:
    """Return the locale options to try in turn: Unicode characters without a national collation."""
    # PostgreSQL 17 and later include C.UTF-8, for systems (musl, older macOS) that lack it.
    builtin = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [["--locale=C.UTF-8"], *([builtin] if binaries.major >= 17 else []), ["--locale=C"]]


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
