"""Implements the command line ``python -m combine_health``; ``combine`` has the same commands.

::

    probe [URL]          query a running service, as Docker and Kubernetes do
    doctor [-c INI]      run all checks of an application once, without a server
    maintenance on|off|show
    list [-c INI]        checks, kinds, settings

Without ``-c``, the commands use ``COMBINE_INI``, else ``development.ini`` in the current folder (unless
``ENVIRONMENT`` is ``production`` or ``staging``), else ``production.ini``. They report the file on stderr.

The exit status is 0 or 1 (Docker reserves 2). The output is plain text of at most 4,096 bytes, because
Docker keeps that much of a probe's output. The first line states cause and remedy.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from combine_health.cli import doctor, listing, maintenance, probe
from combine_health.cli.result import CommandResult, InputError, render

COMMANDS = {
    "probe": probe,
    "doctor": doctor,
    "maintenance": maintenance,
    "list": listing,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        usage = " ".join(self.format_usage().split())
        raise InputError(f"{self.prog}: {message}. {usage}")


def main(argv: Sequence[str] | None = None, prog: str = "python -m combine_health") -> int:
    """Run the command in ``argv`` (default: ``sys.argv``) and return the exit status.

    ``prog`` is the program's name in the help. Raises `SystemExit` (0) only for ``--help``.
    """
    parser = _parser(prog)
    try:
        arguments = parser.parse_args(argv)
        result = COMMANDS[arguments.command].run(arguments)
    except InputError as error:
        message = str(error)
        result = CommandResult(ok=False, headline=message, more=message.splitlines()[1:])
    text = render(result)
    # In a container the locale is often ASCII; escaped characters are better than a traceback.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    sys.stdout.write(text)
    sys.stdout.flush()
    return 0 if result.ok else 1


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog, description="Check the health of a service, or take it out of rotation."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(
            subparsers.add_parser(
                name, help=command.HELP, description=(command.__doc__ or "").partition("\n")[0]
            )
        )
    return parser
