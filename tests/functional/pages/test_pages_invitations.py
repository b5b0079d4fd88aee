"""Tests the pages of invitation links: an owner creates one, and a user opens and accepts it."""

import pytest

from combine_auth.limits import RULES
from combine_core import submissions
from combine_core.users import Role


@pytest.fixture
def bob(place):
    return place.visitor("bob@example.com")


def invite(visitor, slug, form_of, role="writer"):
    """Return the link that the page shows."""
    form = form_of(visitor.get(f"/projects/{slug}/invitations"), "invite")
    form["role"] = role
    page = form.submit(status=303).follow()
    return page.html.select_one("#new-link")["value"].removeprefix("http://localhost:8000")


def rows(page):
    return [item.select_one(".row-title").text for item in page.html.select("li.row-item")]


def test_an_owner_creates_a_link_and_sees_it_once(ada, slug, form_of):
    page = ada.get(f"/projects/{slug}/members").click("Invite people")
    form = form_of(page, "invite")
    form["role"], form["days"] = "reviewer", "30"
    page = form.submit(status=303).follow()
    link = page.html.select_one("#new-link")["value"]
    token = link.partition("token=")[2]
    assert token not in page.request.url
    assert "no-store" in page.headers["Cache-Control"]
    assert rows(page) == ["Reviewer: open"]
    again = ada.get(page.request.url)
    assert token not in again
    assert rows(again) == ["Reviewer: open"]


def test_a_double_click_creates_one_link_and_shows_it(ada, bob, slug, form_of, monkeypatch):
    monkeypatch.setattr(submissions, "INVITATION_WINDOW", submissions.WINDOW)
    form = form_of(ada.get(f"/projects/{slug}/invitations"), "invite")
    form.submit(status=303)
    page = form.submit(status=303).follow()
    assert rows(page) == ["Viewer: open"]
    link = page.html.select_one("#new-link")["value"].removeprefix("http://localhost:8000")
    bob.get(link).follow().forms[1].submit(status=303).follow(status=200)
    # The link of another role, or after one that was used, is a new one.
    form.submit(status=303)
    form["role"] = "writer"
    page = form.submit(status=303).follow()
    assert rows(page) == ["Writer: open", "Viewer: open", "Viewer: used"]


def test_a_user_opens_the_link_and_accepts(ada, bob, slug, form_of):
    link = invite(ada, slug, form_of)
    opened = bob.get(link, status=303)
    assert opened.location == "http://localhost:8000/invitation"
    assert "HttpOnly" in opened.headers["Set-Cookie"]
    page = opened.follow()
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"
    for shown in ("Ovens", "ada@example.com", "writer", "bob@example.com"):
        assert shown in page
    # Opening the link has changed nothing.
    bob.get(f"/projects/{slug}", status=404)
    assert rows(ada.get(f"/projects/{slug}/invitations")) == ["Writer: open"]
    inside = page.forms[1].submit(status=303)
    assert inside.location.endswith(f"/projects/{slug}")
    assert inside.follow(status=200)
    listed = ada.get(f"/projects/{slug}/invitations")
    assert rows(listed) == ["Writer: used"]
    assert "bob@example.com" in listed.html.select_one(".row-facts").text
    # A second press finds the user already a member.
    assert page.forms[1].submit(status=303).location.endswith(f"/projects/{slug}")


def test_the_link_still_works_after_the_sign_in(place, ada, slug, form_of):
    link = invite(ada, slug, form_of)
    browser = place.stranger()
    page = browser.get(link).follow()
    assert "does not create an account" in page
    assert "Accept" not in page
    sign_in = page.click("Sign in")
    assert "token" not in sign_in.request.url
    [local] = [form for form in sign_in.forms.values() if form.action == "/auth/local"]
    page = local.submit(status=303).follow()
    assert page.request.path == "/invitation"
    page.forms[1].submit(status=303).follow(status=200)


def test_accepting_after_the_session_ended_asks_again(place, ada, slug, form_of):
    """The session has ended in the meantime. After the sign-in, the page appears again."""
    link = invite(ada, slug, form_of)
    bob = place.visitor("bob@example.com")
    page = bob.get(link).follow()
    with place.sessions.begin() as session:
        session.execute(sql("DELETE FROM sessions"))
    answer = page.forms[1].submit(status=303)
    assert answer.location.endswith("/auth/sign-in?next=%2Finvitation")


def sql(statement):
    from sqlalchemy import text

    return text(statement)


def test_the_second_user_sees_the_reason(place, ada, bob, slug, form_of):
    link = invite(ada, slug, form_of)
    carol = place.visitor("carol@example.com")
    pages = [who.get(link).follow() for who in (bob, carol)]
    pages[0].forms[1].submit(status=303)
    refused = pages[1].forms[1].submit(status=410)
    assert "has been used" in refused
    assert "Ovens" not in refused
    carol.get(f"/projects/{slug}", status=404)
    assert "has been used" in carol.get("/invitation", status=410)


def test_revoked_and_unknown_links_are_rejected(ada, bob, slug, form_of):
    link = invite(ada, slug, form_of)
    page = ada.get(f"/projects/{slug}/invitations")
    page = form_of(page, "revoke").submit(status=303).follow()
    assert rows(page) == ["Writer: revoked"]
    assert "was revoked" in bob.get(link).follow(status=410)
    for odd in ("/invitation?token=", "/invitation?token=x", "/invitation?token=" + "a" * 43):
        assert "check that it is complete" in bob.get(odd).follow(status=404)
    # The request has no cookie, as in another browser.
    bob.client.reset()
    assert "check that it is complete" in bob.get("/invitation", status=404)


def test_a_member_is_redirected_to_the_project(place, ada, bob, slug, form_of):
    place.join(slug, bob, Role.VIEWER)
    link = invite(ada, slug, form_of)
    page = bob.get(link).follow()
    assert "You are a member of Ovens" in page
    assert rows(ada.get(f"/projects/{slug}/invitations")) == ["Writer: open"]


def test_the_list_marks_links_of_a_former_owner(place, ada, bob, slug, form_of):
    place.join(slug, bob, Role.OWNER)
    invite(bob, slug, form_of)
    form = form_of(bob.get(f"/projects/{slug}/members"), "remove")
    form["user_id"] = str(bob.user_id)
    form.submit(status=303)
    page = ada.get(f"/projects/{slug}/invitations")
    assert rows(page) == ["Writer: revoked"]
    assert "no longer an owner" in page


def test_only_owners_see_the_links(place, ada, bob, slug):
    place.join(slug, bob, Role.REVIEWER)
    assert "Invite people" not in bob.get(f"/projects/{slug}/members")
    bob.get(f"/projects/{slug}/invitations", status=403)


def test_invalid_forms_are_rejected(ada, slug, form_of):
    page = ada.get(f"/projects/{slug}/invitations")
    token = form_of(page, "invite")["csrf_token"].value
    nobody = "01a208f2-a042-737c-b291-5e9a3006f95b"
    for fields, status in (
        ({"form": "invite", "role": "king", "days": "7"}, 400),
        ({"form": "invite", "role": "viewer", "days": "8"}, 400),
        ({"form": "invite", "role": "viewer"}, 400),
        ({"form": "revoke", "invitation_id": "x"}, 400),
        ({"form": "revoke", "invitation_id": nobody}, 404),
        ({"form": "else"}, 400),
    ):
        fields = {**fields, "csrf_token": token}
        ada.client.post(f"/projects/{slug}/invitations", fields, status=status)
    ada.client.post("/invitation", {"csrf_token": token}, status=404)
    ada.client.post("/invitation", {"token": "a" * 43}, status=400)


def test_guessing_is_limited(place):
    browser = place.stranger()
    browser.extra_environ["REMOTE_ADDR"] = "192.0.2.77"
    for _ in range(RULES["project-invitation"].address.amount):
        browser.get("/invitation", status=404)
    refused = browser.get("/invitation", headers={"Accept": "text/html"}, status=429)
    assert int(refused.headers["Retry-After"]) > 0
