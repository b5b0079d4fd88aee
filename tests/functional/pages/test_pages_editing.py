"""Tests editing a document in the browser, statement by statement."""

import pytest
from sqlalchemy import select

from combine_auth.audit import AuditEvent
from combine_core.documents import edit_document
from combine_core.users import Role


def item(text, line):
    proof = {"source": "S1", "line_from": line, "line_to": line, "quote": text}
    return {"text": text, "evidence": [proof]}


SEAL = item("We decided to replace the door seal by Friday.", 4)
HOT = item("The oven runs at 180 °C from Monday.", 3)


@pytest.fixture
def version(place, ada, slug):
    oven = place.source(slug, ada)
    run = place.run(slug, ada, oven)
    return place.write(run, {"decisions": [SEAL, HOT]}, {"S1": oven})


@pytest.fixture
def path(version) -> str:
    return f"/documents/{version.document_id}"


def texts(page, section="decisions"):
    part = page.html.select_one(f"[aria-labelledby=section-{section}]")
    return [one.text for one in part.select(".statement-text")]


def test_a_statement_is_changed(place, ada, version, path, form_of):
    page = ada.get(path).click(href=r"edit\?statement=%2Fdecisions%2F1")
    form = form_of(page, "save")
    assert form["field-text"].value == HOT["text"]
    form["field-text"] = "The oven runs at 200 °C from Monday."
    form["field-owner"] = "Anna"
    form["note"] = "The plate says so."
    page = form.submit(status=303).follow()
    changed = page.html.find(id="/decisions/1")
    assert changed.select_one(".unproven-mark")
    assert "Anna" in changed.select_one(".details").text
    assert page.html.select_one(".version-note").text == "The plate says so."
    # Saving without a change makes no version.
    page = page.click(href=r"edit\?statement=%2Fdecisions%2F1")
    form_of(page, "save").submit(status=303)
    assert ada.get(f"{path}.json").json["version"] == 2
    events = select(AuditEvent.action, AuditEvent.details).where(
        AuditEvent.target == f"document:{version.document_id}"
    )
    with place.sessions() as session:
        assert session.execute(events).all() == [("document-edit", {"version": 2})]


def test_a_statement_is_added_with_or_without_lines(ada, path, form_of):
    form = form_of(ada.get(f"{path}/edit?statement=/next_steps/-"), "save")
    form["field-text"] = "Anna must order the seal before Wednesday."
    form["line_from"] = "6"
    page = form.submit(status=303).follow()
    [added] = page.html.select("[aria-labelledby=section-next_steps] .statement")
    assert added.blockquote.text == "Anna must order the seal before Wednesday."
    assert not added.select_one(".unproven-mark")
    form = form_of(ada.get(f"{path}/edit?statement=/open_questions/-"), "save")
    form["field-text"] = "Is it hot enough?"
    page = form.submit(status=303).follow()
    assert page.html.select_one(".own-mark").text.startswith("Own words of ")


def test_evidence_is_removed(ada, path, form_of):
    form = form_of(ada.get(f"{path}/edit?statement=/decisions/0"), "save")
    form["keep"] = False
    page = form.submit(status=303).follow()
    assert page.html.find(id="/decisions/0").select_one(".own-mark")


def test_statements_are_moved_and_removed(ada, path, form_of):
    def send(pointer, to):
        form = form_of(ada.get(f"{path}/edit?statement={pointer}"), "move")
        return form.submit("to", value=to, status=303).follow()

    assert texts(send("/decisions/0", "down")) == [HOT["text"], SEAL["text"]]
    assert texts(send("/decisions/1", "up")) == [SEAL["text"], HOT["text"]]
    assert ada.get(f"{path}.json").json["version"] == 3
    # The first statement cannot move up.
    send("/decisions/0", "up")
    assert ada.get(f"{path}.json").json["version"] == 3
    assert texts(send("/decisions/0", "remove")) == [HOT["text"]]


def test_errors_are_shown_and_the_input_is_kept(place, ada, path, version, form_of):
    form = form_of(ada.get(f"{path}/edit?statement=/decisions/0"), "save")
    form["field-text"] = "Something longer that nobody wants to type again."
    form["line_from"] = "99"
    page = form.submit(status=400)
    assert page.html.select_one(".field-error").text == "There is no text in line 99 to 99."
    assert form_of(page, "save")["field-text"].value == form["field-text"].value
    form["line_from"] = "two"
    assert "Enter numbers" in form.submit(status=400).html.select_one(".field-error").text
    form["line_from"] = ""
    content = {**version.content, "decisions": []}
    with place.sessions.begin() as session:
        edit_document(session, version.document_id, content, base=1, author_id=ada.user_id)
        session.flush()
        edit_document(session, version.document_id, version.content, base=2, author_id=ada.user_id)
    late = form.submit(status=409)
    assert "Review version 3" in late.html.select_one(".field-error").text
    assert form_of(late, "save")["field-text"].value == form["field-text"].value


def test_input_is_kept_if_the_statement_was_removed(place, ada, path, version, form_of):
    form = form_of(ada.get(f"{path}/edit?statement=/decisions/0"), "save")
    form["field-text"] = "Something longer that nobody wants to type again, even after a long day."
    content = {**version.content, "decisions": []}
    with place.sessions.begin() as session:
        edit_document(session, version.document_id, content, base=1, author_id=ada.user_id)
    late = form.submit(status=409)
    assert "Review version 2" in late.html.select_one(".lead").text
    assert late.html.select_one("textarea").text.strip() == form["field-text"].value


def test_a_statement_that_is_too_long(ada, path, form_of):
    form = form_of(ada.get(f"{path}/edit?statement=/decisions/0"), "save")
    form["field-text"] = "x" * 5000
    assert "is longer than" in form.submit(status=400).html.select_one(".field-error").text


@pytest.mark.parametrize("line", ["9" * 5000, "²", "-1"])
def test_a_line_that_is_no_number(ada, path, form_of, line):
    form = form_of(ada.get(f"{path}/edit?statement=/decisions/0"), "save")
    form["line_from"] = line
    assert "Enter numbers" in form.submit(status=400).html.select_one(".field-error").text


@pytest.mark.parametrize(
    "pointer", ["", "/decisions/9", "/decisions", "/nothing/-", "x", "/decisions/0/text/-"]
)
def test_unknown_statements_get_404(ada, path, pointer):
    ada.get(f"{path}/edit?statement={pointer}", status=404)


def test_viewers_cannot_edit(place, ada, slug, path):
    viewer = place.visitor("vera@example.com")
    place.join(slug, viewer, Role.VIEWER)
    assert not viewer.get(path).html.select(".edit-link")
    viewer.get(f"{path}/edit?statement=/decisions/0", status=403)
