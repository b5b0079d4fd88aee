"""Tests access to pages for strangers, members and other users."""

import pytest
from sqlalchemy import text

from combine_core.users import Role

PATHS = [
    "/",
    "/projects",
    "/projects/ovens",
    "/projects/ovens/sources/01a208f2-a042-737c-b291-5e9a3006f95b",
    "/runs/01a208f2-a042-737c-b291-5e9a3006f95b",
    "/documents/01a208f2-a042-737c-b291-5e9a3006f95b",
    "/documents/01a208f2-a042-737c-b291-5e9a3006f95b.md",
]


@pytest.mark.parametrize("path", PATHS)
def test_stranger_signs_in_and_returns(place, path):
    answer = place.stranger().get(path, status=303)
    assert answer.location.startswith("http://localhost:8000/auth/sign-in?next=%2F")
    assert not answer.headers.getall("Set-Cookie")


def test_the_redirect_after_sign_in_keeps_the_query(place, ada, slug):
    source = place.source(slug, ada)
    path = f"/projects/{slug}/sources/{source.id}?lines=3-4"
    client = place.stranger()
    page = client.get(path, status=303).follow()
    assert page.form["next"].value == path


def test_sign_in_leads_to_the_projects(place):
    client = place.stranger()
    sign_in = client.get("/", status=303).follow()
    page = sign_in.form.submit().follow().follow()
    assert page.request.path == "/projects"
    assert "Local developer" in page
    assert "You have no projects yet" in page


def test_every_page_offers_sign_out(ada):
    page = ada.get("/projects")
    page.forms[0].submit(status=303)
    ada.get("/projects", status=303)


def test_a_form_of_a_stranger_changes_nothing(place, slug):
    client = place.stranger()
    answer = client.post(f"/projects/{slug}", {"form": "paste", "name": "x"}, status=303)
    assert answer.location.endswith(f"/auth/sign-in?next=%2Fprojects%2F{slug}")


WRITTEN = "We decided to replace the seal.\nAnna orders it <before> Friday."


def sent_again(page):
    """Return the texts that the page shows again."""
    return [area.text.lstrip("\n").replace("\r\n", "\n") for area in page.html.find_all("textarea")]


@pytest.fixture
def written(ada, slug):
    """A form that Ada has filled in."""
    form = next(f for f in ada.get(f"/projects/{slug}").forms.values() if "text" in f.fields)
    form["name"], form["text"] = "Minutes", WRITTEN
    return form


def test_text_is_kept_when_the_session_ends(place, ada, slug, written):
    with place.sessions.begin() as session:
        session.execute(text("DELETE FROM sessions"))
    page = written.submit(status=401)
    assert "You were signed out" in page
    assert sent_again(page) == [WRITTEN]
    [link] = page.html.select("a[target=_blank]")
    assert link["href"] == f"/auth/sign-in?next=%2Fprojects%2F{slug}"
    # A press without text loses nothing: the sign-in page leads back.
    token = written["csrf_token"].value
    cancel = {"csrf_token": token, "form": "cancel"}
    assert ada.client.post(f"/projects/{slug}", cancel, status=303)


@pytest.mark.parametrize("signed_in", [True, False])
def test_text_is_kept_when_another_user_signed_in(place, ada, slug, written, signed_in):
    if not signed_in:
        ada.client.set_cookie("combine_session", "x")
    ada.client.set_cookie("combine_csrf", "0" * 32)
    from_our_page = {"Sec-Fetch-Site": "same-origin"}
    page = written.submit(headers=from_our_page, status=400 if signed_in else 401)
    assert sent_again(page) == [WRITTEN]
    # A form of another site cannot put its text on our page.
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}):
        page = written.submit(headers=headers, status=400 if signed_in else 303)
        assert "replace the seal" not in page
    assert "Minutes" not in place.visitor().get(f"/projects/{slug}")


@pytest.mark.parametrize("body", [b"text=%ff%fe" + b"x" * 99, b"text=" + b"x" * (2 << 20), b"text"])
def test_unreadable_forms_are_not_kept(place, slug, body):
    headers = {
        "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/x-www-form-urlencoded; charset=x",
    }
    place.stranger().post(f"/projects/{slug}", body, headers=headers, status=303)


def test_objects_of_others_get_404(place, ada, slug):
    source = place.source(slug, ada)
    run = place.run(slug, ada, source)
    version = place.write(run, {"summary": []}, {"S1": source})
    other = place.visitor("bob@example.com")
    assert "Ovens" not in other.get("/projects")
    for path in (
        f"/projects/{slug}",
        f"/projects/{slug}/sources/{source.id}",
        f"/runs/{run.id}",
        f"/runs/{run.id}/live",
        f"/documents/{version.document_id}",
        f"/documents/{version.document_id}/versions/1",
        f"/documents/{version.document_id}.md",
        f"/documents/{version.document_id}/versions/1.json",
    ):
        ada.get(path)
        answer = other.get(path, status=404)
        # The page is the same as for an object that does not exist.
        nothing = other.get(f"{path.rpartition('/')[0]}/nothing-of-the-kind", status=404)
        assert answer.html.h1.text == nothing.html.h1.text
        other.client.post(path, {"form": "cancel"}, status=404)


def test_a_source_is_found_only_in_its_project(place, ada, slug):
    source = place.source(slug, ada)
    elsewhere = place.project(ada, "Stoves")
    ada.get(f"/projects/{elsewhere}/sources/{source.id}", status=404)


def test_a_viewer_sees_no_forms(place, ada, slug, form_of):
    source = place.source(slug, ada)
    run = place.run(slug, ada, source)
    viewer = place.visitor("vic@example.com")
    place.join(slug, viewer, Role.VIEWER)
    page = viewer.get(f"/projects/{slug}")
    assert "oven.md" in page
    assert not page.html.main.find_all(["form", "input"])
    assert not viewer.get(f"/runs/{run.id}").html.main.find_all("form")

    token = page.forms[0]["csrf_token"].value
    for form in ("paste", "upload", "run"):
        fields = {"csrf_token": token, "form": form, "name": "x", "text": "y"}
        answer = viewer.client.post(f"/projects/{slug}", fields, status=403)
        assert "Your role in this project does not allow it" in answer
    cancel = {"csrf_token": token, "form": "cancel"}
    viewer.client.post(f"/runs/{run.id}", cancel, status=403)
    assert "Running" in ada.get(f"/runs/{run.id}")


def test_the_navigation_marks_the_current_page(ada, slug):
    current = ada.get(f"/projects/{slug}").html.select("nav a[aria-current=page]")
    assert [link.text for link in current] == ["Projects"]


def test_head_responses_have_no_body(ada, slug):
    answer = ada.client.head(f"/projects/{slug}")
    assert answer.body == b""
    assert answer.content_type == "text/html"
