"""Use the API with the client of openapi-python-client: ``python walk.py URL TOKEN``."""

import io
import sys

from combine_client import AuthenticatedClient
from combine_client.api.documents import get_document, get_document_markdown
from combine_client.api.lines import get_line
from combine_client.api.projects import create_project, delete_project, get_project
from combine_client.api.runs import delete_run, get_run, list_calls, list_runs, start_run
from combine_client.api.sources import create_source, delete_source, list_sources
from combine_client.models import (
    Document,
    NewProject,
    NewRun,
    NewSource,
    Problem,
    RunState,
    SourceUpload,
)
from combine_client.types import File

url, token = sys.argv[1:]
TEXT = "# Kitchen\n\nWe decided to keep the oven.\n"

with AuthenticatedClient(f"{url}/api/v1", token, raise_on_unexpected_status=True) as client:
    refused = create_project.sync(client=client, body=NewProject(name=""))
    assert isinstance(refused, Problem), refused
    assert refused.errors[0].field == "name"

    project = create_project.sync(
        client=client, body=NewProject(name="Kitchen"), idempotency_key="k1"
    )
    again = create_project.sync(
        client=client, body=NewProject(name="Kitchen"), idempotency_key="k1"
    )
    assert project == again
    slug = project.slug

    pasted = create_source.sync(slug, client=client, body=NewSource("notes.md", TEXT))
    file = File(io.BytesIO(TEXT.encode()), "minutes.md", "text/markdown")
    uploaded = create_source.sync(slug, client=client, body=SourceUpload(file))
    assert {one.id for one in list_sources.sync(slug, client=client).items} == {
        pasted.id,
        uploaded.id,
    }

    line = get_line.sync("brief", client=client)
    run = start_run.sync(slug, client=client, body=NewRun(line.name, [pasted.id, uploaded.id]))
    while run.state == RunState.RUNNING:
        run = get_run.sync(run.id, client=client)
    assert run.state == RunState.SUCCEEDED, run
    assert run in list_runs.sync(slug, client=client, state=RunState.SUCCEEDED).items
    assert list_calls.sync(run.id, client=client).items

    document = get_document.sync(run.documents[0].id, client=client)
    assert isinstance(document, Document), document
    assert "keep the oven" in get_document_markdown.sync(document.id, client=client)

    assert delete_run.sync_detailed(run.id, client=client).status_code == 204
    assert isinstance(get_document.sync(document.id, client=client), Problem)
    assert delete_source.sync_detailed(slug, pasted.id, client=client).status_code == 204
    assert delete_project.sync_detailed(slug, client=client).status_code == 204
    gone = get_project.sync(slug, client=client)
    assert isinstance(gone, Problem), gone
    assert gone.status == 404
