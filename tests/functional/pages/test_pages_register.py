"""Tests the pages of the register: list, filters, decisions with one click, and changes of items."""

import pytest

from combine_core.users import Role


def item(text, due=None, owner=None):
    evidence = {"source": "S1", "line_from": 3, "line_to": 3, "quote": "The oven runs"}
    return {"text": text, "due": due, "owner": owner, "evidence": [evidence]}


@pytest.fixture
def vera(place, slug):
    vera = place.visitor("vera@example.com")
    place.join(slug, vera, Role.VIEWER)
    return vera


@pytest.fixture
def approve(place, ada, slug, form_of):
    """``approve(next_steps=[…])``: write a document for Ada and approve it."""

    def approve(**answer):
        source = place.source(slug, ada)
        document = place.write(place.run(slug, ada, source), answer, {"S1": source}).document_id
        form = form_of(ada.get(f"/documents/{document}/reviews"), "ask")
        form["author_may_decide"] = True
        page = form.submit().follow()
        form = form_of(page, "decide")
        form.submit("decision", value="approve", status=303)

    return approve


@pytest.fixture
def two_meetings(approve):
    approve(next_steps=[item("Anna orders the door seal by 3 May 2027.", "3 May 2027", "Anna")])
    approve(
        next_steps=[item("Anna orders the door seal by 9 June 2027.", "9 June 2027", "Anna")],
        open_questions=[item("Who pays for the seal?")],
    )


def rows(page):
    return [" ".join(row.text.split()) for row in page.html.select("tbody tr")]


@pytest.fixture
def path(slug):
    return f"/projects/{slug}/register"


def test_an_empty_register_is_explained(ada, slug, path):
    page = ada.get(f"/projects/{slug}").click("Register")
    assert page.request.path == path
    assert "No items yet" in page


def test_items_are_listed_and_filtered(ada, two_meetings, path):
    page = ada.get(path)
    assert len(rows(page)) == 3
    form = page.forms[next(n for n, one in page.forms.items() if one.method.lower() == "get")]
    form["kind"], form["owner"], form["due_before"] = "action", "anna", "2027-05-31"
    [row] = rows(form.submit())
    assert "3 May 2027" in row
    assert "No item matches these filters" in ada.get(path, params={"state": "done"})
    links = [link["href"] for link in ada.get(path, params={"kind": "action"}).html.select("a")]
    [table] = [link for link in links if "/csv" in link]
    assert table.endswith("/register/csv?kind=action")


@pytest.mark.parametrize(
    "query", [{"kind": "nonsense"}, {"due_after": "soon"}, {"owner": "x" * 300}]
)
def test_an_unknown_filter_is_rejected(ada, path, query):
    assert "This value is invalid" in ada.get(path, params=query, status=400)


def test_duplicates_and_changes_are_decided_with_one_click(ada, two_meetings, path, form_of):
    page = ada.get(path, params={"undecided": "true"})
    [row] = rows(page)
    assert "This may be the same item as Anna orders the door seal by 3 May 2027." in row
    page = form_of(page, "same").submit("same", value="yes", status=303).follow()
    assert "contradicts the text and the due date" in page
    page = form_of(page, "settle").submit("accept", value="yes", status=303).follow()
    assert "contradicts the text" not in page
    assert "Due: 3 May 2027 → 9 June 2027" in " ".join(page.html.text.split())
    assert len(rows(ada.get(path))) == 2


def test_the_first_of_two_users_decides(ada, two_meetings, path, form_of):
    form = form_of(ada.get(path, params={"undecided": "true"}), "same")
    form.submit("same", value="no", status=303)
    assert "no longer exists" in form.submit("same", value="yes", status=409)


def test_a_user_changes_an_item(ada, two_meetings, path, form_of):
    page = ada.get(path, params={"kind": "question"}).click("Who pays for the seal")
    form = form_of(page, "change")
    form["owner"], form["due"], form["state"] = "Bob", "2027-01-31", "done"
    page = form.submit(status=303).follow()
    assert "Done · owner Bob · due 2027-01-31" in " ".join(page.html.text.split())
    form = form_of(page, "change")
    form["text"] = " "
    assert "The text is empty" in form.submit(status=400)


def test_a_viewer_sees_no_forms(vera, two_meetings, path):
    page = vera.get(path)
    assert len(rows(page)) == 3
    assert "Same item" not in page
    page = page.click("Who pays for the seal")
    assert not page.html.select(".panel")
    vera.client.post(page.request.path, {"form": "change"}, status="4*")
