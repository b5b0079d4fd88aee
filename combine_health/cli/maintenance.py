"""Take a service out of rotation, or put it back, without a restart.

Every process that reads the maintenance file reports not ready until the maintenance ends.
"""

import argparse
import getpass
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from combine_health.cli.application import add_ini_argument, chosen_ini, read_ini
from combine_health.cli.result import CommandResult, InputError
from combine_health.engine import maintenance
from combine_health.engine.maintenance import Maintenance, MaintenanceFileError
from combine_health.settings import resolve

HELP = "take a service out of rotation, with reason, owner and automatic end: on, off, show"
LONGEST = timedelta(days=30)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
_PART = re.compile(r"(\d{1,9})([smhd])")
LONGEST_TEXT = 300  # characters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("on", "off", "show"))
    parser.add_argument("--reason", help="reason, shown with the status")
    parser.add_argument("--for", dest="duration", metavar="30m", help="duration: 90s, 30m, 2h, 1d")
    parser.add_argument("--owner", help="person to contact (default: the current user)")
    add_ini_argument(parser)
    parser.add_argument("--file", help="the maintenance file, if it is not the one in the settings")


def run(arguments: argparse.Namespace) -> CommandResult:
    path = _path(arguments)
    if arguments.action != "on" and (arguments.reason or arguments.duration or arguments.owner):
        raise InputError("--reason, --for and --owner are options of: maintenance on")
    try:
        if arguments.action == "on":
            return _on(path, arguments)
        if arguments.action == "off":
            return _off(path)
        return _show(path)
    except OSError as error:
        return CommandResult(
            ok=False,
            headline=f"{path}: {error.strerror or error}. Run the command as the user of the service,"
            " or set combine_health.maintenance_file to a file in a folder that this user may write.",
        )


def duration(text: str) -> timedelta:
    """Parse ``90s``, ``30m``, ``2h``, ``1d`` or ``1h30m``. Raises `InputError`."""
    word = text.strip().lower()
    parts = _PART.findall(word)
    total = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != word or not total:
        raise InputError(f"--for {text!r}: write a duration, such as 90s, 30m, 2h or 1d")
    if total > LONGEST.total_seconds():
        raise InputError(f"--for {text[:40]!r}: at most {LONGEST.days} days")
    return timedelta(seconds=total)


def _path(arguments: argparse.Namespace) -> Path:
    if arguments.file:
        return Path(arguments.file).absolute()
    ini = chosen_ini(arguments.config)
    settings: Mapping[str, Any] = {} if ini is None else read_ini(ini)
    (row,) = (
        row for row in resolve(settings) if row.declared.name == "combine_health.maintenance_file"
    )
    if row.problem:
        raise InputError(row.problem)
    return row.value or maintenance.default_file()


def _on(path: Path, arguments: argparse.Namespace) -> CommandResult:
    reason = " ".join((arguments.reason or "").split())
    if not reason or not arguments.duration:
        raise InputError("maintenance on needs --reason TEXT and --for DURATION, such as 30m")
    owner = " ".join((arguments.owner or _user()).split())
    if max(len(reason), len(owner)) > LONGEST_TEXT:
        raise InputError(f"--reason and --owner take at most {LONGEST_TEXT} characters")
    until = datetime.now(UTC) + duration(arguments.duration)
    order = Maintenance(reason, owner, until)
    maintenance.write_file(path, order)
    return CommandResult(ok=True, headline=_describe(order), more=[f"  file: {path}"])


def _off(path: Path) -> CommandResult:
    if maintenance.remove_file(path):
        return CommandResult(ok=True, headline=f"maintenance has ended ({path} removed)")
    return CommandResult(ok=True, headline=f"there was no maintenance ({path} does not exist)")


def _show(path: Path) -> CommandResult:
    try:
        order = maintenance.read_file(path)
    except MaintenanceFileError as error:
        return CommandResult(ok=False, headline=f"{error}. To remove the file: maintenance off")
    if order is None:
        return CommandResult(ok=True, headline=f"no maintenance ({path} does not exist)")
    if order.until <= datetime.now(UTC):
        return CommandResult(
            ok=True, headline=f"no maintenance; the last one has ended: {_describe(order)}"
        )
    return CommandResult(ok=True, headline=_describe(order), more=[f"  file: {path}"])


def _describe(order: Maintenance) -> str:
    until = order.until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"maintenance until {until}: {order.reason} ({order.owner})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in many containers
        return f"user {os.getuid()}"
