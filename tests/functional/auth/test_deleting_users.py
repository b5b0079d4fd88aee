"""Tests the deletion of users by themselves, by administrators and by operators."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text, update
from webtest import TestApp

from combine_auth.administration.service import delete_user
from combine_auth.clients.service import ClientRegistration, register_client
from combine_auth.failures import Refused
from combine_auth.sessions import start_session
from combine_core.database import session_factory
from combine_core.llm import providers_of
from combine_core.projects import create_project
from combine_core.runs import cancel_run, start_run
from combine_core.sources import add_source
from combine_core.users import Membership, Role, User

HTTPS = {
    "wsgi.url_scheme": "https",
    "HTTP_HOST": "localhost",
    "HTTP_ORIGIN": "https://localhost",
}
LAST_ADMINISTRATOR = "This is the only administrator."
LAST_OWNER = "This is the only owner of a project with other members"


@pytest.fixture
def execute(app):
    def execute(statement, **values):
        with session_factory(app.registry).begin() as session:
            return [tuple(row) for row in session.execute(text(statement), values)]

    return execute


@pytest.fixture
def administrator(app, sign_in):
    """``administrator("root@example.com")``: a signed-in administrator."""

    def make(email="root@example.com"):
        person = sign_in(email)
        with session_factory(app.registry).begin() as session:
            session.execute(update(User).where(User.id == person.user_id).values(is_admin=True))
        return person

    return make


@pytest.fixture
def root(administrator):
    return administrator()


@pytest.fixture
def ann(sign_in):
    return sign_in("ann@example.com")


@pytest.fixture
def join(app):
    """``join(person, "Harbour", "owner")``: add the person to a project, which is created with a source."""
    made = {}

    def join(person, name, role):
        with session_factory(app.registry).begin() as session:
            if name not in made:
                made[name] = create_project(session, name, person.user_id).id
                add_source(session, made[name], "notes.md", "We decided to dig.", person.user_id)
            membership = session.get(Membership, (made[name], person.user_id))
            if membership is None:
                membership = Membership(project_id=made[name], user_id=person.user_id)
                session.add(membership)
            membership.role = role
            return made[name]

    return join


def path_of(person):
    return f"/api/v1/users/{person.user_id}"


def test_an_administrator_deletes_a_user(root, ann, join, execute):
    join(ann, "Mine", Role.OWNER)
    join(root, "Ours", Role.OWNER)
    ours = join(ann, "Ours", Role.WRITER)
    execute("UPDATE sources SET created_by = :ann RETURNING 1", ann=ann.user_id)

    plan = root.client.get(f"{path_of(ann)}/deletion").json
    takes = {"projects": 1, "sources": 1, "memberships": 1}
    assert plan == {"takes_along": takes, "documents": [], "obstacle": None}
    root.client.delete(path_of(ann), status=204)

    root.client.get(path_of(ann), status=404)
    root.client.delete(path_of(ann), status=404)
    ann.client.get("/api/v1/me", status=401)
    assert execute("SELECT name FROM projects") == [("Ours",)]
    assert execute("SELECT project_id, created_by FROM sources") == [(ours, None)]
    [event] = root.client.get("/api/v1/audit", {"action": "user-delete"}).json["items"]
    assert event["actor"] == "root@example.com"
    assert event["target"] == f"user:{ann.user_id}"
    assert event["details"] == {"email": "ann@example.com", **takes}


def test_deleting_a_user_needs_the_current_etag(root, ann, execute):
    seen = root.client.get(path_of(ann)).headers["ETag"]
    root.client.patch_json(path_of(ann), {"disabled": True})
    root.client.delete(path_of(ann), headers={"If-Match": seen}, status=412)
    seen = root.client.get(path_of(ann)).headers["ETag"]
    root.client.delete(path_of(ann), headers={"If-Match": seen}, status=204)


def test_the_only_owner_of_a_shared_project_cannot_be_deleted(root, ann, join, problem_of):
    join(ann, "Ours", Role.OWNER)
    join(root, "Ours", Role.WRITER)
    said = problem_of(root.client.delete(path_of(ann), status=409))
    # Administrators do not see the projects of others.
    assert said.startswith(f"{LAST_OWNER}. ")
    assert root.client.get(f"{path_of(ann)}/deletion").json["obstacle"] == said
    join(root, "Ours", Role.OWNER)
    root.client.delete(path_of(ann), status=204)


def test_the_only_administrator_cannot_be_deleted(administrator, root, ann, problem_of):
    assert LAST_ADMINISTRATOR in problem_of(root.client.delete(path_of(root), status=409))
    other = administrator("other@example.com")
    root.client.delete(path_of(root), status=204)
    assert LAST_ADMINISTRATOR in problem_of(other.client.delete(path_of(other), status=409))


def test_parallel_deletions_leave_one_administrator(app, administrator):
    people = [administrator("one@example.com"), administrator("two@example.com")]
    together = threading.Barrier(2)
    said = []

    def go(person):
        with session_factory(app.registry).begin() as session:
            together.wait()
            try:
                delete_user(session, session.get_one(User, person.user_id))
                said.append("gone")
            except Refused as refused:
                said.append(str(refused)[: len(LAST_ADMINISTRATOR)])

    threads = [threading.Thread(target=go, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [LAST_ADMINISTRATOR, "gone"]


def test_a_run_in_progress_prevents_the_deletion(app, root, ann, join, problem_of):
    project_id = join(ann, "Mine", Role.OWNER)
    with session_factory(app.registry).begin() as session:
        source = add_source(session, project_id, "b.md", "We decided to build.", ann.user_id)
        providers = providers_of(app.registry)
        run = start_run(
            session,
            project_id,
            "brief",
            [source.id],
            ann.user_id,
            model="extract",
            providers=providers,
        )
    assert "still going on" in problem_of(root.client.delete(path_of(ann), status=409))
    with session_factory(app.registry).begin() as session:
        cancel_run(session, run.id)
    root.client.delete(path_of(ann), status=204)


def test_clients_are_deleted_and_their_users_disabled(app, root, ann, execute, problem_of):
    with session_factory(app.registry).begin() as session:
        robot = ClientRegistration("Robot", service=True, scopes=["runs:read"])
        register_client(session, ann.user_id, robot)
    [(robot,)] = execute("SELECT service_user_id FROM oauth_clients WHERE owner_id IS NOT NULL")
    said = problem_of(root.client.delete(f"/api/v1/users/{robot}", status=409))
    assert "Delete the client first" in said
    root.client.delete(path_of(ann), status=204)
    assert execute("SELECT disabled_at IS NULL FROM users WHERE id = :id", id=robot) == [(False,)]
    root.client.delete(f"/api/v1/users/{robot}", status=204)


@pytest.fixture
def problem_of():
    def detail(answer):
        assert answer.content_type == "application/problem+json"
        return answer.json["detail"]

    return detail


@pytest.fixture
def browser(app):
    """``browser(person)``: a browser with a session of this user."""

    def open_browser(person):
        with session_factory(app.registry).begin() as session:
            cookie = start_session(session, person.user_id)
        client = TestApp(app, extra_environ=HTTPS, lint=False)
        client.set_cookie("__Host-combine_session", cookie)
        return client

    return open_browser


def form_named(page, name):
    [form] = [
        one for one in page.forms.values() if "form" in one.fields and one["form"].value == name
    ]
    return form


def test_administrators_disable_enable_and_delete_on_pages(root, ann, join, browser, execute):
    join(ann, "Mine", Role.OWNER)
    client = browser(root)
    page = client.get("/account").click("users")
    assert [link.text for link in page.html.select("a.row-title")] == ["ann", "root"]
    form = page.forms[1]
    form["email"] = "nobody@example.com"
    assert "There is no such user" in form.submit()
    form["email"] = "ANN@example.com"
    found = form.submit()
    assert [link.text for link in found.html.select("a.row-title")] == ["ann"]
    page = found.click("ann")
    page = form_named(page, "disable").submit(status=303).follow()
    ann.client.get("/api/v1/me", status=401)
    page = form_named(page, "enable").submit(status=303).follow()
    assert "The user is deleted with 1 project and 1 source." in page.text
    form = form_named(page, "delete")
    assert form.submit(status=303).location.endswith("/administration/users")
    assert execute("SELECT email FROM users") == [("root@example.com",)]
    form.submit(status=404)


def test_the_pages_show_why_a_user_cannot_be_deleted(root, browser):
    client = browser(root)
    page = client.get(f"/administration/users/{root.user_id}")
    assert LAST_ADMINISTRATOR in page.text
    assert "form" not in page.html.select_one("#delete-heading").parent.text
    token = form_named(page, "disable")["csrf_token"].value
    answer = client.post(page.request.path, {"form": "delete", "csrf_token": token}, status=409)
    assert answer.text.count(LAST_ADMINISTRATOR) == 1
    assert "You cannot disable yourself" in form_named(page, "disable").submit(status=409)


def test_the_pages_need_an_administrator(app, ann, root, browser):
    stranger = TestApp(app, extra_environ=HTTPS, lint=False)
    for path in ("/administration/users", f"/administration/users/{root.user_id}"):
        browser(ann).get(path, status=403)
        stranger.get(path, status=303)
    browser(root).get("/administration/users/x", status=404)


def test_users_delete_their_own_account(ann, root, join, browser, execute):
    join(ann, "Mine", Role.OWNER)
    client = browser(ann)
    page = client.get("/account").click("Delete my account")
    assert "with 1 project and 1 source" in page.text
    [form] = [form for form in page.forms.values() if form.action == "/account/delete"]
    assert form.submit(status=303).location.endswith("/auth/sign-in")
    assert execute("SELECT email FROM users") == [("root@example.com",)]
    client.get("/account", status=303)
    form.submit(status="*")
    [event] = root.client.get("/api/v1/audit", {"action": "user-delete"}).json["items"]
    assert event["actor"] == "ann@example.com"


def test_the_page_names_the_projects_that_would_be_left_without_an_owner(ann, root, join, browser):
    join(ann, "Our <harbour>", Role.OWNER)
    client = browser(ann)
    page = client.get("/account/delete")
    join(root, "Our <harbour>", Role.VIEWER)
    [form] = [form for form in page.forms.values() if form.action == "/account/delete"]
    refused = form.submit(status=409)
    assert "Our &lt;harbour&gt;. Make another member an owner first" in refused.text
    assert "/account/delete" not in [form.action for form in refused.forms.values()]
    assert client.get("/account/delete").text.count("Our &lt;harbour&gt;") == 1


def test_a_form_without_its_token_deletes_nothing(ann, browser, execute):
    browser(ann).post("/account/delete", status=400)
    assert execute("SELECT email FROM users") == [("ann@example.com",)]
