"""Tests comments on pages: at the statement, in the list and in the inbox of mentioned users."""

import pytest

from combine_core.users import Role

ITEM = {
    "text": "It runs.",
    "evidence": [{"source": "S1", "line_from": 3, "line_to": 3, "quote": "The oven runs"}],
}


@pytest.fixture
def document(place, ada, slug):
    source = place.source(slug, ada)
    version = place.write(place.run(slug, ada, source), {"summary": [ITEM]}, {"S1": source})
    return f"/documents/{version.document_id}"


def test_a_comment_reaches_the_mentioned_user(place, ada, slug, document, form_of):
    bob = place.visitor("bob@example.com")
    place.join(slug, bob, Role.VIEWER)
    page = ada.get(document).click(href=r"comments\?statement=%2Fsummary%2F0")
    form = form_of(page, "add")
    form["text"] = "Does it, @bob@example.com?"
    page = form.submit(status=303).follow()
    assert "on version 1: “It runs.”" in page.html.select_one(".row-facts").text
    assert "Does it" in ada.get(document).html.select_one(".statement .note").text
    # Bob finds it in the inbox until he has read it.
    page = bob.get(document)
    assert page.html.select_one(".nav-count").text == "1 waiting"
    page = bob.get("/inbox")
    assert "Does it" in page
    page = form_of(page, "read").submit(status=303).follow()
    assert page.html.select_one(".nav-count") is None
    assert "Your inbox is empty" in page
    # A resolved comment is only in the list.
    page = ada.get(f"{document}/comments")
    form = next(form for form in page.forms.values() if "resolved" in form.fields)
    page = form.submit("form", value="resolve", status=303).follow()
    assert "resolved by" in page.html.select_one(".row-facts").text
    assert not ada.get(document).html.select(".statement .note")
    form = next(form for form in page.forms.values() if "resolved" in form.fields)
    assert "No comments yet" in form.submit("form", value="delete", status=303).follow()


def test_a_double_click_adds_one_comment(ada, document, form_of):
    form = form_of(ada.get(f"{document}/comments?statement=/summary/0"), "add")
    form["text"] = "Does it?\r\nReally?"
    for _ in range(2):
        page = form.submit(status=303).follow()
        assert str(page.html.main).count("Does it?") == 1
    form["text"] = "It does."
    page = form.submit(status=303).follow()
    assert len(page.html.select(".row-text")) == 2


def test_comments_on_earlier_versions_are_shown(ada, document, form_of):
    form = form_of(ada.get(f"{document}/comments?statement=/summary/0"), "add")
    form["text"] = "Does it?"
    form.submit(status=303)
    assert "Comments on earlier versions" not in ada.get(document)
    form = form_of(ada.get(f"{document}/edit?statement=/summary/0"), "save")
    form["field-text"] = "The oven runs."
    page = form.submit(status=303).follow()
    [earlier] = page.html.select("[aria-labelledby=comments-heading] li")
    assert earlier.text.startswith("Does it?")
    assert "on version 1: “It runs.”" in earlier.text


def test_an_empty_comment_is_rejected(ada, document, form_of):
    form = form_of(ada.get(f"{document}/comments?statement=/summary/0"), "add")
    form["text"] = " "
    refused = form.submit(status=400)
    assert "Write what you want" in refused.html.select_one("#text-error").text
