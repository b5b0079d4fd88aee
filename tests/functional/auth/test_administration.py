"""Tests the API for administrators, and that it is closed to all other users."""

import uuid

import pytest
from sqlalchemy import update

from combine_auth.audit import Action, record
from combine_core.database import session_factory
from combine_core.users import User

PATHS = [
    ("GET", "/api/v1/audit"),
    ("GET", "/api/v1/users"),
    ("GET", "/api/v1/users/{id}"),
    ("PATCH", "/api/v1/users/{id}"),
    ("DELETE", "/api/v1/users/{id}"),
    ("GET", "/api/v1/users/{id}/deletion"),
    ("DELETE", "/api/v1/users/{id}/sessions"),
]


@pytest.fixture
def root(app, sign_in):
    person = sign_in("root@example.com")
    with session_factory(app.registry).begin() as session:
        session.execute(update(User).where(User.id == person.user_id).values(is_admin=True))
    return person


@pytest.fixture
def ann(sign_in):
    return sign_in("ann@example.com")


def ask(client, method, path, **options):
    call = {"GET": client.get, "PATCH": client.patch_json, "DELETE": client.delete}[method]
    return call(path, {"disabled": True}, **options) if method == "PATCH" else call(path, **options)


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_other_users_are_rejected_for_known_and_unknown_ids(testapp, ann, root, method, path):
    bodies = set()
    for user_id in (root.user_id, uuid.uuid4()):
        target = path.format(id=user_id)
        assert ask(testapp, method, target, status=401).content_type == "application/problem+json"
        problem = ask(ann.client, method, target, status=403).json
        bodies.add(problem["detail"])
    assert bodies == {
        "Only administrators may do this. To make one: combine user grant-admin EMAIL"
    }


def test_the_audit_has_pages_and_filters(app, root, ann):
    with session_factory(app.registry).begin() as session:
        for number in range(5):
            record(session, Action.SIGN_IN, actor_id=ann.user_id, actor=ann.email, number=number)
        record(session, Action.SIGN_IN, outcome="access_denied")
        record(session, Action.SETTINGS, actor="service", digests={"A": "x"}, key="k", changed=[])
    client = root.client
    seen, cursor = [], None
    while True:
        page = client.get("/api/v1/audit", {"limit": "2"} | ({"cursor": cursor} if cursor else {}))
        seen += [event["action"] for event in page.json["items"]]
        assert "digests" not in page.text
        cursor = page.json["next"]
        if cursor is None:
            break
    assert seen == ["settings", *["sign-in"] * 6]

    def numbers(**query):
        items = client.get("/api/v1/audit", query, status=200).json["items"]
        return [event["details"].get("number") for event in items]

    assert numbers(user="Ann@Example.com") == [4, 3, 2, 1, 0]
    assert numbers(outcome="access_denied") == [None]
    assert numbers(action="settings", user="ann@example.com") == []
    assert len(numbers(since="2026-01-01T00:00:00Z")) == 7
    assert numbers(until="2026-01-01T00:00:00Z") == []
    assert numbers(user="nul\0@example.com") == []


@pytest.mark.parametrize(
    "query",
    [{"cursor": "x"}, {"limit": "0"}, {"since": "yesterday"}, {"user": ""}, {"action": "x" * 51}],
)
def test_invalid_queries_are_rejected(root, query):
    answer = root.client.get("/api/v1/audit", query, status=400)
    assert answer.content_type == "application/problem+json"


def test_users_are_listed_and_found(root, ann):
    client = root.client
    emails = [user["email"] for user in client.get("/api/v1/users").json["items"]]
    assert emails == ["ann@example.com", "root@example.com"]
    [found] = client.get("/api/v1/users", {"email": "ANN@example.com "}).json["items"]
    assert found["id"] == str(ann.user_id)
    assert found["disabled_at"] is None
    # The test created the user, so no provider has verified the address.
    assert found["address_verified"] is False


def test_a_user_is_disabled_and_enabled(root, ann):
    path = f"/api/v1/users/{ann.user_id}"
    ann.client.get("/api/v1/me", status=200)
    for _ in range(2):
        assert root.client.patch_json(path, {"disabled": True}, status=200).json["disabled_at"]
    ann.client.get("/api/v1/me", status=401)
    assert root.client.patch_json(path, {"disabled": False}).json["disabled_at"] is None
    ann.client.get("/api/v1/me", status=200)
    lines = root.client.get("/api/v1/audit", {"user": "ann@example.com"}).json["items"]
    assert [(line["action"], line["actor"]) for line in lines] == [
        ("user-enable", "root@example.com"),
        ("user-disable", "root@example.com"),
    ]
    assert lines[0]["request_id"]


def test_administrators_cannot_disable_themselves(root):
    path = f"/api/v1/users/{root.user_id}"
    root.client.patch_json(path, {"disabled": True}, status=409)
    root.client.get("/api/v1/me", status=200)


def test_all_sessions_of_a_user_are_ended(app, root, ann, testapp):
    from combine_auth.sessions import start_session

    with session_factory(app.registry).begin() as session:
        cookies = [start_session(session, ann.user_id) for _ in range(2)]
    for cookie in cookies:
        testapp.get("/api/v1/me", headers={"Cookie": f"combine_session={cookie}"}, status="*")
    root.client.delete(f"/api/v1/users/{ann.user_id}/sessions", status=204)
    [line] = root.client.get("/api/v1/audit", {"action": "sessions-end-all"}).json["items"]
    assert line["details"]["ended"] == 2
    assert line["target"] == f"user:{ann.user_id}"


def test_an_unknown_user_gets_404(root):
    nobody = uuid.uuid4()
    root.client.patch_json(f"/api/v1/users/{nobody}", {"disabled": True}, status=404)
    root.client.delete(f"/api/v1/users/{nobody}/sessions", status=404)
    root.client.patch_json("/api/v1/users/me", {"disabled": True}, status=400)
    root.client.patch_json(f"/api/v1/users/{nobody}", {}, status=422)
    root.client.get(f"/api/v1/users/{nobody}", status=404)
    answer = root.client.put_json(f"/api/v1/users/{nobody}", {}, status=405)
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, PATCH"


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("2026-01-01T00:00:00+19:00", 200),
        ("2026-01-01T00:00:00-23:59", 200),
        ("0001-01-01T00:00:00+23:59", 200),
        ("9999-12-31T23:59:59.999999-23:59", 200),
        ("2024-02-29T23:59:59.123456789z", 200),
        ("0004-02-29t00:00:00Z", 200),
        ("2026-01-01T00:00:00+24:00", 400),
        ("2026-01-01T00:00:00", 400),
        ("2026-01-01T00:00:00Z\n", 400),
        ("2026-02-29T00:00:00Z", 400),
        ("0000-01-01T00:00:00Z", 400),
        ("\0", 400),
    ],
)
def test_extreme_times_are_accepted_or_rejected(root, moment, status):
    for name in ("since", "until"):
        root.client.get("/api/v1/audit", {name: moment}, status=status)


def test_a_nul_byte_matches_nothing(root):
    for name in ("action", "outcome"):
        assert "must match" in root.client.get("/api/v1/audit", {name: "\0"}, status=400).text
    assert root.client.get("/api/v1/users", {"email": "\0"}).json["items"] == []


def test_changing_a_user_needs_the_current_etag(root, ann):
    path = f"/api/v1/users/{ann.user_id}"
    seen = root.client.get(path)
    assert seen.json in root.client.get("/api/v1/users").json["items"]
    headers = {"If-Match": seen.headers["ETag"]}
    changed = root.client.patch_json(path, {"disabled": True}, headers=headers)
    assert changed.json["disabled_at"] is not None
    root.client.patch_json(path, {"disabled": False}, headers=headers, status=412)
    headers = {"If-Match": changed.headers["ETag"]}
    assert root.client.patch_json(path, {"disabled": False}, headers=headers).json == seen.json
