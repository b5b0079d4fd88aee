"""Tests the page of the members of a project."""

import pytest

from combine_core.users import Role


@pytest.fixture
def bob(place):
    return place.visitor("bob@example.com")


def members(page):
    return {
        item.select_one(".row-facts").text.split(" · ")[0]: item.select_one(
            ".row-facts"
        ).text.split(" · ")[1]
        for item in page.html.select("li.row-item")
    }


def test_an_owner_changes_roles_and_removes_members(place, ada, bob, slug):
    place.join(slug, bob, Role.WRITER)
    page = ada.get(f"/projects/{slug}").click("Members")
    assert members(page) == {"ada@example.com": "owner", "bob@example.com": "writer"}

    role = next(
        form
        for form in page.forms.values()
        if form.fields.get("user_id") and form["user_id"].value == str(bob.user_id)
    )
    role["role"] = "reviewer"
    page = role.submit(status=303).follow()
    assert members(page)["bob@example.com"] == "reviewer"

    remove = next(
        form
        for form in page.forms.values()
        if form.fields.get("user_id")
        and form["user_id"].value == str(bob.user_id)
        and form["form"].value == "remove"
    )
    page = remove.submit(status=303).follow()
    assert members(page) == {"ada@example.com": "owner"}
    bob.get(f"/projects/{slug}/members", status=404)


def test_the_only_owner_cannot_leave(ada, slug, form_of):
    page = ada.get(f"/projects/{slug}/members")
    refused = form_of(page, "remove").submit(status=409)
    assert "Make another member an owner first" in refused.html.select_one(".field-error").text
    form = form_of(page, "role")
    form["role"] = "viewer"
    form.submit(status=409)


def test_other_members_see_the_list_and_may_leave(place, ada, bob, slug, form_of):
    place.join(slug, bob, Role.VIEWER)
    page = bob.get(f"/projects/{slug}/members")
    assert set(members(page)) == {"ada@example.com", "bob@example.com"}
    forms = [form for form in page.forms.values() if "form" in form.fields]
    assert {form["form"].value for form in forms} == {"remove"}
    token = form_of(page, "remove")["csrf_token"].value
    for fields in (
        {"form": "role", "user_id": str(bob.user_id), "role": "owner"},
        {"form": "remove", "user_id": str(ada.user_id)},
    ):
        bob.client.post(f"/projects/{slug}/members", {**fields, "csrf_token": token}, status=403)
    answer = form_of(page, "remove").submit(status=303)
    assert answer.location.endswith("/projects")
    bob.get(f"/projects/{slug}", status=404)


def test_invalid_forms_are_rejected(ada, slug, form_of):
    page = ada.get(f"/projects/{slug}/members")
    token = form_of(page, "role")["csrf_token"].value
    nobody = "01a208f2-a042-737c-b291-5e9a3006f95b"
    for fields, status in (
        ({"form": "add", "person": nobody, "role": "viewer"}, 400),
        ({"form": "role", "user_id": nobody, "role": "king"}, 400),
        ({"form": "role", "user_id": "x", "role": "viewer"}, 400),
        ({"form": "role", "user_id": nobody, "role": "viewer"}, 404),
        ({"form": "remove", "user_id": nobody}, 404),
        ({"form": "else"}, 400),
    ):
        ada.client.post(f"/projects/{slug}/members", {**fields, "csrf_token": token}, status=status)


def test_the_page_sends_three_statements(place, ada, slug):
    for number in range(5):
        place.join(slug, place.visitor(f"p{number}@example.com"), Role.VIEWER)
    with place.statements() as sent:
        ada.get(f"/projects/{slug}/members")
    assert len(sent) == 3
