"""``combine project``: exports a project as a ZIP file, and imports one.

The services are imported when a command runs, because they load slowly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from combine_core.settings.config_option import config_option

if TYPE_CHECKING:
    from combine_core.cli.service import Service

OpenService = Callable[[str], AbstractContextManager["Service"]]


@click.group()
def project() -> None:
    """Export a project as a ZIP file, or import one."""


@project.command("export")
@config_option
@click.argument("slug")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def export(open_service: OpenService, ini: str, slug: str, file: Path) -> None:
    """Write the project SLUG to the new ZIP file FILE.

    The slug is the last part of the address of the project's page. The file contains the whole project,
    without tokens and keys.
    """
    from sqlalchemy import select

    from combine_core.deletion import Impossible
    from combine_core.portability.export import export_project
    from combine_core.projects import Project
    from combine_core.users import UserAction, report_command

    if file.exists():
        raise click.ClickException(f"{file} already exists. Choose another name, or remove it.")
    with open_service(ini) as service:
        with service.sessions() as session:
            project_id = session.scalar(select(Project.id).where(Project.slug == slug))
        if project_id is None:
            message = (
                f"There is no project {slug}."
                " Use the slug, the last part of the address of the project's page."
            )
            raise click.ClickException(message)
        try:
            with _new_file(file) as target:
                counts = export_project(service.sessions, project_id, target)
        except Impossible as error:
            raise click.ClickException(str(error)) from error
        with service.sessions.begin() as session:
            report_command(session, UserAction("project-export", f"project:{project_id}", counts))
    click.echo(f"Exported the project to {file}. {_in_words(counts)}.", err=True)


@project.command("import")
@config_option
@click.argument("file", type=click.File("rb"))
@click.option("--owner", required=True, metavar="ADDRESS", help="The owner of the new project.")
@click.option("--slug", help="The slug of the new project [default: the exported one].")
@click.pass_obj
def import_(
    open_service: OpenService, ini: str, file: BinaryIO, owner: str, slug: str | None
) -> None:
    """Create a project from FILE, an exported project.

    People in the file are imported as names only. They get no account and no role, and their approvals have
    no effect. If anything fails, nothing is stored.
    """
    from combine_core.portability.archive import InvalidArchive, Limits
    from combine_core.portability.attempt import SlugTaken
    from combine_core.portability.importing import import_project
    from combine_core.users import UserAction, find_user, report_command

    with open_service(ini) as service, service.sessions.begin() as session:
        user = find_user(session, owner)
        if user is None:
            message = f"There is no user {owner}. Add one: combine user create {owner}"
            raise click.ClickException(message)
        limits = Limits(row=Limits.row + 2 * service.core.max_request_body_size)
        try:
            imported = import_project(session, file, user.id, limits=limits, slug=slug)
        except (InvalidArchive, SlugTaken) as error:
            raise click.ClickException(str(error)) from error
        details = {**imported.counts, "same_ids": imported.same_ids}
        report_command(
            session, UserAction("project-import", f"project:{imported.project.id}", details)
        )
    slug, ids = imported.project.slug, "the original ids" if imported.same_ids else "new ids"
    click.echo(f"Imported {slug} with {ids}. {_in_words(imported.counts)}.", err=True)


@contextmanager
def _new_file(file: Path) -> Iterator[BinaryIO]:
    """Open a private temporary file, and rename it when it is complete."""
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.name}.", delete=False) as part:
        try:
            yield cast(BinaryIO, part)
        except BaseException:
            Path(part.name).unlink()
            raise
    Path(part.name).rename(file)


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')}: {number:,}" for name, number in counts.items())
