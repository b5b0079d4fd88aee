"""``combine rename``, ``archive``, ``delete`` and ``erase`` for projects, sources, documents, runs and users.

The services are imported when a command runs, because they load slowly.
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
_yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def _kind(*kinds: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.argument("kind", type=click.Choice(kinds))


@click.command()
@config_option
@_kind("project", "source", "document")
@_id
@click.argument("name")
@click.pass_obj
def rename(open_service: OpenService, ini: str, kind: str, id_: str, name: str) -> None:
    """Rename a project, a source or a document.

    The ID is part of the address of its page. For a project, use the id or the slug.
    """
    field = "title" if kind == "document" else "name"
    _change(open_service, ini, kind, id_, **{field: name})
    click.echo(f"Renamed the {kind}.", err=True)


@click.command()
@config_option
@_kind("project", "document")
@_id
@click.option("--undo", is_flag=True, help="Restore it to the lists.")
@click.pass_obj
def archive(open_service: OpenService, ini: str, kind: str, id_: str, undo: bool) -> None:
    """Archive a project or a document: it is no longer listed, and still works."""
    _change(open_service, ini, kind, id_, archived=not undo)
    click.echo(f"{'Restored' if undo else 'Archived'} the {kind}.", err=True)


def _change(open_service: OpenService, ini: str, kind: str, id_: str, **changes: Any) -> None:
    from combine_core.documents import change_document
    from combine_core.projects import change_project
    from combine_core.sources import rename_source

    services: dict[str, Callable[..., None]] = {
        "project": change_project,
        "source": rename_source,
        "document": change_document,
    }
    with _readable_errors(), open_service(ini) as service, service.sessions.begin() as session:
        resource = _find(session, kind, id_)
        services[kind](session, resource, **changes)
        _record(session, f"{kind}-change", f"{kind}:{resource.id}", changed=list(changes))


@click.command()
@config_option
@_kind("project", "source", "document", "run")
@_id
@click.option("--force", is_flag=True, help="Delete a source even if documents were made from it.")
@_yes
@click.pass_obj
def delete(
    open_service: OpenService, ini: str, kind: str, id_: str, force: bool, yes: bool
) -> None:
    """Delete a project, a source, a document or a run.

    The command lists the data that is deleted with it, and asks for confirmation. To delete a user, run:
    combine user delete.
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
    with _readable_errors(), open_service(ini) as service:
        with service.sessions() as session:
            resource = _find(session, kind, id_)
            ids = [resource.project_id, resource.id] if kind == "source" else [resource.id]
            effect = "They stay, and show that the source was deleted."
            _confirm(f"Delete the {kind}", plan_of(session, *ids), effect, yes=yes)
        with service.sessions.begin() as session:
            deleted = delete_(session, *ids, **options)
            _record(session, f"{kind}-delete", f"{kind}:{ids[-1]}", **deleted.takes)
    click.echo(f"Deleted the {kind} {deletion.in_words(deleted)}.", err=True)


@click.command()
@config_option
@_kind("user", "project", "source")
@_id
@_yes
@click.pass_obj
def erase(open_service: OpenService, ini: str, kind: str, id_: str, yes: bool) -> None:
    """Delete a user, a project or a source with every trace.

    The command lists the data that is erased with it, and asks for confirmation. Erasing removes more than
    deleting: for a source, the document versions that were made from it; for a user, the names and addresses
    in the audit. After a deletion, you can still erase by the id. You can name an existing user by the
    address.
    """
    from combine_core.deletion import erasure, in_words

    plan_of, erase_ = {
        "user": (erasure.plan_erasure_of_user, erasure.erase_user),
        "project": (erasure.plan_erasure_of_project, erasure.erase_project),
        "source": (erasure.plan_erasure_of_source, erasure.erase_source),
    }[kind]
    with _readable_errors(), open_service(ini) as service:
        with service.sessions() as session:
            erased_id = _uuid(id_) or _find(session, kind, id_).id
            plan = plan_of(session, erased_id)
            _confirm(f"Erase the {kind}", plan, "These versions are erased.", yes=yes)
        with service.sessions.begin() as session:
            erased = erase_(session, erased_id)
    click.echo(f"Erased the {kind} {in_words(erased)}.", err=True)


def _confirm(question: str, plan: Plan, effect_on_documents: str, *, yes: bool) -> None:
    """Print the effects of the plan, and ask for confirmation."""
    from combine_core.deletion import in_words

    plan.check_possible()
    if plan.documents:
        click.echo(f"Document versions were made from the source. {effect_on_documents}", err=True)
    for document in plan.documents:
        click.echo(f"  {document.versions} of {document.title} ({document.id})", err=True)
    for note in plan.notes:
        click.echo(note, err=True)
    if not yes:
        click.confirm(f"{question} {in_words(plan)}?", abort=True, err=True)


def _record(session: Session, action: str, target: str, **details: object) -> None:
    from combine_core.users import UserAction, report_command

    report_command(session, UserAction(action, target, details))


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Turn the expected errors of the services into messages, and exit with status 1."""
    from combine_core.deletion import Impossible, NotFound, SourceInUse
    from combine_core.text import InvalidText

    try:
        yield
    except NotFound as error:
        message = (
            "Nothing with this id or name was found. The id is part of the address of the page."
        )
        raise click.ClickException(message) from error
    except SourceInUse as error:
        message = "Documents were made from the source. To delete it anyway, add --force"
        raise click.ClickException(message) from error
    except (Impossible, InvalidText) as error:
        raise click.ClickException(str(error)) from error


def _find(session: Session, kind: str, id_: str) -> Any:
    """Find a resource by its id, a project also by its slug, and a user also by the address.

    :raises NotFound: nothing was found
    """
    from sqlalchemy import select

    from combine_core.deletion import NotFound
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
    key = _uuid(id_)
    if key is not None:
        found = session.get(tables[kind], key)
    elif kind == "project":
        found = session.scalar(select(Project).where(Project.slug == id_))
    else:
        found = find_user(session, id_) if kind == "user" else None
    if found is None:
        raise NotFound
    return found


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
