"""``combine run``: run a line on files and print the document."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from combine_core.settings.config_option import config_option

if TYPE_CHECKING:
    from combine_core.cli.service import Service
    from combine_core.llm import ProviderRegistry
    from combine_core.runs import Run
    from combine_core.sources import FileText

LOCAL_USER = "local@localhost"
PROJECT = "Command line"
POLL_S = 0.2


@dataclass(frozen=True)
class _File:
    name: str
    file: FileText


@click.command()
@config_option
@click.argument("line")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--model", help="Such as anthropic/claude-sonnet-5-5 [default: DEFAULT_MODEL].")
@click.option("--user", help=f"Whose run it is [default in development: {LOCAL_USER}].")
@click.option("--project", default=PROJECT, show_default=True, help="Name of the project.")
@click.option(
    "--format", "form", type=click.Choice(["md", "json"]), default="md", help="Of the output."
)
def run(
    ini: str,
    line: str,
    files: tuple[Path, ...],
    model: str | None,
    user: str | None,
    project: str,
    form: str,
) -> None:
    """Run LINE on FILES (text, PDF, DOCX, …) and print the document it writes.

    The run is kept in the project like any other. Progress goes to standard error.
    """
    from combine_core.cli.service import open_service
    from combine_core.llm import provider_registry

    uploads = [_read(path) for path in files]
    with open_service(ini) as service:
        email = user or (LOCAL_USER if service.core.is_development else None)
        if email is None:
            raise click.UsageError("Whose run is it? Name a user that exists: --user EMAIL")
        providers = provider_registry(service.core)
        run_id = _start(
            service, providers, email, project, line, uploads, model or service.core.default_model
        )
        _work(service, providers, run_id)
        click.echo(_output(service, run_id, form), nl=False)


def _read(path: Path) -> _File:
    from combine_core.sources import UnsupportedFile, read_upload
    from combine_core.text import InvalidText

    try:
        return _File(path.name, read_upload(path.name, path.read_bytes()))
    except (UnsupportedFile, InvalidText) as error:
        raise click.ClickException(f"{path}: {error}") from error


def _start(
    service: Service,
    providers: ProviderRegistry,
    email: str,
    project_name: str,
    line: str,
    files: list[_File],
    model: str,
) -> uuid.UUID:
    from combine_core.lines import UnknownLine
    from combine_core.llm import UnknownModel
    from combine_core.projects import create_project, find_owned_project
    from combine_core.runs import InvalidRun, QueueFull, limits_of, start_run
    from combine_core.sources import add_source
    from combine_core.text import InvalidText
    from combine_core.users import find_user, get_or_create_user

    with service.sessions.begin() as session:
        owner = (
            get_or_create_user(session, email)
            if service.core.is_development
            else find_user(session, email)
        )
        if owner is None:
            message = f"There is no user {email}. Make one: combine user create {email}"
            raise click.ClickException(message)
        try:
            project = find_owned_project(session, project_name, owner.id)
            project = project or create_project(session, project_name, owner.id)
            sources = [
                add_source(session, project.id, file.name, file.file.text, owner.id, file.file)
                for file in files
            ]
            started = start_run(
                session,
                project.id,
                line,
                [source.id for source in sources],
                owner.id,
                model=model,
                providers=providers,
                limits=limits_of(service.core),
            )
        except (InvalidText, InvalidRun, UnknownLine, UnknownModel, QueueFull) as error:
            raise click.ClickException(str(error)) from error
        return started.id


def _work(service: Service, providers: ProviderRegistry, run_id: uuid.UUID) -> None:
    """Work on the run here until it ends; a worker elsewhere may take its steps as well."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from combine_core.runs.worker import make_worker

    worker = make_worker(service.core, providers)
    thread = worker.start()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("Starting", total=None)
            while True:
                run = _look(service, run_id)
                done = sum(step.state == "done" for step in run.steps)
                doing = next(
                    (step.title for step in run.steps if step.state == "running"), run.state
                )
                progress.update(bar, total=len(run.steps), completed=done, description=doing)
                if run.ended_at is not None:
                    break
                time.sleep(POLL_S)
    finally:
        worker.stop()
        thread.join(timeout=15)
    if run.state != "succeeded":
        raise click.ClickException(f"The run {run.state}: {run.error or 'see its page'}")


def _look(service: Service, run_id: uuid.UUID) -> Run:
    from combine_core.runs import read_run

    with service.sessions() as session:
        run = read_run(session, run_id)
        assert run is not None
        return run


def _output(service: Service, run_id: uuid.UUID, form: str) -> str:
    import json

    from combine_core.documents import read_version, versions_of_run

    with service.sessions() as session:
        written = [
            read_version(session, version.document_id, version.number)
            for version in versions_of_run(session, run_id)
        ]
        if form == "md":
            return "\n".join(version.markdown for version in written if version is not None)
        contents = [version.content for version in written if version is not None]
        return json.dumps(contents[0] if len(contents) == 1 else contents, indent=2) + "\n"
