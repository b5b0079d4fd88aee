"""The account that runs PostgreSQL. The server refuses root, so root runs it as an unprivileged account."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from combine_core.postgres.embedded.locks import EmbeddedPostgresError

# The server gets no other variables of this process: the PG* variables would change its configuration, and
# it would keep the secrets of the service for as long as it lives.
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True)
class Account:
    """An account of the operating system.

    :ivar is_other: this process runs as another account, and drops privileges to use this one
    """

    name: str
    uid: int
    gid: int
    is_other: bool

    def run(
        self,
        arguments: Sequence[str | Path],
        *,
        variables: dict[str, str] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this account, with a minimal environment, and wait until it ends.

        :param options: passed to :func:`subprocess.run`; output is captured unless they redirect it
        """
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        environment["LC_ALL"] = "C"
        settings: dict[str, Any] = {
            # The working directory may be one that the account cannot enter.
            "cwd": "/",
            "env": {**environment, **(variables or {})},
            "stdin": subprocess.DEVNULL,
            "encoding": "utf-8",
            "errors": "replace",
        }
        if "stdout" not in options:
            settings["capture_output"] = True
        if self.is_other:
            settings.update(user=self.uid, group=self.gid, extra_groups=[])
        result: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: PLW1510
            [str(argument) for argument in arguments], **{**settings, **options}
        )
        return result

    def may_enter(self, folder: Path) -> bool:
        """Check whether this account can enter ``folder`` and every folder above it."""
        if not self.is_other:
            return True
        try:
            return self.run(["test", "-x", folder]).returncode == 0
        except OSError as error:
            raise EmbeddedPostgresError(
                "PostgreSQL does not run as root, and dropping privileges to the account"
                f" {self.name} failed: {error.strerror}. Run as an ordinary user, or set"
                " DATABASE_URL."
            ) from error

    def give(self, path: Path) -> None:
        if self.is_other:
            os.chown(path, self.uid, self.gid)

    def admit(self, folder: Path) -> None:
        """Allow only this account to pass through a private ``folder`` of this process."""
        if self.is_other:
            os.chown(folder, -1, self.gid)
            folder.chmod(0o710)


def account_for(data: Path) -> Account:
    """Return the owner of the cluster in ``data``, or an account that can create a cluster."""
    if os.geteuid() != 0:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid(), is_other=False)
    try:
        owner = data.stat().st_uid
    except FileNotFoundError:
        return _unprivileged()
    if owner == 0:
        raise EmbeddedPostgresError(
            f"The cluster {data} belongs to root, and PostgreSQL does not run as root. Give it to"
            f" an unprivileged account: chown -R nobody '{data}'"
        )
    try:
        entry = pwd.getpwuid(owner)
    except KeyError:
        return Account(str(owner), owner, data.stat().st_gid, is_other=True)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, is_other=True)


def _unprivileged() -> Account:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, is_other=True)
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, and this machine has neither an account postgres nor an"
        " account nobody. Run as an ordinary user, or set DATABASE_URL."
    )
