"""The command line: ``combine COMMAND -c production.ini``.

Commands come from the entry-point group ``combine.commands``, to which an add-on can add its own. A click
command gets :func:`combine_core.cli.service.open_service` as click's ``obj``. Any other callable gets the
arguments of its command line and returns the exit status.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from combine_core.cli.service import Service

DISTRIBUTION = "pyramid-combine"
GROUP = "combine.commands"
# The list of commands shows these summaries, because loading all commands takes a second.
SUMMARIES = {
    "archive": "Archive a project or a document, or restore it.",
    "audit": "Show the changes of accounts and rights.",
    "client": "Manage API clients: programs that get OAuth tokens.",
    "delete": "Delete a project, a source, a document or a run.",
    "doctor": "Run all health checks once, without a server.",
    "erase": "Delete a user, a project or a source with every trace.",
    "init": "Write the ini files and the .env.example to start with.",
    "list": "List the health checks, their kinds and settings.",
    "login": "Sign in to a remote service with a browser.",
    "logout": "Sign out of a remote service.",
    "maintenance": "Announce maintenance, end it, or show whether it is on.",
    "migrate": "Migrate the database to the newest revision.",
    "probe": "Check the health of a running service.",
    "project": "Export a project as a ZIP file, or import one.",
    "rename": "Rename a project, a source or a document.",
    "run": "Run a line on files, and print the document.",
    "settings": "Show every setting: its name, value, source, meaning.",
    "token": "Manage personal access tokens: keys for programs.",
    "user": "Manage the users of the service.",
    "worker": "Process runs, beside the web processes.",
}


class _Commands(click.Group):
    """A group that loads each command on use, because most need only a part of the service."""

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {entry_point.name: entry_point for entry_point in entry_points(group=GROUP)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._entry_points()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry_point = self._entry_points().get(cmd_name)
        if entry_point is None:
            return super().get_command(ctx, cmd_name)
        try:
            command = entry_point.load()
        except ModuleNotFoundError as error:
            hint = (
                f"{cmd_name} needs {error.name}. Install it: pip install '.[all]' in the checkout,"
                " or pip install 'WHEEL[all]' with the path of the wheel"
            )
            raise click.ClickException(hint) from error
        return command if isinstance(command, click.Command) else _wrap(cmd_name, command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        ours = {one.name for one in entry_points(group=GROUP) if _is_ours(one)}
        rows = []
        for name in self.list_commands(ctx):
            summary = SUMMARIES.get(name) if name in ours else None
            if summary is None:
                command = self.get_command(ctx, name)
                if command is None or command.hidden:
                    continue
                summary = command.get_short_help_str(formatter.width - 20)
            rows.append((name, summary))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            # Imported here, because a probe runs every few seconds and must not load the database.
            from combine_core.cli.service import message_of

            message = message_of(error)
            if message is None:
                raise
            raise click.ClickException(message) from error


def _is_ours(entry_point: EntryPoint) -> bool:
    return entry_point.dist is not None and entry_point.dist.name == DISTRIBUTION


def _wrap(name: str, run: Callable[..., int]) -> click.Command:
    """Make a click command of a callable that takes the arguments and returns the exit status."""

    @click.command(
        name,
        help=f"See: combine {name} --help",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    @click.pass_context
    def command(ctx: click.Context, arguments: tuple[str, ...]) -> None:
        ctx.exit(run([name, *arguments], prog="combine"))

    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Turn source material into structured documents that quote it."""
    ctx.obj = _open_service


def _open_service(ini: str, *, all_models: bool = True) -> AbstractContextManager[Service]:
    # Imported on use, because a probe runs every few seconds and does not need it.
    from combine_core.cli.service import open_service

    return open_service(ini, all_models=all_models)
