"""A project: its sources, a form to start a run, its runs and documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPSeeOther

from combine_core.documents import list_documents
from combine_core.lines import UnknownLine, shipped_lines
from combine_core.llm import UnknownModel, providers_of
from combine_core.pages.model_choice import chosen_model, model_choices
from combine_core.pages.repeats import is_repeated_source, repeated_run, take_turns
from combine_core.runs import InvalidRun, QueueFull, list_runs, start_run
from combine_core.sources import (
    MAX_SOURCE_BYTES,
    UnsupportedFile,
    add_source,
    decode_upload,
    list_sources,
)
from combine_core.text import InvalidText, TextTooLarge, clean_name, clean_text
from combine_core.users import Permission
from combine_core.web.forms import Form, ids_of, sentence, text_of, uploads_of

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

    from combine_core.access import ProjectContext

_TEMPLATE = "combine_core:pages/project.jinja2"
# Rows of each list; older ones are a link away.
_ROWS = 20
_RETRY_AFTER_S = "30"


def includeme(config: Configurator) -> None:
    """Add the views."""
    config.add_view(
        show_project,
        route_name="pages.project",
        request_method="GET",
        permission=Permission.PROJECTS_READ,
        renderer=_TEMPLATE,
    )
    config.add_view(
        paste_source,
        route_name="pages.project",
        request_method="POST",
        request_param="form=paste",
        permission=Permission.SOURCES_WRITE,
        renderer=_TEMPLATE,
    )
    config.add_view(
        upload_sources,
        route_name="pages.project",
        request_method="POST",
        request_param="form=upload",
        permission=Permission.SOURCES_WRITE,
        renderer=_TEMPLATE,
    )
    config.add_view(
        begin_run,
        route_name="pages.project",
        request_method="POST",
        request_param="form=run",
        permission=Permission.RUNS_WRITE,
        renderer=_TEMPLATE,
    )


def show_project(context: ProjectContext, request: Request) -> dict[str, Any]:
    """The page as it is; the lists may be older ones."""
    return _page(context, request)


def paste_source(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Add a text as a source."""
    form = Form({"name": text_of(request, "name"), "text": text_of(request, "text")})
    try:
        name, text = _cleaned(form.value("name"), form.value("text"))
    except InvalidText as error:
        wrong = form.with_error(error.field, sentence(error))
        return _refuse(context, request, status=_status_of(error), paste=wrong)
    _add_once(context, request, name, text)
    return _back(context, request, "sources")


def upload_sources(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Add files as sources: all of them, or none if one cannot be taken."""
    cleaned: list[tuple[str, str]] = []
    errors: list[str] = []
    status = 400
    for upload in uploads_of(request, "file"):
        try:
            cleaned.append(_cleaned(upload.name, decode_upload(upload.name, upload.data)))
        except InvalidText as error:
            errors.append(f"{upload.name}: {sentence(error)}")
            status = _status_of(error)
        except UnsupportedFile as error:
            errors.append(f"{upload.name}: {error}")
    if errors or not cleaned:
        why = " ".join(errors) or "Choose a file."
        wrong = Form().with_error("file", why)
        return _refuse(context, request, status=status, upload=wrong)
    for name, text in cleaned:
        _add_once(context, request, name, text)
    return _back(context, request, "sources")


def begin_run(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Start a run and go to it."""
    providers = providers_of(request.registry)
    line = text_of(request, "line")
    source_ids = ids_of(request, "source")
    model = chosen_model(request, providers)
    form = Form({"line": line, "source": {str(key) for key in source_ids}, "model": model})
    user_id = context.identity.user_id
    session = request.dbsession
    take_turns(session, user_id)
    run_id = repeated_run(session, context.project.id, line, source_ids, user_id, model=model)
    try:
        if run_id is None:
            run_id = start_run(
                session,
                context.project.id,
                line,
                source_ids,
                user_id,
                model=model,
                providers=providers,
            ).id
    except InvalidRun as error:
        return _refuse(context, request, run=form.with_error(error.field, str(error)))
    except UnknownLine as error:
        return _refuse(context, request, run=form.with_error("line", str(error)))
    except UnknownModel as error:
        return _refuse(context, request, run=form.with_error("model", str(error)))
    except QueueFull as error:
        request.response.headers["Retry-After"] = _RETRY_AFTER_S
        full = form.with_error("line", str(error))
        return _refuse(context, request, status=503, run=full)
    return HTTPSeeOther(request.route_path("pages.run", id=run_id))


def _cleaned(name: str, text: str) -> tuple[str, str]:
    """As they will be stored; raises :class:`InvalidText`."""
    return clean_name(name), clean_text(text, "text", max_bytes=MAX_SOURCE_BYTES)


def _status_of(error: InvalidText) -> int:
    return 413 if isinstance(error, TextTooLarge) else 400


def _add_once(context: ProjectContext, request: Request, name: str, text: str) -> None:
    session, project_id, user_id = request.dbsession, context.project.id, context.identity.user_id
    take_turns(session, user_id)
    if not is_repeated_source(session, project_id, name, text, user_id):
        add_source(session, project_id, name, text, user_id)


def _back(context: ProjectContext, request: Request, part: str) -> HTTPSeeOther:
    path = request.route_path("pages.project", slug=context.project.slug, _anchor=part)
    return HTTPSeeOther(path)


def _refuse(
    context: ProjectContext, request: Request, *, status: int = 400, **forms: Form
) -> dict[str, Any]:
    request.response.status_int = status
    return _page(context, request, **forms)


def _page(
    context: ProjectContext,
    request: Request,
    *,
    paste: Form | None = None,
    upload: Form | None = None,
    run: Form | None = None,
) -> dict[str, Any]:
    session, project_id, query = request.dbsession, context.project.id, request.GET
    return {
        "project": context.project,
        "sources": list_sources(session, project_id, cursor=query.get("sources"), limit=_ROWS),
        "runs": list_runs(session, project_id, cursor=query.get("runs"), limit=_ROWS),
        "documents": list_documents(
            session, project_id, cursor=query.get("documents"), limit=_ROWS
        ),
        "lines": list(shipped_lines().values()),
        "models": model_choices(providers_of(request.registry)),
        "may_add": bool(request.has_permission(Permission.SOURCES_WRITE)),
        "may_run": bool(request.has_permission(Permission.RUNS_WRITE)),
        "paste": paste or Form(),
        "upload": upload or Form(),
        "run_form": run or Form(),
    }
