"""Tests the pages of reviews: request, decision, inbox, and the permissions on pages and in the API."""

from datetime import UTC, datetime, timedelta
from io import BytesIO

import docx
import pytest
from sqlalchemy import delete, func, select, text, update

from combine_auth.tokens.service import create_token
from combine_core.reviews import Review, ReviewDecision
from combine_core.users import Role
from tests.functional.conftest import make_client

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
def write(place, ada, slug):
    """``write()``: write the next version of the document of Ada."""
    source = place.source(slug, ada)

    def write():
        return place.write(place.run(slug, ada, source), {"summary": [ITEM]}, {"S1": source})

    return write


@pytest.fixture
def document(write):
    return f"/documents/{write().document_id}"


@pytest.fixture
def ask(document, form_of):
    """``ask(ada, needed="2")``: the response to the form."""

    def ask(person, status=303, **fields):
        form = form_of(person.get(f"{document}/reviews"), "ask")
        for name, value in fields.items():
            form[name] = value
        return form.submit(status=status)

    return ask


def words(page, selector=".review-panel"):
    return " ".join(page.html.select_one(selector).text.split())


def count_in_head(page):
    badge = page.html.select_one(".nav-count")
    return badge and badge.text


def test_a_version_is_reviewed_and_approved(ada, bob, ask, document, slug, form_of):
    page = ada.get(document)
    assert "This version has no review" in words(page)
    page.click("Ask for a review")
    page = ask(ada).follow()
    assert "In review · 0 of 1 approval" in words(page)
    assert "You asked for this review" in words(page, ".panel")
    assert count_in_head(page) is None
    # Bob finds the review, reads the document beside the buttons, and approves.
    page = bob.get("/projects")
    assert count_in_head(page) == "1 waiting"
    page = page.click("Inbox").click("Brief: oven.md")
    assert "It runs." in page.html.select_one(".statement").text
    form = form_of(page, "decide")
    form["comment"] = "As I heard it."
    page = form.submit("decision", value="approve", status=303).follow()
    assert "Approved · 1 of 1 approval" in words(page)
    assert "As I heard it." in words(page, ".decisions")
    assert count_in_head(page) is None
    assert "Your inbox is empty" in bob.get("/inbox")
    assert "Approved" in words(ada.get(document))
    assert "Approved" in words(ada.get(f"/projects/{slug}"), "#documents")
    assert "Approved" in words(ada.get(f"{document}/reviews"), "ul.rows")


def test_a_file_names_the_reviewers(ada, bob, ask, document, form_of):
    def said():
        file = docx.Document(BytesIO(ada.get(f"{document}.docx").body))
        return next(
            row.cells[1].text for row in file.tables[0].rows if row.cells[0].text == "Review"
        )

    assert said() == "none. No approval of this version was requested."
    form = form_of(bob.get(ask(ada).location), "decide")
    form["comment"] = "As I heard it."
    form.submit("decision", value="approve", status=303)
    assert said().startswith("approved, 1 of 1 approval. bob")
    assert " approved it on 20" in said()
    assert said().endswith("UTC. “As I heard it.”")


def test_a_rejection_needs_a_comment(ada, bob, ask, form_of):
    address = ask(ada).location
    page = bob.get(address)
    refused = form_of(page, "decide").submit("decision", value="reject", status=400)
    assert "Describe the problem" in refused.html.select_one("#comment-error").text
    assert refused.html.title.text.startswith("Error")
    form = form_of(refused, "decide")
    form["comment"] = "The number is wrong."
    page = form.submit("decision", value="request_changes", status=303).follow()
    assert "Changes requested" in words(page)


def test_a_decision_on_an_old_version_is_rejected(ada, bob, ask, write, form_of, document):
    page = bob.get(ask(ada).location)
    write()
    form = form_of(page, "decide")
    form["comment"] = "I have read every line of it."
    refused = form.submit("decision", value="approve", status=409)
    assert "was replaced by version 2" in refused.html.select_one(".field-error").text
    assert "Dismissed" in words(refused)
    # The newest version has no review.
    assert "This version has no review" in words(ada.get(document))


def test_an_edit_and_its_approval_in_one_form(ada, bob, ask, document, form_of):
    page = bob.get(ask(ada, author_may_decide=True).location)
    assert "Save and approve" in words(page, "[aria-labelledby=decide-heading]")
    page = page.click(href=r"edit\?statement=%2Fsummary%2F0")
    form = form_of(page, "save")
    form["field-text"] = "The oven runs."
    late = form_of(page, "save")
    page = form.submit("approve", status=303).follow()
    assert "Review of version 2" in words(page)
    assert "Approved · 1 of 1 approval" in words(page)
    assert "The oven runs." in page.html.select_one(".statement").text
    # Send the same form again, and the form of a version that is not in review.
    refused = late.submit("approve", status=409)
    assert "Review version 2" in refused.html.select_one(".field-error").text
    form = form_of(bob.get(f"{document}/edit?statement=/summary/0"), "save")
    assert "approve" not in form.fields
    sent = {**dict(form.submit_fields()), "approve": "yes"}
    refused = bob.client.post(f"{document}/edit?statement=/summary/0", sent, status=409)
    assert "no open review" in refused.html.select_one(".field-error").text


def test_authors_see_no_button_to_approve(place, ada, bob, slug, ask, document, form_of):
    page = bob.get(ask(ada).location)
    assert "Save and approve" not in page
    page = bob.get(f"{document}/edit?statement=/summary/0")
    assert "approve" not in form_of(page, "save").fields


def test_no_review_is_requested_for_an_old_version(ada, bob, document, write, form_of):
    form = form_of(ada.get(f"{document}/reviews"), "ask")
    write()
    refused = form.submit(status=409)
    assert "not the newest" in refused.html.select_one(".field-error").text


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"who": "people"}, "people"),
        ({"needed": "0"}, "needed"),
        ({"needed": "many"}, "needed"),
        ({"needed": "5"}, "needed"),
        ({"due": "2020-01-01"}, "due"),
        ({"due": "soon"}, "due"),
        ({"reject": True}, "due"),
    ],
)
def test_errors_are_shown_in_the_form(ada, bob, ask, fields, wrong):
    refused = ask(ada, status=400, **fields)
    assert refused.html.select_one(f"#{wrong}-error").text
    assert refused.html.title.text.startswith("Error")


def test_reviewers_are_selected(place, ada, bob, slug, ask):
    carol = place.visitor("carol@example.com")
    place.join(slug, carol, Role.OWNER)
    due = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    refused = ask(ada, status=400, who="people", needed="2", due=due)
    form = next(f for f in refused.forms.values() if "who" in f.fields)
    assert (form["who"].value, form["needed"].value, form["due"].value) == ("people", "2", due)
    for box in form.fields["person"]:
        box.checked = box._value != str(ada.user_id)
    form["reject"] = True
    page = form.submit(status=303).follow()
    assert "bob" in words(page)
    assert "carol" in words(page)
    assert "then it is rejected" in words(page)


def test_an_overdue_review_is_shown_and_withdrawn(place, ada, bob, ask, form_of):
    due = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    address = ask(ada, due=due).location
    with place.sessions.begin() as session:
        session.execute(update(Review).values(due_at=func.now() - timedelta(hours=1)))
    page = ada.get(address)
    assert "overdue" in words(page)
    assert not [f for f in bob.get(address).forms.values() if "Withdraw" in f.text]
    page = form_of(page, "withdraw").submit(status=303).follow()
    assert "Withdrawn" in words(page)


def test_invalid_forms_are_rejected(ada, bob, ask, document, form_of):
    address = ask(ada).location
    token = form_of(bob.get(address), "decide")["csrf_token"].value
    for fields in ({"form": "decide", "decision": "maybe"}, {"form": "else"}):
        bob.client.post(address, {**fields, "csrf_token": token}, status=400)
    token = form_of(ada.get(address), "withdraw")["csrf_token"].value
    for fields in (
        {"form": "ask", "version": "x", "who": "owner", "needed": "1"},
        {"form": "ask", "version": "1", "who": "all", "needed": "1"},
        {"form": "ask", "version": "1", "who": "people", "person": "x", "needed": "1"},
    ):
        ada.client.post(f"{document}/reviews", {**fields, "csrf_token": token}, status=400)


MAY = {
    None: (),
    Role.VIEWER: ("read", "list"),
    Role.WRITER: ("read", "list", "ask"),
    Role.REVIEWER: ("read", "list", "ask", "approve", "reject", "edit"),
    Role.OWNER: ("read", "list", "ask", "approve", "reject", "edit", "withdraw"),
}


@pytest.mark.parametrize("face", ["pages", "api"])
def test_each_role_has_its_permissions(place, ada, bob, slug, document, ask, form_of, face):
    """Check that strangers get a 404 and that members can do only what their role allows."""
    ask(ada, author_may_decide=True)
    with place.sessions() as session:
        review = session.scalars(select(Review)).one()
    content = ada.get(f"{document}.json").json["content"]
    for role, allowed in MAY.items():
        zoe = place.visitor(f"{role}@example.com")
        if role is not None:
            place.join(slug, zoe, role)
        with place.sessions.begin() as session:
            token, _ = create_token(session, zoe.user_id, "all")
        csrf = next(iter(zoe.get("/projects").forms.values()))["csrf_token"].value
        for action in MAY[Role.OWNER]:
            with place.sessions.begin() as session:
                session.execute(delete(Review).where(Review.id != review.id))
                session.execute(delete(ReviewDecision))
                outcome = "withdrawn" if action == "ask" else None
                session.execute(update(Review).values(outcome=outcome))
            if face == "api":
                client = make_client(place.app, token)
                answer = _by_api(client, document, review, action, content)
            else:
                answer = _by_page(zoe.client, document, review, action, csrf)
            wanted = {404} if role is None else {200, 201, 303} if action in allowed else {403}
            assert answer.status_int in wanted, (face, role, action)


def _by_api(client, document, review, action, content):
    path = f"/api/v1/reviews/{review.id}"
    body = {"decision": action, "sha256": review.sha256, "comment": "Because."}
    match action:
        case "read":
            return client.get(path, status="*")
        case "list":
            return client.get(f"/api/v1{document}/reviews", status="*")
        case "ask":
            return client.post_json(f"/api/v1{document}/reviews", {"version": 1}, status="*")
        case "withdraw":
            return client.post(f"{path}/withdraw", status="*")
        case "edit":
            body = {"sha256": review.sha256, "content": content}
            return client.post_json(f"{path}/edit-and-approve", body, status="*")
        case _:
            return client.post_json(f"{path}/decisions", body, status="*")


def _by_page(client, document, review, action, csrf):
    path = f"/reviews/{review.id}"
    asking = {"form": "ask", "version": "1", "who": "reviewer", "needed": "1"}
    deciding = {"form": "decide", "decision": action, "sha256": review.sha256, "comment": "Why"}
    match action:
        case "read":
            return client.get(path, status="*")
        case "list":
            return client.get(f"{document}/reviews", status="*")
        case "ask":
            return client.post(f"{document}/reviews", {**asking, "csrf_token": csrf}, status="*")
        case "withdraw":
            fields = {"form": "withdraw", "csrf_token": csrf}
            return client.post(path, fields, status="*")
        case "edit":
            saving = {"form": "save", "approve": "yes", "base": "1", "keep": "0"}
            fields = {**saving, "field-text": ITEM["text"], "csrf_token": csrf}
            return client.post(f"{document}/edit?statement=/summary/0", fields, status="*")
        case _:
            return client.post(path, {**deciding, "csrf_token": csrf}, status="*")


def test_the_inbox_sends_a_constant_number_of_statements(place, ada, bob, ask, slug):
    def statements():
        with place.statements() as sent:
            bob.get("/inbox")
        return len(sent)

    ask(ada)
    few = statements()
    for number in range(3):
        source = place.source(slug, ada, name=f"{number}.md")
        version = place.write(place.run(slug, ada, source), {"summary": [ITEM]}, {"S1": source})
        form = next(
            form
            for form in ada.get(f"/documents/{version.document_id}/reviews").forms.values()
            if "who" in form.fields
        )
        form.submit(status=303)
    assert bob.get("/inbox").html.select_one(".nav-count").text == "4 waiting"
    assert statements() == few


_MORE = """
INSERT INTO users (id, email, name, is_admin)
SELECT gen_random_uuid(), n || '@more.org', 'Somebody', false FROM generate_series(1, 10000) n;
INSERT INTO documents (id, project_id, type, key, title, head, last_number)
SELECT gen_random_uuid(), project_id, type, 'more ' || n, title, 1, 1
FROM documents, generate_series(1, 3000) n;
INSERT INTO document_versions
    (id, document_id, number, origin, model, used_llm, content, markdown, sha256, flagged)
SELECT id, id, 1, 'line', 'extract', false, '{}', '', '', 0 FROM documents WHERE key LIKE 'more %';
INSERT INTO reviews
    (id, project_id, document_id, version_id, number, sha256, role, needed, author_may_decide, on_expiry)
SELECT gen_random_uuid(), project_id, id, id, 1, '', 'reviewer', 1, true, 'nothing'
FROM documents WHERE key LIKE 'more %';
ANALYZE;
"""


def test_the_inbox_reads_each_document_once(bob, document, dbsession, rows_read):
    dbsession.execute(text(_MORE))
    dbsession.commit()
    assert 0 < rows_read("documents", lambda: bob.get("/inbox", status=200)) < 5 * 3000
    # The other users requested no review.
    assert 0 < rows_read("users", lambda: bob.get("/inbox", status=200)) < 100
