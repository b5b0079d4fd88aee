"""Tests the pages for renaming, archiving and deleting: their warnings and permissions."""

import pytest
from sqlalchemy import text

from combine_core.runs import RunSource, cancel_run
from combine_core.users import Role

STATEMENT = {
    "decisions": [
        {
            "text": "We decided to replace the door seal by Friday.",
            "evidence": [
                {
                    "source": "S1",
                    "line_from": 4,
                    "line_to": 4,
                    "quote": "We decided to replace the door seal by Friday.",
                }
            ],
        }
    ]
}


@pytest.fixture
def source(place, ada, slug):
    return place.source(slug, ada)


@pytest.fixture
def written(place, ada, slug, source):
    """A document, and the cancelled run that wrote it."""
    run = place.run(slug, ada, source)
    version = place.write(run, STATEMENT, {"S1": source})
    with place.sessions.begin() as session:
        cancel_run(session, run.id)
    return version


@pytest.fixture
def paths(slug, source, written):
    """The pages of one object of each kind."""
    return {
        "project": f"/projects/{slug}",
        "source": f"/projects/{slug}/sources/{source.id}",
        "document": f"/documents/{written.document_id}",
        "run": f"/runs/{written.run_id}",
    }


LINKS = {
    "project": "Rename, archive, export or delete",
    "source": "Rename or delete",
    "run": "Delete this run",
}


def open_settings(visitor, paths, kind):
    return visitor.get(paths[kind]).click(LINKS.get(kind, "Rename, archive or delete"))


@pytest.mark.parametrize("kind", ["project", "source", "document"])
def test_objects_are_renamed(ada, paths, form_of, kind):
    form = form_of(open_settings(ada, paths, kind), "rename")
    form["name"] = "  "
    refused = form.submit(status=400)
    assert "is empty" in refused.html.select_one("#name-error").text
    form["name"] = " Kiln <4> "
    page = form.submit(status=303).follow()
    assert page.request.path == paths[kind]
    assert page.html.h1.text == "Kiln <4>"


@pytest.mark.parametrize("kind", ["project", "document"])
def test_objects_are_archived_and_restored(ada, paths, form_of, kind):
    above = "/projects" if kind == "project" else paths["project"]

    def links(path):
        return [link["href"] for link in ada.get(path).html.select(".row-title[href]")]

    page = form_of(open_settings(ada, paths, kind), "archive").submit(status=303).follow()
    assert f"This {kind} is archived" in page
    assert paths[kind] not in links(above)
    listed = ada.get(above).click(f"Archived {kind}s")
    assert paths[kind] in [link["href"] for link in listed.html.select(".row-title[href]")]
    form = form_of(open_settings(ada, paths, kind), "archive")
    assert "is archived" not in form.submit(status=303).follow()
    assert paths[kind] in links(above)


def test_affected_data_is_listed_before_the_deletion(place, ada, paths, form_of):
    said = {
        "document": "The document is deleted with 1 document version.",
        "run": "The run is deleted with 1 document version and 1 document.",
        "project": "The project is deleted with 1 source, 1 document, 1 document version, 1 run"
        " and 1 member.",
    }
    for kind, words in said.items():
        assert words in open_settings(ada, paths, kind).html.select_one("main").text
    answer = form_of(open_settings(ada, paths, "run"), "delete").submit(status=303)
    assert answer.location.endswith(f"{paths['project']}#runs")
    ada.get(paths["run"], status=404)
    ada.get(paths["document"], status=404)
    answer = form_of(open_settings(ada, paths, "project"), "delete").submit(status=303)
    assert answer.location.endswith("/projects")
    ada.get(paths["project"], status=404)
    with place.sessions() as session:
        actions = session.execute(text("SELECT action, actor FROM audit_events ORDER BY id")).all()
    assert actions == [("run-delete", "ada@example.com"), ("project-delete", "ada@example.com")]


def test_a_document_reports_a_deleted_source(ada, paths, form_of):
    page = open_settings(ada, paths, "source")
    assert "Brief: oven.md" in page.html.select_one("#delete-heading").parent.text
    form_of(page, "delete").submit(status=303)
    page = ada.get(paths["document"])
    assert "The source oven.md was deleted." in page
    assert "We decided to replace the door seal by Friday." in page
    assert page.html.select("a[href*='/sources/']") == []
    assert "Run again" not in ada.get(paths["run"])


def test_a_source_used_in_the_meantime_needs_another_confirmation(
    place, ada, slug, source, form_of
):
    path = f"/projects/{slug}/sources/{source.id}"
    form = form_of(ada.get(f"{path}/settings"), "delete")
    run = place.run(slug, ada, source)
    assert "still going on" in form.submit(status=409)
    place.write(run, STATEMENT, {"S1": source})
    with place.sessions.begin() as session:
        cancel_run(session, run.id)
    asked = form.submit(status=409)
    assert "These documents were made from it" in asked
    form_of(asked, "delete").submit(status=303)
    form.submit(status=404)
    with place.sessions() as session:
        assert session.query(RunSource).count() == 0


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, set()),
        (Role.WRITER, {"source", "document", "run"}),
        (Role.OWNER, {"project", "source", "document", "run"}),
    ],
)
def test_each_role_has_its_permissions(place, slug, paths, form_of, role, allowed):
    bob = place.visitor("bob@example.com")
    place.join(slug, bob, role)
    for kind, path in paths.items():
        linked = f"{path}/settings" in bob.get(path).text
        assert linked == (kind in allowed)
        bob.get(f"{path}/settings", status=200 if linked else 403)
    eve = place.visitor("eve@example.com")
    for path in paths.values():
        eve.get(f"{path}/settings", status=404)


def test_invalid_forms_are_rejected(ada, paths, form_of):
    form = form_of(open_settings(ada, paths, "document"), "archive")
    form["archived"].force_value("perhaps")
    form.submit(status=400)
    form = form_of(open_settings(ada, paths, "run"), "delete")
    form["form"].force_value("rename")
    form.submit(status=400)
    ada.get(f"{paths['run']}/settings", status=200)
