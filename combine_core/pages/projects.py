"""The page of the user's projects, and the page of a project with its lists and forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request

from combine_core.access import ProjectContext, SignedIn
from combine_core.api.portability import export, import_upload
from combine_core.documents import list_documents
from combine_core.lines import UnknownLine, installed_lines
from combine_core.llm import ProviderRegistry, UnknownModel, providers_of
from combine_core.portability.archive import InvalidArchive
from combine_core.problems import QUEUE_RETRY_S
from combine_core.projects import list_projects
from combine_core.reviews import newest_reviews
from combine_core.runs import (
    InvalidRun,
    QueueFull,
    estimate_run,
    limits_of,
    list_runs,
)
from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_core.sources import (
    MAX_SOURCE_BYTES,
    UnsupportedFile,
    UploadedFile,
    list_sources,
    suffixes,
)
from combine_core.submissions import (
    add_file_once,
    add_source_once,
    create_project_once,
    start_run_once,
)
from combine_core.text import InvalidText, TextTooLarge, clean_name, clean_text
from combine_core.users import Permission
from combine_core.web.endpoints import View
from combine_core.web.forms import Form, ids_of, sentence, text_of, uploads_of

_LIST_TEMPLATE = "combine_core:pages/project_list.jinja2"
_TEMPLATE = "combine_core:pages/project.jinja2"
# The number of rows in each list on the page of a project.
_ROWS = 20


def redirect_to_projects(request: Request) -> HTTPSeeOther:
    return HTTPSeeOther(request.route_path("pages.projects"))


def show_projects(context: SignedIn, request: Request) -> dict[str, Any]:
    return _list_page(context, request, Form())


def add_project(context: SignedIn, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Create a project, and redirect to its page."""
    form = Form({"name": text_of(request, "name")})
    user_id = context.identity.user_id
    try:
        name = clean_name(form.value("name"))
    except InvalidText as error:
        request.response.status_int = 400
        return _list_page(context, request, form.with_error("name", sentence(error)))
    project = create_project_once(request.dbsession, name, user_id)
    return HTTPSeeOther(request.route_path("pages.project", slug=project.slug))


def import_project(context: SignedIn, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Create a project from the file of an export, and redirect to its page."""
    uploads = list(uploads_of(request))
    try:
        if len(uploads) != 1:
            raise InvalidArchive("Choose one file.")
        project = import_upload(context, request, uploads[0].data)
    except InvalidArchive as error:
        request.response.status_int = 400
        return _list_page(context, request, Form().with_error("file", str(error)))
    return HTTPSeeOther(request.route_path("pages.project", slug=project.slug))


def _list_page(context: SignedIn, request: Request, form: Form) -> dict[str, Any]:
    cursor = request.GET.get("cursor")
    archived = request.GET.get("archived") == "yes"
    user_id = context.identity.user_id
    page = list_projects(request.dbsession, user_id, archived=archived, cursor=cursor)
    return {
        "page": page,
        "cursor": cursor,
        "archived": archived,
        "form": form,
    }


def show_project(
    context: ProjectContext,
    request: Request,
    *,
    paste: Form | None = None,
    upload: Form | None = None,
    run: Form | None = None,
) -> dict[str, Any]:
    session, project_id, query = request.dbsession, context.project.id, request.GET
    archived = query.get("archived") == "yes"
    documents = list_documents(
        session, project_id, archived=archived, cursor=query.get("documents"), limit=_ROWS
    )
    return {
        "project": context.project,
        "sources": list_sources(session, project_id, cursor=query.get("sources"), limit=_ROWS),
        "runs": list_runs(session, project_id, cursor=query.get("runs"), limit=_ROWS),
        "documents": documents,
        "reviews": newest_reviews(session, [document.id for document in documents.items]),
        "archived": archived,
        "lines": list(installed_lines().values()),
        "models": model_choices(providers_of(request.registry)),
        "may_add": bool(request.has_permission(Permission.SOURCES_WRITE)),
        "may_change": bool(request.has_permission(Permission.PROJECTS_WRITE)),
        "may_run": bool(request.has_permission(Permission.RUNS_WRITE)),
        "paste": paste or Form(),
        "upload": upload or Form(),
        "suffixes": suffixes(),
        "run_form": run or Form(),
        "estimate": None,
    }


def add_text(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Add a pasted text as a source."""
    form = Form({name: text_of(request, name) for name in ("name", "text", "same_name")})
    try:
        name = clean_name(form.value("name"))
        text = clean_text(form.value("text"), "text", max_bytes=MAX_SOURCE_BYTES)
    except InvalidText as error:
        form = form.with_error(error.field, sentence(error))
        return _refuse(context, request, status=_status_of(error), paste=form)
    try:
        add_source_once(
            request.dbsession,
            context.project.id,
            name,
            text,
            context.identity.user_id,
            revise=_revises(request),
        )
    except InvalidText as error:
        form = form.with_error("name", sentence(error))
        return _refuse(context, request, status=409, paste=form)
    return _back(context, request)


def add_files(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Add uploaded files as sources. If one is rejected, none is added."""
    session, user_id = request.dbsession, context.identity.user_id
    errors: list[str] = []
    status = 400
    count = 0
    savepoint = session.begin_nested()
    for upload in uploads_of(request):
        count += 1
        file = UploadedFile(upload.name, upload.data)
        try:
            add_file_once(session, context.project.id, file, user_id, revise=_revises(request))
        except InvalidText as error:
            errors.append(f"{upload.name}: {sentence(error)}")
            status = _status_of(error)
        except UnsupportedFile as error:
            errors.append(f"{upload.name}: {error}")
    if errors or not count:
        savepoint.rollback()
        form = Form().with_error("file", " ".join(errors) or "Choose a file.")
        return _refuse(context, request, status=status, upload=form)
    return _back(context, request)


def _revises(request: Request) -> bool:
    """Return whether the text or file is a new revision of the source with the same name."""
    return text_of(request, "same_name") != "another"


def start(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Start a run and redirect to it, or estimate its cost."""
    providers = providers_of(request.registry)
    line = text_of(request, "line")
    source_ids = ids_of(request, "source")
    model = chosen_model(request, providers)
    form = Form({"line": line, "source": {str(key) for key in source_ids}, "model": model})
    session, project_id, user_id = request.dbsession, context.project.id, context.identity.user_id
    limits = limits_of(settings_of(request.registry, CoreSettings))
    try:
        if "estimate" in request.POST:
            estimate = estimate_run(
                session,
                project_id,
                line,
                source_ids,
                model=model,
                providers=providers,
                limits=limits,
            )
            return {**show_project(context, request, run=form), "estimate": estimate}
        run_id = start_run_once(
            session,
            project_id,
            line,
            source_ids,
            user_id,
            model=model,
            providers=providers,
            limits=limits,
        )
    except InvalidRun as error:
        return _refuse(context, request, run=form.with_error(error.field, str(error)))
    except UnknownLine as error:
        return _refuse(context, request, run=form.with_error("line", str(error)))
    except UnknownModel as error:
        return _refuse(context, request, run=form.with_error("model", str(error)))
    except QueueFull as error:
        request.response.headers["Retry-After"] = str(QUEUE_RETRY_S)
        form = form.with_error("line", str(error))
        return _refuse(context, request, status=503, run=form)
    return HTTPSeeOther(request.route_path("pages.run", id=run_id))


def _status_of(error: InvalidText) -> int:
    return 413 if isinstance(error, TextTooLarge) else 400


def _back(context: ProjectContext, request: Request) -> HTTPSeeOther:
    path = request.route_path("pages.project", slug=context.project.slug, _anchor="sources")
    return HTTPSeeOther(path)


def _refuse(
    context: ProjectContext, request: Request, *, status: int = 400, **forms: Form
) -> dict[str, Any]:
    request.response.status_int = status
    return show_project(context, request, **forms)


@dataclass(frozen=True)
class ModelChoice:
    """A model provider in the form.

    :ivar value: the value of the radio button, which is the name of the provider
    :ivar takes_model: whether the form has a field for the name of the model
    :ivar model: the initial value of that field
    """

    value: str
    takes_model: bool
    model: str
    checked: bool


def model_choices(registry: ProviderRegistry) -> list[ModelChoice]:
    """Return the configured providers, those without a model name first. The default is checked."""
    default, _, default_name = registry.default_model.partition("/")
    choices = [
        ModelChoice(
            value=status.name,
            takes_model=status.model_string != status.name,
            model=default_name if status.name == default else "",
            checked=status.name == default,
        )
        for status in registry.describe()
        if status.configured
    ]
    return sorted(choices, key=lambda choice: choice.takes_model)


def chosen_model(request: Request, registry: ProviderRegistry) -> str:
    """Return the model that was chosen in the form, or the default model."""
    provider = text_of(request, "model").strip()
    name = text_of(request, f"{provider}-model").strip()
    return f"{provider}/{name}" if name else provider or registry.default_model


def includeme(config: Configurator) -> None:
    """Add the pages."""
    config.add_endpoint(
        "pages.home",
        "/",
        View("GET", redirect_to_projects, Permission.PROJECTS_READ),
        factory=SignedIn,
    )
    config.add_endpoint(
        "pages.projects",
        "/projects",
        View("GET", show_projects, Permission.PROJECTS_READ, renderer=_LIST_TEMPLATE),
        View("POST", add_project, Permission.PROJECTS_WRITE, renderer=_LIST_TEMPLATE),
        View(
            "POST",
            import_project,
            Permission.PROJECTS_WRITE,
            form="import",
            renderer=_LIST_TEMPLATE,
        ),
        factory=SignedIn,
    )
    config.add_endpoint(
        "pages.project_export",
        "/projects/{slug}/export",
        View("GET", export, Permission.PROJECTS_WRITE),
        factory=ProjectContext,
    )
    config.add_endpoint(
        "pages.project",
        "/projects/{slug}",
        View("GET", show_project, Permission.PROJECTS_READ, renderer=_TEMPLATE),
        View("POST", add_text, Permission.SOURCES_WRITE, form="paste", renderer=_TEMPLATE),
        View("POST", add_files, Permission.SOURCES_WRITE, form="upload", renderer=_TEMPLATE),
        View("POST", start, Permission.RUNS_WRITE, form="run", renderer=_TEMPLATE),
        factory=ProjectContext,
    )
