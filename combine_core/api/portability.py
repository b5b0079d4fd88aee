"""API endpoints that export and import a project as a ZIP file."""

from __future__ import annotations

import io
import tempfile
from typing import TYPE_CHECKING

from pyramid.response import FileIter, Response

from combine_core.access import ProjectContext, SignedIn
from combine_core.api.serializers import Json, show_project
from combine_core.api.upload import read_files
from combine_core.database import session_factory
from combine_core.portability.archive import Limits
from combine_core.portability.export import export_project
from combine_core.portability.importing import import_project
from combine_core.users import Permission, UserAction, report_action
from combine_core.web.endpoints import View, attachment
from combine_core.web.problems import FieldError, invalid_content

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

    from combine_core.projects import Project

# The size limits of an unpacked upload. The command line has no limit on the content.
_LIMITS = Limits(content=256 * 2**20, row=64 * 2**20)


def export(context: ProjectContext, request: Request) -> Response:
    """Send the project as a ZIP file. It is written to the disk first, so that no download breaks off."""
    project_id, slug = context.project.id, context.project.slug
    # The export opens its own connection, with a consistent snapshot. This ends the request's transaction.
    request.tm.abort()
    request.tm.begin()
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    try:
        counts = export_project(session_factory(request.registry), project_id, file)
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    report_action(request, UserAction("project-export", f"project:{project_id}", counts))
    return Response(
        app_iter=FileIter(file),
        content_length=size,
        content_type="application/octet-stream",
        content_disposition=attachment(f"{slug}.zip"),
    )


def add(context: SignedIn, request: Request) -> Json:
    """Create a project from the file of an export."""
    files = read_files(request)
    if len(files) > 1:
        raise invalid_content(FieldError("file", "appears more than once. Send one file."))
    project = import_upload(context, request, files[0].data)
    request.response.status_int = 201
    request.response.location = request.route_path("api.project", slug=project.slug)
    return show_project(project)


def import_upload(context: SignedIn, request: Request, data: bytes) -> Project:
    """Create a project of the user from an uploaded ZIP file.

    :raises InvalidArchive: the file cannot be imported
    """
    user_id = context.identity.user_id
    imported = import_project(request.dbsession, io.BytesIO(data), user_id, limits=_LIMITS)
    details = {**imported.counts, "same_ids": imported.same_ids}
    report_action(request, UserAction("project-import", f"project:{imported.project.id}", details))
    return imported.project


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    config.add_endpoint(
        "api.project_export",
        "/projects/{slug}/export",
        View("GET", export, Permission.PROJECTS_WRITE),
        factory=ProjectContext,
        openapi=True,
    )
    # Not below /projects, where "import" may be the slug of a project.
    config.add_endpoint(
        "api.imports",
        "/imports",
        View("POST", add, Permission.PROJECTS_WRITE),
        factory=SignedIn,
        openapi=True,
    )
