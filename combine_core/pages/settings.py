"""The pages on which a project, a source, a document or a run is renamed, archived and deleted.

Each page lists the data that is deleted with the resource, above the button that deletes it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request

from combine_core import deletion
from combine_core.access import DocumentContext, InProject, ProjectContext, RunContext
from combine_core.deletion import Impossible, Plan, SourceInUse, in_words
from combine_core.documents import change_document, read_version
from combine_core.projects import Project, change_project
from combine_core.sources import find_source, rename_source
from combine_core.text import InvalidText
from combine_core.users import Permission, UserAction, report_action
from combine_core.web.endpoints import View, or_not_found
from combine_core.web.forms import Form, sentence, text_of

_TEMPLATE = "combine_core:pages/settings.jinja2"


@dataclass(frozen=True)
class Resource:
    """The resource of a page, with the services that change it.

    :ivar name: ``None`` for a run
    :ivar page: the path of the resource's own page
    :ivar after: the path to redirect to after the deletion
    :ivar rename: takes the new name; ``None`` if the resource has no name
    :ivar archive: takes whether to archive or to restore; ``None`` if the resource cannot be archived
    """

    kind: str
    id: uuid.UUID
    name: str | None
    page: str
    after: str
    plan: Callable[[], Plan]
    delete: Callable[[], Plan]
    rename: Callable[[str], None] | None = None
    archive: Callable[[bool], None] | None = None
    archived_at: datetime | None = None


Find = Callable[[Any, Request], Resource]


def project_resource(context: ProjectContext, request: Request) -> Resource:
    session = request.dbsession
    project = session.get_one(Project, context.project.id)
    change = partial(change_project, session, project)
    return Resource(
        "project",
        project.id,
        project.name,
        request.route_path("pages.project", slug=project.slug),
        request.route_path("pages.projects"),
        partial(deletion.plan_project, session, project.id),
        partial(deletion.delete_project, session, project.id),
        lambda name: change(name=name),
        lambda archived: change(archived=archived),
        project.archived_at,
    )


def source_resource(context: ProjectContext, request: Request) -> Resource:
    session, project = request.dbsession, context.project
    source = or_not_found(
        find_source(session, project.id, uuid.UUID(request.matchdict["source_id"]))
    )
    # The page sends this field only after it has listed the documents.
    force = text_of(request, "force") == "yes"
    return Resource(
        "source",
        source.id,
        source.name,
        request.route_path("pages.source", slug=project.slug, source_id=source.id),
        request.route_path("pages.project", slug=project.slug, _anchor="sources"),
        partial(deletion.plan_source, session, project.id, source.id),
        partial(deletion.delete_source, session, project.id, source.id, force=force),
        partial(rename_source, session, source),
    )


def document_resource(context: DocumentContext, request: Request) -> Resource:
    session = request.dbsession
    version = or_not_found(read_version(session, context.document_id))
    document = version.document
    change = partial(change_document, session, document)
    return Resource(
        "document",
        document.id,
        document.title,
        request.route_path("pages.document", id=document.id),
        request.route_path("pages.project", slug=context.project.slug, _anchor="documents"),
        partial(deletion.plan_document, session, document.id),
        partial(deletion.delete_document, session, document.id),
        lambda title: change(title=title),
        lambda archived: change(archived=archived),
        document.archived_at,
    )


def run_resource(context: RunContext, request: Request) -> Resource:
    session = request.dbsession
    return Resource(
        "run",
        context.run_id,
        None,
        request.route_path("pages.run", id=context.run_id),
        request.route_path("pages.project", slug=context.project.slug, _anchor="runs"),
        partial(deletion.plan_run, session, context.run_id),
        partial(deletion.delete_run, session, context.run_id),
    )


def show(find: Find, context: InProject, request: Request) -> dict[str, Any]:
    return _page(find(context, request), context)


def rename(find: Find, context: InProject, request: Request) -> dict[str, Any] | HTTPSeeOther:
    resource, name = find(context, request), text_of(request, "name")
    assert resource.rename is not None
    try:
        resource.rename(name)
    except InvalidText as error:
        request.response.status_int = 400
        return _page(resource, context, Form({"name": name}).with_error("name", sentence(error)))
    _report(request, resource, "change", changed=["name"])
    return HTTPSeeOther(resource.page)


def archive(find: Find, context: InProject, request: Request) -> HTTPSeeOther:
    """Archive the resource, or restore it."""
    resource, archived = find(context, request), text_of(request, "archived")
    assert resource.archive is not None
    if archived not in ("yes", "no"):
        raise HTTPBadRequest
    resource.archive(archived == "yes")
    _report(request, resource, "change", changed=["archived"])
    return HTTPSeeOther(resource.page)


def delete(find: Find, context: InProject, request: Request) -> dict[str, Any] | HTTPSeeOther:
    resource = find(context, request)
    try:
        plan = resource.delete()
    except (Impossible, SourceInUse):
        request.response.status_int = 409
        return _page(resource, context)
    _report(request, resource, "delete", **plan.takes)
    return HTTPSeeOther(resource.after)


def _report(request: Request, resource: Resource, action: str, **details: object) -> None:
    report_action(
        request, UserAction(f"{resource.kind}-{action}", f"{resource.kind}:{resource.id}", details)
    )


def _page(resource: Resource, context: InProject, form: Form | None = None) -> dict[str, Any]:
    plan = resource.plan()
    return {
        "project": context.project,
        "resource": resource,
        "plan": plan,
        "deleted_data": in_words(plan),
        "form": form or Form({"name": resource.name}),
    }


def _about(find: Find, view: Callable[..., Any]) -> Callable[[InProject, Request], Any]:
    """Bind ``find`` to a view. It is not a partial, which Pyramid would call without the context."""

    def view_about(context: InProject, request: Request) -> Any:
        return view(find, context, request)

    return view_about


def includeme(config: Configurator) -> None:
    """Add the pages."""
    for kind, path, factory, find, permission in (
        (
            "project",
            "/projects/{slug}",
            ProjectContext,
            project_resource,
            Permission.PROJECTS_WRITE,
        ),
        (
            "source",
            "/projects/{slug}/sources/{source_id}",
            ProjectContext,
            source_resource,
            Permission.SOURCES_WRITE,
        ),
        (
            "document",
            "/documents/{id}",
            DocumentContext,
            document_resource,
            Permission.DOCUMENTS_WRITE,
        ),
        ("run", "/runs/{id}", RunContext, run_resource, Permission.RUNS_WRITE),
    ):
        forms = {"delete": delete}
        if kind != "run":
            forms["rename"] = rename
        if kind in ("project", "document"):
            forms["archive"] = archive
        config.add_endpoint(
            f"pages.{kind}_settings",
            f"{path}/settings",
            View("GET", _about(find, show), permission, renderer=_TEMPLATE),
            *(
                View("POST", _about(find, view), permission, form=name, renderer=_TEMPLATE)
                for name, view in forms.items()
            ),
            factory=factory,
        )
