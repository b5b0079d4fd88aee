"""Tests export and import of a project on its pages."""

import pytest

from combine_core.database import session_factory
from combine_core.reviews import Decision, Terms, ask_for_review, decide
from combine_core.runs import cancel_run
from combine_core.users import Role

ITEM = {
    "text": "It runs.",
    "evidence": [{"source": "S1", "line_from": 3, "line_to": 3, "quote": "The oven runs"}],
}


@pytest.fixture
def bob(place, slug):
    bob = place.visitor("bob@example.com")
    place.join(slug, bob, Role.REVIEWER)
    return bob


@pytest.fixture
def approved(place, app, ada, bob, slug):
    """A document that Bob has approved, in a project without runs in progress."""
    source = place.source(slug, ada)
    run = place.run(slug, ada, source)
    version = place.write(run, {"summary": [ITEM]}, {"S1": source})
    with session_factory(app.registry).begin() as session:
        cancel_run(session, run.id)
        review = ask_for_review(
            session, version.document_id, 1, ada.user_id, Terms(), notify=lambda _action: None
        )
        decide(
            session,
            review.id,
            bob.user_id,
            Role.REVIEWER,
            Decision.APPROVE,
            sha256=version.sha256,
            comment="Fine.",
            notify=lambda _action: None,
        )


def test_an_owner_exports_and_another_user_imports(ada, bob, slug, approved, form_of):
    file = ada.get(f"/projects/{slug}/settings").click("Export the project")
    assert file.headers["Content-Disposition"] == f'attachment; filename="{slug}.zip"'
    bob.get(f"/projects/{slug}/export", status=403)

    form = form_of(bob.get("/projects"), "import")
    form["file"] = ("x.zip", b"no zip")
    refused = form.submit(status=400)
    assert "It is not a ZIP file" in refused.html.select_one("#import-file-error").text
    form = form_of(refused, "import")
    form["file"] = ("harbour.zip", file.body)
    project = form.submit(status=303).follow()
    assert project.request.path != f"/projects/{slug}"
    document = project.click(href="^/documents/")
    note = " ".join(document.html.select_one("section:has(#imported-heading)").text.split())
    assert "A run of a line wrote it there." in note
    assert "Review at the origin: approved. bob approved it on" in note
    assert "“Fine.” It has no effect here." in note
    assert not bob.get("/inbox").html.select(".row-item")


def test_the_settings_show_why_a_project_cannot_be_exported(place, ada, slug):
    place.run(slug, ada, place.source(slug, ada))
    refused = ada.get(f"/projects/{slug}/export", status=409)
    assert "A run is still going on" in refused.html.select_one("main").text
