"""``combine run``: runs a line on files and prints the document."""

from __future__ import annotations

import json
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from combine_core.settings.config_option import config_option

if TYPE_CHECKING:
    from combine_core.cli.service import Service
    from combine_core.documents import DocumentVersion
    from combine_core.llm import ProviderRegistry
    from combine_core.runs import Run
    from combine_core.sources import FileText

LOCAL_USER = "local@localhost"
PROJECT = "Command line"
POLL_S = 0.2
# The time that steps of other runs, which this worker may have claimed, get to finish at the end.
GRACE_S = 2.0
STDIN = Path("-")
# The exit status of a shell command that Ctrl-C ended.
INTERRUPTED = 130


@dataclass(frozen=True)
class _File:
    name: str
    file: FileText


@dataclass(frozen=True)
class _StartedRun:
    """A run that was started.

    :ivar reused: the ids of the sources that the project had already
    """

    run_id: uuid.UUID
    reused: frozenset[uuid.UUID]


@click.command()
@config_option
@click.argument("line")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option("--name", help="File name of standard input. Its suffix selects the reader.")
@click.option(
    "--model", help="Model, such as anthropic/claude-sonnet-5-5 [default: DEFAULT_MODEL]."
)
@click.option("--user", help=f"Owner of the run [default in development: {LOCAL_USER}].")
@click.option("--project", default=PROJECT, show_default=True, help="Name of the project.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["md", "json"]),
    default="md",
    help="Format of the document.",
)
@click.option(
    "--json", "whole", is_flag=True, help="Print one JSON object: run, sources and documents."
)
@click.pass_context
def run(
    ctx: click.Context,
    ini: str,
    line: str,
    files: tuple[Path, ...],
    name: str | None,
    model: str | None,
    user: str | None,
    project: str,
    format_: str,
    whole: bool,
) -> None:
    """Run LINE on FILES (text, PDF, DOCX, …; - is standard input) and print the document.

    The project keeps the run like any other. A file that the project has already is not stored again.
    Progress is printed to standard error. Ctrl-C prints the address of the run, and a second Ctrl-C cancels
    the run.
    """
    from combine_core.cli.service import open_service
    from combine_core.llm import provider_registry

    if files.count(STDIN) > 1:
        raise click.UsageError("Standard input can be read only once: pass - only once.")
    if name is not None and STDIN not in files:
        raise click.UsageError("--name is the name of standard input: pass - as one of the files.")
    uploads = [_read(path, name) for path in files]
    with open_service(ini) as service, _counting_interrupts() as interrupts:
        email = user or (LOCAL_USER if service.core.is_development else None)
        if email is None:
            raise click.UsageError("Name the owner of the run, an existing user: --user EMAIL")
        providers = provider_registry(service.core)
        started = _start(
            service, providers, email, project, line, uploads, model or service.core.default_model
        )
        ended = _work(service, providers, started.run_id, interrupts)
        if whole:
            from combine_core.web.endpoints import json_value

            click.echo(json.dumps(_result(service, started), indent=2, default=json_value))
        if ended.state == "cancelled":
            click.echo(f"The run {ended.id} is cancelled.", err=True)
            ctx.exit(INTERRUPTED)
        if ended.state != "succeeded":
            raise click.ClickException(f"The run {ended.state}: {ended.error or 'see its page'}")
        if not whole:
            click.echo(_document(service, started.run_id, format_), nl=False)


@contextmanager
def _counting_interrupts() -> Iterator[list[int]]:
    """Collect Ctrl-C signals in a list inside the block, so that they interrupt nothing."""
    interrupts: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number))
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def _read(path: Path, name: str | None) -> _File:
    from combine_core.sources import UnsupportedFile, read_upload
    from combine_core.text import InvalidText

    if path == STDIN:
        name, data = name or "stdin.md", sys.stdin.buffer.read()
    else:
        name, data = path.name, path.read_bytes()
    try:
        return _File(name, read_upload(name, data))
    except (UnsupportedFile, InvalidText) as error:
        shown = "standard input" if path == STDIN else path
        raise click.ClickException(f"{shown}: {error}") from error


def _start(
    service: Service,
    providers: ProviderRegistry,
    email: str,
    project_name: str,
    line: str,
    files: list[_File],
    model: str,
) -> _StartedRun:
    from combine_core.lines import UnknownLine
    from combine_core.llm import UnknownModel
    from combine_core.projects import create_project, find_owned_project
    from combine_core.runs import InvalidRun, QueueFull, limits_of, start_run
    from combine_core.sources import add_source, find_same_source
    from combine_core.text import InvalidText
    from combine_core.users import find_user, get_or_create_user

    with service.sessions.begin() as session:
        owner = (
            get_or_create_user(session, email)
            if service.core.is_development
            else find_user(session, email)
        )
        if owner is None:
            message = f"There is no user {email}. Create one: combine user create {email}"
            raise click.ClickException(message)
        reused = set()
        try:
            project = find_owned_project(session, project_name, owner.id)
            project = project or create_project(session, project_name, owner.id)
            source_ids = []
            for file in files:
                same = find_same_source(session, project.id, file.file.text)
                if same is None:
                    source_id = add_source(
                        session, project.id, file.name, file.file.text, owner.id, file.file
                    ).id
                else:
                    source_id = same.id
                    reused.add(source_id)
                    click.echo(
                        f"{file.name}: the project has this text already, as {same.name}"
                        f" ({same.id}). It is not stored again.",
                        err=True,
                    )
                source_ids.append(source_id)
            started = start_run(
                session,
                project.id,
                line,
                source_ids,
                owner.id,
                model=model,
                providers=providers,
                limits=limits_of(service.core),
            )
        except (InvalidText, InvalidRun, UnknownLine, UnknownModel, QueueFull) as error:
            raise click.ClickException(str(error)) from error
        return _StartedRun(started.id, frozenset(reused))


def _work(
    service: Service, providers: ProviderRegistry, run_id: uuid.UUID, interrupts: list[int]
) -> Run:
    """Process the run until it ends. Other workers may claim some of its steps."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from combine_core.runs import cancel_run
    from combine_core.runs.worker import make_worker

    worker = make_worker(service.core, providers, grace=GRACE_S)
    thread = worker.start()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    is_address_shown = False
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("Starting", total=None)
            while True:
                run = _read_run(service, run_id)
                done = sum(step.state == "done" for step in run.steps)
                current = next(
                    (step.title for step in run.steps if step.state == "running"), run.state
                )
                progress.update(bar, total=len(run.steps), completed=done, description=current)
                if run.ended_at is not None:
                    return run
                if interrupts and not is_address_shown:
                    is_address_shown = True
                    progress.console.print(
                        f"The run {run_id} continues. Press Ctrl-C again to cancel it, or open"
                        f" {service.core.public_url}/runs/{run_id} to see or cancel it.",
                        markup=False,
                        highlight=False,
                        soft_wrap=True,
                    )
                if len(interrupts) > 1:
                    with service.sessions.begin() as session:
                        cancel_run(session, run_id)
                    continue
                time.sleep(POLL_S)
    finally:
        worker.stop()
        thread.join(timeout=15)


def _read_run(service: Service, run_id: uuid.UUID) -> Run:
    from combine_core.runs import read_run

    with service.sessions() as session:
        run = read_run(session, run_id)
        assert run is not None
        return run


def _document(service: Service, run_id: uuid.UUID, format_: str) -> str:
    versions = _read_versions(service, run_id)
    if format_ == "md":
        return "\n".join(version.markdown for version in versions)
    contents = [version.content for version in versions]
    return json.dumps(contents[0] if len(contents) == 1 else contents, indent=2) + "\n"


def _read_versions(service: Service, run_id: uuid.UUID) -> list[DocumentVersion]:
    """Return the document versions that the run wrote, with their contents."""
    from combine_core.documents import read_version, versions_of_run

    with service.sessions() as session:
        versions = [
            read_version(session, version.document_id, version.number)
            for version in versions_of_run(session, run_id)
        ]
    return [version for version in versions if version is not None]


def _result(service: Service, started: _StartedRun) -> dict[str, Any]:
    """Return the run, its sources and its documents in the format of the API."""
    from combine_core.api.runs import show_runs
    from combine_core.api.serializers import show_source, show_whole_document
    from combine_core.runs import find_run

    run = _read_run(service, started.run_id)
    with service.sessions() as session:
        listed = find_run(session, run.id)
        assert listed is not None
        [shown] = show_runs(session, [listed])
    return {
        "run": shown,
        "sources": [
            {**show_source(entry.source), "reused": entry.source_id in started.reused}
            for entry in run.inputs
        ],
        "documents": [
            {**show_whole_document(version), "markdown": version.markdown}
            for version in _read_versions(service, run.id)
        ],
    }
