"""Finds the folder of the cluster: the state folder, or one that the server's account can reach."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from combine_core.postgres.embedded import server
from combine_core.postgres.embedded.account import Account, account_for
from combine_core.postgres.embedded.locks import EmbeddedPostgresError

logger = logging.getLogger(__package__)

# Unlike /tmp, this folder survives a reboot.
FALLBACKS = Path("/var/tmp")  # noqa: S108  # the subfolder is private, and another user's is rejected
NOTE = "WHERE-THE-DATABASE-IS.txt"
OWNER_NOTE = "WHOSE-DATABASE-THIS-IS.txt"
CLUSTER = "cluster"


@dataclass(frozen=True)
class DataFolder:
    """The folder of the cluster and, where needed, of a copy of PostgreSQL's programs."""

    path: Path
    account: Account

    @property
    def cluster(self) -> Path:
        """The folder of the data and the password, which are created together."""
        return self.path / CLUSTER

    @property
    def data(self) -> Path:
        return self.cluster / "data"


def find_data_folder(state: Path) -> DataFolder:
    """Return the folder of the cluster of ``state``. Creates the fallback folder if it is needed."""
    fallback, note = fallback_of(state), state / NOTE
    if (state / CLUSTER).is_dir():
        folder = DataFolder(state, account_for(state / CLUSTER / "data"))
        if not folder.account.may_enter(state):
            raise EmbeddedPostgresError(
                f"The account {folder.account.name}, which owns the database in {state}, can no"
                " longer enter that folder. Give it the right to pass (chmod o+x) through every"
                " folder above."
            )
        return folder
    account = account_for(fallback / CLUSTER / "data")
    if not account.is_other:
        if note.exists():
            raise EmbeddedPostgresError(
                f"The database of {state} was created by root and is elsewhere; {note} contains its"
                " path. Run as root, or delete that note to begin with an empty database."
            )
        return DataFolder(state, account)
    if not note.exists() and account.may_enter(state):
        return DataFolder(state, account)
    _open_fallback(fallback, note, account)
    return DataFolder(fallback, account)


def fallback_of(state: Path) -> Path:
    """Return the folder for the cluster if the server's account cannot enter ``state``."""
    return FALLBACKS / f"combine-postgres-{hashlib.sha256(os.fsencode(state)).hexdigest()[:16]}"


def _open_fallback(fallback: Path, note: Path, account: Account) -> None:
    if not note.exists() and os.path.lexists(fallback):
        _verify(fallback)
        _set_aside(fallback)
    # Write the note first, because a fallback without a note means that the state folder was deleted.
    note.write_text(
        f"PostgreSQL does not run as root, and the account {account.name}, which runs it instead,\n"
        f"may not enter {note.parent}.\nThe database is therefore kept in\n\n    {fallback}\n\n"
        "To delete the database, stop the service and delete both folders.\n"
    )
    if not os.path.lexists(fallback):
        fallback.mkdir(mode=0o700)
    _verify(fallback)
    (fallback / OWNER_NOTE).write_text(f"This is the database of {note.parent}\n")
    account.admit(fallback)


def _verify(fallback: Path) -> None:
    found = fallback.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o027:
        raise EmbeddedPostgresError(
            f"{fallback}, the place for the database, belongs to another user or is open to others."
            f" Inspect it (ls -ld {fallback}), move it away, and start again."
        )


def _set_aside(fallback: Path) -> None:
    """Rename the database of a deleted state folder, and delete the one that was renamed before."""
    orphaned = server.find(fallback / CLUSTER / "data")
    if orphaned is not None:
        server.end(orphaned)
    old = fallback.with_name(fallback.name + ".old")
    if os.path.lexists(old):
        _verify(old)
        shutil.rmtree(old)
    fallback.rename(old)
    logger.warning(
        "The state folder was deleted, but not its database in %s. The database is now in %s;"
        " delete that folder if you do not need it.",
        fallback,
        old,
    )
