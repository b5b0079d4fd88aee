"""``combine rename``, ``archive``, ``delete`` and ``erase``: projects, sources, documents, runs, users.

The services are imported when a command runs, because they take long to load.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import click

from combine_core.settings.config_option import config_option

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from combine_core.cli.service import Service
    from combine_core.deletion import Plan

OpenService = Callable[[str], AbstractContextManager["Service"]]

_id = click.argument("id_", metavar="ID")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


def _kind(*kinds: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.argument("kind", type=click.Choice(kinds))


@click.command()
@config_option
@_kind("project", "source", "document")
@_id
@click.argument("name")
@click.pass_obj
def rename(open_service: OpenService, ini: str, kind: str, id_: str, name: str) -> None:
    """Give a project, a source or a document another name.

    The ID stands in the address of its page. For a project the slug does, too.
    """
    field = "title" if kind == "document" else "name"
    _change(open_service, ini, kind, id_, **{field: name})
    click.echo(f"Renamed the {kind}.", err=True)


@click.command()
@config_option
@_kind("project", "document")
@_id
@click.option("--undo", is_flag=True, help="Bring it back into the lists.")
@click.pass_obj
def archive(open_service: OpenService, ini: str, kind: str, id_: str, undo: bool) -> None:
    """Take a project or a document out of the lists. It goes on working."""
    _change(open_service, ini, kind, id_, archived=not undo)
    click.echo(f"The {kind} is {'back' if undo else 'archived'}.", err=True)


def _change(open_service: OpenService, ini: str, kind: str, id_: str, **what: Any) -> None:
    from combine_core.documents import change_document
    from combine_core.projects import change_project
    from combine_core.sources import rename_source

    services: dict[str, Callable[..., None]] = {
        "project": change_project,
        "source": rename_source,
        "document": change_document,
    }
    with _refusals_shown(), open_service(ini) as service, service.sessions.begin() as session:
        thing = _find(session, kind, id_)
        services[kind](session, thing, **what)
        _tell(session, f"{kind}-change", f"{kind}:{thing.id}", changed=list(what))


@click.command()
@config_option
@_kind("project", "source", "document", "run")
@_id
@click.option("--force", is_flag=True, help="Also a source that documents were made from.")
@_yes
@click.pass_obj
def delete(
    open_service: OpenService, ini: str, kind: str, id_: str, force: bool, yes: bool
) -> None:
    """Delete a project, a source, a document or a run. It says before what goes along, and asks.

    Users: combine user delete.
    """
    from combine_core import deletion

    services: dict[str, tuple[Callable[..., Plan], Callable[..., Plan]]] = {
        "project": (deletion.plan_project, deletion.delete_project),
        "source": (deletion.plan_source, deletion.delete_source),
        "document": (deletion.plan_document, deletion.delete_document),
        "run": (deletion.plan_run, deletion.delete_run),
    }
    plan_of, delete_ = services[kind]
    options = {"force": force} if kind == "source" else {}
    with _refusals_shown(), open_service(ini) as service:
        with service.sessions() as session:
            thing = _find(session, kind, id_)
            ids = [thing.project_id, thing.id] if kind == "source" else [thing.id]
            _ask(f"Delete the {kind}", plan_of(session, *ids), "They stay, and say so.", yes=yes)
        with service.sessions.begin() as session:
            gone = delete_(session, *ids, **options)
            _tell(session, f"{kind}-delete", f"{kind}:{ids[-1]}", **gone.takes)
    click.echo(f"Deleted the {kind} {deletion.in_words(gone)}.", err=True)


@click.command()
@config_option
@_kind("user", "project", "source")
@_id
@_yes
@click.pass_obj
def erase(open_service: OpenService, ini: str, kind: str, id_: str, yes: bool) -> None:
    """Delete a user, a project or a source with every trace. It says what, and asks.

    More goes than by deleting: with a source, the document versions that were made from it; with a user,
    their names and addresses in the audit. One that was deleted before can still be erased, by its id. A
    user who is there can be named by their address.
    """
    from combine_core.deletion import erasure, in_words

    plan_of, erase_ = {
        "user": (erasure.plan_erasure_of_user, erasure.erase_user),
        "project": (erasure.plan_erasure_of_project, erasure.erase_project),
        "source": (erasure.plan_erasure_of_source, erasure.erase_source),
    }[kind]
    with _refusals_shown(), open_service(ini) as service:
        with service.sessions() as session:
            thing_id = _uuid(id_) or _find(session, kind, id_).id
            _ask(f"Erase the {kind}", plan_of(session, thing_id), "These versions go.", yes=yes)
        with service.sessions.begin() as session:
            gone = erase_(session, thing_id)
    click.echo(f"Erased the {kind} {in_words(gone)}.", err=True)


def _ask(what: str, plan: Plan, documents: str, *, yes: bool) -> None:
    """Say what goes along, and ask whether it may."""
    from combine_core.deletion import in_words

    plan.check_possible()
    if plan.documents:
        click.echo(f"Document versions were made from it. {documents}", err=True)
    for document in plan.documents:
        click.echo(f"  {document.versions} of {document.title} ({document.id})", err=True)
    for note in plan.notes:
        click.echo(note, err=True)
    if not yes:
        click.confirm(f"{what} {in_words(plan)}?", abort=True, err=True)


def _tell(session: Session, action: str, target: str, **details: object) -> None:
    from combine_core.users import Deed, tell_of_command

    tell_of_command(session, Deed(action, target, details))


@contextmanager
def _refusals_shown() -> Iterator[None]:
    """Print what cannot be done as one line, and exit with status 1."""
    from combine_core.deletion import Impossible, NotThere, SourceInUse
    from combine_core.text import InvalidText

    try:
        yield
    except NotThere as error:
        message = "It is not there. The id stands in the address of the page."
        raise click.ClickException(message) from error
    except SourceInUse as error:
        message = "Documents were made from the source. To delete it all the same: --force"
        raise click.ClickException(message) from error
    except (Impossible, InvalidText) as error:
        raise click.ClickException(str(error)) from error


def _find(session: Session, kind: str, id_: str) -> Any:
    """The thing with this id, the project with this slug, the user with this address. Raises NotThere."""
    from sqlalchemy import select

    from combine_core.deletion import NotThere
    from combine_core.documents import Document
    from combine_core.projects import Project
    from combine_core.runs import Run
    from combine_core.sources import Source
    from combine_core.users import User, find_user

    tables: dict[str, Any] = {
        "project": Project,
        "source": Source,
        "document": Document,
        "run": Run,
        "user": User,
    }
    thing_id = _uuid(id_)
    if thing_id is not None:
        found = session.get(tables[kind], thing_id)
    elif kind == "project":
        found = session.scalar(select(Project).where(Project.slug == id_))
    else:
        found = find_user(session, id_) if kind == "user" else None
    if found is None:
        raise NotThere
    return found


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
