"""Tests personal access tokens: scopes, the API to manage them, reports of leaked tokens. T37, T42."""

import re

import pytest

from combine_auth.audit import AuditEvent
from combine_auth.clients.service import ClientRegistration, register_client, rotate_secret
from combine_auth.failures import Refused
from combine_auth.tokens.format import PERSONAL
from combine_auth.tokens.service import create_token
from combine_core.database import session_factory
from combine_core.users import User
from tests.functional.conftest import make_client


@pytest.fixture
def ada(app, sign_in):
    app.registry["combine_auth.limiter"].storage.reset()
    return sign_in()


@pytest.fixture
def make_token(app, ada):
    """``make_token(["runs:read"])``: a client with a token of Ada for these scopes."""

    def make(scopes=None):
        with session_factory(app.registry).begin() as session:
            token, _ = create_token(session, ada.user_id, "test", 30, scopes)
        return make_client(app, token)

    return make


def test_t37_scopes_are_checked_at_use(make_token, ada, app):
    reader = make_token(["projects:read"])
    assert reader.get("/api/v1/projects").json["items"] == []
    answer = reader.post_json("/api/v1/projects", {"name": "A"}, status=403)
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge == (
        'Bearer realm="combine", error="insufficient_scope", scope="projects:write"'
    )
    make_token(["projects:write"]).post_json("/api/v1/projects", {"name": "A"})


def test_t37_scope_gives_no_permission_that_the_user_lacks(
    make_token, ada, app, sign_in, add_member
):
    from combine_core.users import Role

    owner = sign_in("owner@example.com")
    project = owner.client.post_json("/api/v1/projects", {"name": "B"}).json
    writer = make_token(["sources:write", "sources:read"])
    path = f"/api/v1/projects/{project['slug']}/sources"
    writer.get(path, status=404)
    add_member(project["id"], ada.user_id, Role.VIEWER)
    assert writer.get(path).status_int == 200
    body = {"title": "t", "text": "x"}
    answer = writer.post_json(path, body, status=403)
    assert "insufficient_scope" not in answer.headers.get("WWW-Authenticate", "")


def test_t37_limited_token_gives_no_administrator_rights(app, make_token, ada):
    with session_factory(app.registry).begin() as session:
        session.get(User, ada.user_id).is_admin = True
    assert ada.client.get("/api/v1/me").json["is_admin"] is True
    assert make_token(["runs:read"]).get("/api/v1/me").json["is_admin"] is False
    make_token(["runs:read"]).get("/api/v1/users", status=403)
    make_token(["users:read"]).get("/api/v1/users", status=200)
    answer = make_token(["users:read"]).get("/api/v1/audit", status=403)
    assert 'scope="audit:read"' in answer.headers["WWW-Authenticate"]


def test_tokens_are_listed_and_revoked(make_token, ada):
    make_token(["runs:read"])
    listed = ada.client.get("/api/v1/me/tokens").json["items"]
    assert [token["scopes"] for token in listed] == [["runs:read"], None]
    assert all(re.fullmatch(r"cmb_pat_\.\.\.\w{4}", token["token"]) for token in listed)
    path = f"/api/v1/me/tokens/{listed[0]['id']}"
    ada.client.delete(path, status=204)
    ada.client.delete(path, status=204)
    listed = ada.client.get("/api/v1/me/tokens").json["items"]
    assert [token["revoked_at"] is None for token in listed] == [True, False]


def test_tokens_of_others_get_404(make_token, ada, sign_in):
    eve = sign_in("eve@example.com")
    [hers] = eve.client.get("/api/v1/me/tokens").json["items"]
    ada.client.delete(f"/api/v1/me/tokens/{hers['id']}", status=404)
    ada.client.delete("/api/v1/me/tokens/x", status=400)
    assert eve.client.get("/api/v1/me").status_int == 200


def test_t42_token_cannot_create_tokens(ada):
    ada.client.post_json("/api/v1/me/tokens", {"name": "more"}, status=405)
    ada.client.post("/account/tokens", {"name": "more", "days": "7"}, status=403)
    assert len(ada.client.get("/api/v1/me/tokens").json["items"]) == 1


def test_a_limited_token_cannot_manage_tokens(make_token, ada, testapp):
    limited = make_token(["runs:read"])
    limited.get("/api/v1/me/tokens", status=403)
    [one, _] = ada.client.get("/api/v1/me/tokens").json["items"]
    limited.delete(f"/api/v1/me/tokens/{one['id']}", status=403)
    testapp.get("/api/v1/me/tokens", status=401)


def report(testapp, token):
    answer = testapp.post_json("/api/v1/tokens/report", {"token": token}, status=204)
    return sorted((name, value) for name, value in answer.headers.items() if name != "X-Request-ID")


def test_t42_a_leaked_token_is_revoked(app, ada, testapp, dbsession, caplog):
    answers = [report(testapp, f" {ada.token}\n"), report(testapp, ada.token)]
    ada.client.get("/api/v1/me", status=401)
    # The response is the same for an unknown token.
    answers += [report(testapp, token) for token in (PERSONAL.new(), "x", "é\x00", "x" * 500)]
    assert all(answer == answers[0] for answer in answers)
    [event] = dbsession.query(AuditEvent).filter(AuditEvent.action == "token-leaked")
    assert event.details == {"owner": str(ada.user_id)}
    assert "found in public" in caplog.text
    assert ada.token not in caplog.text


def test_t42_owner_of_a_leaked_token_is_notified(app, ada, sign_in):
    with session_factory(app.registry).begin() as session:
        create_token(session, ada.user_id, "second")
    report(make_client(app), ada.token)
    second = sign_in().client
    listed = second.get("/api/v1/me/tokens").json["items"]
    assert [token["leaked_at"] is not None for token in listed] == [False, False, True]


def test_t42_leaked_client_secret_is_revoked(app, ada, testapp):
    with session_factory(app.registry).begin() as session:
        registration = ClientRegistration("robot", service=True)
        client, old = register_client(session, ada.user_id, registration)
        new = rotate_secret(session, client)

    def ask(secret):
        fields = {
            "grant_type": "client_credentials",
            "client_id": client.client_id,
            "client_secret": secret,
        }
        return testapp.post("/oauth/token", fields, expect_errors=True).status_int

    assert (ask(old), ask(new)) == (200, 200)
    report(testapp, old)
    assert (ask(old), ask(new)) == (401, 200)
    report(testapp, new)
    assert (ask(old), ask(new)) == (401, 401)


def test_t42_a_leaked_access_token_ends_its_family(app, ada, testapp):
    with session_factory(app.registry).begin() as session:
        client, secret = register_client(
            session, ada.user_id, ClientRegistration("robot", service=True)
        )
    fields = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": secret,
    }
    token = testapp.post("/oauth/token", fields).json["access_token"]
    make_client(app, token).get("/api/v1/me", status=200)
    report(testapp, token)
    answer = make_client(app, token).get("/api/v1/me", status=401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="combine", error="invalid_token"'


def test_t42_reports_are_limited(app, ada, testapp):
    for _ in range(30):
        report(testapp, "x")
    answer = testapp.post_json("/api/v1/tokens/report", {"token": "x"}, status=429)
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": 1}, {"token": "x" * 501}, []])
def test_an_invalid_report_gets_422(app, ada, testapp, body):
    testapp.post_json("/api/v1/tokens/report", body, status=422)


def test_t42_wrong_checksum_sends_no_statement(app, ada, testapp):
    # The token is wrong in only one character.
    token = ada.token[:-1] + ("a" if ada.token[-1] != "a" else "b")
    from sqlalchemy import event

    from combine_core.database import engine_of

    sent = []
    note = lambda *args: sent.append(args[2])  # noqa: E731
    event.listen(engine_of(app.registry), "before_cursor_execute", note)
    try:
        make_client(app, token).get("/api/v1/me", status=401)
    finally:
        event.remove(engine_of(app.registry), "before_cursor_execute", note)
    assert sent == []


def test_the_description_declares_the_security_schemes(testapp):
    """Generated clients learn to use a bearer token, or OAuth with a description of each scope."""
    from combine_auth.tokens.scopes import SCOPES, describe_scope

    document = testapp.get("/api/v1/openapi.json").json
    schemes = document["components"]["securitySchemes"]
    assert document["security"] == [{"bearerAuth": []}, {"oauth2": []}]
    assert schemes["bearerAuth"]["scheme"] == "bearer"
    flows = schemes["oauth2"]["flows"]
    assert set(flows) == {"authorizationCode", "clientCredentials"}
    for flow in flows.values():
        assert flow["scopes"] == {scope: describe_scope(scope) for scope in SCOPES}
        testapp.post(flow["tokenUrl"], {"grant_type": "x"}, status=400)
    testapp.get(flows["authorizationCode"]["authorizationUrl"], status=400)
    assert document["paths"]["/tokens/report"]["post"]["security"] == []


def test_a_token_may_be_limited_to_one_project(app, ada):
    mine = [ada.client.post_json("/api/v1/projects", {"name": n}).json["slug"] for n in "AB"]
    with session_factory(app.registry).begin() as session:
        session.get_one(User, ada.user_id).is_admin = True
        token, _ = create_token(session, ada.user_id, "test", 30, project=mine[0])
        with pytest.raises(Refused, match="no project"):
            create_token(session, ada.user_id, "test", 30, project="unknown")
    client = make_client(app, token)
    assert client.get(f"/api/v1/projects/{mine[0]}/sources").json["items"] == []
    client.get(f"/api/v1/projects/{mine[1]}/sources", status=403)
    client.post_json("/api/v1/projects", {"name": "C"}, status=403)
    client.get("/api/v1/projects", status=403)
    client.get("/api/v1/users", status=403)
    client.get("/api/v1/me/tokens", status=403)
