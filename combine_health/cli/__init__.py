"""The command line: ``python -m combine_health``, which ``combine`` mounts.

::

    probe [URL]          ask a running service, as Docker and Kubernetes do
    doctor -c INI        run all checks of an application once, without a server
    maintenance on|off|show
    list [-c INI]        checks, kinds, settings

The exit status is 0 or 1 (Docker reserves 2). What is printed is plain text of at most 4,096 bytes,
which is what Docker keeps of a probe's output, and its first line says cause and remedy.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from combine_health.cli import doctor, listing, maintenance, probe
from combine_health.cli.finding import Finding, InputError
from combine_health.engine.redaction import Redactor

COMMANDS = {
    "probe": probe,
    "doctor": doctor,
    "maintenance": maintenance,
    "list": listing,
}
MOST_BYTES = 4096
LINE = 400  # characters


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        usage = " ".join(self.format_usage().split())
        raise InputError(f"{self.prog}: {message}. {usage}")


def main(argv: Sequence[str] | None = None, prog: str = "python -m combine_health") -> int:
    """Run the command in ``argv`` (default: that of the process) and return the exit status.

    ``prog`` is how the help calls it. Raises `SystemExit` (0) for ``--help`` alone.
    """
    parser = _parser(prog)
    try:
        arguments = parser.parse_args(argv)
        finding = COMMANDS[arguments.command].run(arguments)
    except InputError as error:
        said = str(error)
        finding = Finding(ok=False, headline=said, more=said.splitlines()[1:])
    text = render(finding)
    # In a container the locale is often plain ASCII: better escaped than a traceback.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    sys.stdout.write(text)
    sys.stdout.flush()
    return 0 if finding.ok else 1


def render(finding: Finding) -> str:
    """The text of ``finding``: redacted, without control characters, at most 4,096 bytes."""
    redactor = finding.redactor or Redactor()
    lines = [redactor.text(finding.headline, 2 * LINE)]
    # Indentation is made here: the redactor leaves single spaces.
    lines += [
        line[: len(line) - len(line.lstrip(" "))] + redactor.text(line, LINE)
        for line in finding.more
    ]
    kept, size = [], len("(cut)\n")
    for line in lines:
        # Escaped, a character can take up to ten bytes.
        size += len(line.encode("ascii", "backslashreplace")) + 1
        if size > MOST_BYTES and not finding.unlimited:
            kept.append("(cut)")
            break
        kept.append(line)
    return "\n".join(kept) + "\n"


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=prog, description="Health of a service: ask, examine, take it out.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(
            subparsers.add_parser(
                name, help=command.HELP, description=(command.__doc__ or "").partition("\n")[0]
            )
        )
    return parser
