"""Where the cluster lives: in the state folder, or where the server's account can reach it."""

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
from combine_core.postgres.embedded.errors import EmbeddedPostgresError

logger = logging.getLogger(__package__)

# Survives a reboot, unlike /tmp.
REFUGES = Path("/var/tmp")  # noqa: S108  # the folder is made private, and a stranger's is refused
NOTE = "WHERE-THE-DATABASE-IS.txt"
OWNER_NOTE = "WHOSE-DATABASE-THIS-IS.txt"
CLUSTER = "cluster"


@dataclass(frozen=True)
class Home:
    """The folder that holds the cluster and, where needed, a copy of PostgreSQL's programs."""

    folder: Path
    account: Account

    @property
    def cluster(self) -> Path:
        """The cluster as one unit: its data and its password."""
        return self.folder / CLUSTER

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.cluster / "data"


def find_home(state: Path) -> Home:
    """Where the cluster of ``state`` is, or will be made. Makes the refuge where one is needed."""
    refuge, note = refuge_of(state), state / NOTE
    if (state / CLUSTER).is_dir():
        home = Home(state, account_for(state / CLUSTER / "data"))
        if not home.account.may_enter(state):
            raise EmbeddedPostgresError(
                f"The account {home.account.name}, which owns the database in {state}, can no"
                " longer enter that folder. Give it the right to pass (chmod o+x) through every"
                " folder above."
            )
        return home
    account = account_for(refuge / CLUSTER / "data")
    if not account.is_other:
        if note.exists():
            raise EmbeddedPostgresError(
                f"The database of {state} was made by root and is kept elsewhere; {note} says"
                " where. Run as root, or delete that note to begin with an empty database."
            )
        return Home(state, account)
    if not note.exists() and account.may_enter(state):
        return Home(state, account)
    _open_refuge(refuge, note, account)
    return Home(refuge, account)


def refuge_of(state: Path) -> Path:
    """The folder for the cluster of a ``state`` that the server's account may not enter."""
    return REFUGES / f"combine-postgres-{hashlib.sha256(os.fsencode(state)).hexdigest()[:16]}"


def _open_refuge(refuge: Path, note: Path, account: Account) -> None:
    if not note.exists() and os.path.lexists(refuge):
        _verify(refuge)
        _set_aside(refuge)
    # The note comes first: a refuge without a note is one whose state folder was deleted.
    note.write_text(
        f"PostgreSQL does not run as root, and the account {account.name}, which runs it instead,\n"
        f"may not enter {note.parent}.\nThe database is therefore kept in\n\n    {refuge}\n\n"
        "To delete the database, stop the service and delete both folders.\n"
    )
    if not os.path.lexists(refuge):
        refuge.mkdir(mode=0o700)
    _verify(refuge)
    (refuge / OWNER_NOTE).write_text(f"This is the database of {note.parent}\n")
    account.admit(refuge)


def _verify(refuge: Path) -> None:
    found = refuge.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o027:
        raise EmbeddedPostgresError(
            f"{refuge}, the place for the database, was made by somebody else or is open to others."
            f" Look at it (ls -ld {refuge}), move it away, and start again."
        )


def _set_aside(refuge: Path) -> None:
    """Keep the database of a state folder that was deleted, once, out of the way of the new one."""
    forgotten = server.find(refuge / CLUSTER / "data")
    if forgotten is not None:
        server.end(forgotten)
    old = refuge.with_name(refuge.name + ".old")
    if os.path.lexists(old):
        _verify(old)
        shutil.rmtree(old)
    refuge.rename(old)
    logger.warning(
        "the folder of the database was deleted, but not the database in %s: it is now in %s;"
        " delete that if you do not need it",
        refuge,
        old,
    )
