"""Tests the permissions of each project role against one table for the API and the pages."""

import pytest
from sqlalchemy import select

from combine_core.database import session_factory
from combine_core.projects import Project
from combine_core.users import Membership, Role
from tests.functional.auth.things import IN_PROJECTS, Things

# The actions that members with this role may do and those with a lower role may not: for each path
# the methods, and for a page its forms. Viewers may GET every path that is not listed here.
LOWEST_ROLES: dict[Role, dict[str, set[str]]] = {
    Role.VIEWER: {
        "/api/v1/comments/{id}/read": {"POST"},
        "/api/v1/projects/{slug}/members/{user_id}": {"DELETE"},
        "/projects/{slug}/members": {"POST remove"},
    },
    Role.WRITER: {
        "/api/v1/comments/{id}": {"DELETE", "PATCH"},
        "/api/v1/documents/{id}": {"DELETE", "PATCH"},
        "/api/v1/documents/{id}/acknowledgements": {"POST"},
        "/api/v1/documents/{id}/comments": {"POST"},
        "/api/v1/documents/{id}/reviews": {"POST"},
        "/api/v1/documents/{id}/versions": {"POST"},
        "/api/v1/documents/{id}/versions/{number}/restore": {"POST"},
        "/api/v1/projects/{slug}/register/{item_id}": {"PATCH"},
        "/api/v1/projects/{slug}/register/{item_id}/same": {"POST"},
        "/api/v1/projects/{slug}/register/{item_id}/settle": {"POST"},
        "/api/v1/projects/{slug}/runs": {"POST"},
        "/api/v1/projects/{slug}/runs/estimate": {"POST"},
        "/api/v1/projects/{slug}/sources": {"POST"},
        "/api/v1/projects/{slug}/sources/files": {"POST"},
        "/api/v1/projects/{slug}/sources/{id}": {"DELETE", "PATCH"},
        "/api/v1/projects/{slug}/sources/{id}/revisions": {"POST"},
        "/api/v1/reviews/{id}/withdraw": {"POST"},
        "/api/v1/runs/{id}": {"DELETE"},
        "/api/v1/runs/{id}/cancel": {"POST"},
        "/comments/{id}": {"POST delete", "POST resolve"},
        "/documents/{id}": {"POST acknowledge"},
        "/documents/{id}/comments": {"POST add"},
        "/documents/{id}/edit": {"GET", "POST move", "POST save"},
        "/documents/{id}/reviews": {"POST ask"},
        "/documents/{id}/settings": {"GET", "POST archive", "POST delete", "POST rename"},
        "/documents/{id}/versions/{number}": {"POST restore"},
        "/projects/{slug}": {"POST paste", "POST run", "POST upload"},
        "/projects/{slug}/register/{item_id}": {"POST change", "POST same", "POST settle"},
        "/projects/{slug}/sources/{source_id}": {"POST"},
        "/projects/{slug}/sources/{source_id}/settings": {"GET", "POST delete", "POST rename"},
        "/reviews/{id}": {"POST withdraw"},
        "/runs/{id}": {"POST cancel"},
        "/runs/{id}/settings": {"GET", "POST delete"},
    },
    Role.REVIEWER: {
        "/api/v1/reviews/{id}/decisions": {"POST"},
        "/api/v1/reviews/{id}/edit-and-approve": {"POST"},
        "/reviews/{id}": {"POST decide"},
    },
    Role.OWNER: {
        "/api/v1/projects/{slug}": {"DELETE", "PATCH"},
        "/api/v1/projects/{slug}/export": {"GET"},
        "/api/v1/projects/{slug}/invitations": {"GET", "POST"},
        "/api/v1/projects/{slug}/invitations/{id}": {"DELETE", "GET"},
        "/api/v1/projects/{slug}/members/{user_id}": {"PUT"},
        "/projects/{slug}/export": {"GET"},
        "/projects/{slug}/invitations": {"GET", "POST invite", "POST revoke"},
        "/projects/{slug}/members": {"POST role"},
        "/projects/{slug}/settings": {"GET", "POST archive", "POST delete", "POST rename"},
    },
}


def actions(app):
    """Return each path into a project with its methods and forms."""
    views = {}
    for entry in app.registry.introspector.get_category("views"):
        view = entry["introspectable"]
        methods = view["request_methods"] or ()
        form = (view["request_param"] or "").removeprefix("form=")
        for method in {methods} if isinstance(methods, str) else set(methods) - {"HEAD"}:
            views.setdefault(view["route_name"], set()).add(f"{method} {form}".strip())
    return [
        (route.pattern, action)
        for route in app.routes_mapper.get_routes(include_static=True)
        if getattr(route, "factory", None) in IN_PROJECTS
        for action in sorted(views.get(route.name, ()))
    ]


def lowest_role(pattern, action):
    found = [role for role, paths in LOWEST_ROLES.items() if action in paths.get(pattern, ())]
    assert len(found) == 1 or (not found and action == "GET"), (
        f"{action} {pattern} is not in the table."
    )
    return found[0] if found else Role.VIEWER


@pytest.fixture
def things(app, sign_in, run_jobs):
    return Things(app, sign_in("ada@example.com"), run_jobs, "Harbour")


@pytest.mark.parametrize("role", list(Role))
def test_each_role_has_exactly_its_permissions(app, things, sign_in, browser, role):
    person = sign_in("bob@example.com")
    with session_factory(app.registry).begin() as session:
        project = select(Project.id).where(Project.slug == things.slug)
        project_id = session.scalars(project).one()
        session.add(Membership(project_id=project_id, user_id=person.user_id, role=role))
    pages = browser(person)
    for pattern, action in actions(app):
        method, _, form = action.partition(" ")
        path = things.path(pattern)
        if pattern.startswith("/api/"):
            # The requests change nothing, because they are empty or expect another state.
            answer = person.client.request(
                path,
                method=method,
                status="*",
                headers={"If-Match": '"another"'},
                **({} if method == "GET" else {"body": b"{}", "content_type": "application/json"}),
            )
        else:
            # A form without a CSRF token is rejected, but after the check of the role.
            answer = pages.request(
                path,
                method=method,
                status="*",
                **({} if method == "GET" else {"body": f"form={form}".encode()}),
            )
        ranks = list(Role)
        is_allowed = ranks.index(role) >= ranks.index(lowest_role(pattern, action))
        assert (answer.status_int != 403) == is_allowed, (action, pattern, answer.status)


def test_the_table_has_no_unknown_actions(app):
    there = set(actions(app))
    for paths in LOWEST_ROLES.values():
        for pattern, names in paths.items():
            assert {(pattern, name) for name in names} <= there
