"""Tests client authentication and the errors for failed authentication. T38, T39."""

import base64
from urllib.parse import quote

import pytest

from tests.functional.auth.oauth_server.conftest import Client, refused


def basic(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return {"Authorization": f"Basic {base64.b64encode(raw).decode()}"}


def request_own_token(provider, client, **options):
    """Request a token for the client itself."""
    return provider.token({"grant_type": "client_credentials"}, **options)


@pytest.fixture
def robot(provider):
    return provider.register(service=True, redirect_uris=[])


def test_secret_in_header_or_body_is_accepted(provider, robot):
    for fields, headers in (
        (robot.fields, {}),
        ({}, basic(f"{robot.client_id}:{robot.secret}")),
        ({"client_id": robot.client_id}, basic(f"{robot.client_id}:{robot.secret}")),
        # The values are form-encoded first (RFC 6749, 2.3.1).
        ({}, basic(f"{quote(robot.client_id)}:{robot.secret.replace('_', '%5F')}")),
    ):
        answer = provider.token({"grant_type": "client_credentials", **fields}, headers=headers)
        assert answer.status_int == 200, answer.text


def test_t38_failed_authentication_gets_401(provider, robot):
    name, secret = robot.client_id, robot.secret
    wrong = [
        ({}, {}),
        ({"client_id": name}, {}),
        ({"client_id": name, "client_secret": "wrong"}, {}),
        ({"client_id": name, "client_secret": secret[:-1]}, {}),
        ({"client_id": name, "client_secret": "é" * 1000}, {}),
        ({"client_id": "unknown", "client_secret": secret}, {}),
        ({"client_id": name.upper(), "client_secret": secret}, {}),
        ({"client_id": "a:b", "client_secret": secret}, {}),
        ({"client_id": "é", "client_secret": secret}, {}),
        ({"client_secret": secret}, {}),
        # The client uses both ways, or two names.
        ({"client_id": name, "client_secret": secret}, basic(f"{name}:{secret}")),
        ({"client_id": "other"}, basic(f"{name}:{secret}")),
        ({}, basic(f"{name}:wrong")),
        ({}, basic(f"unknown:{secret}")),
        ({}, basic(f"{name}:")),
        ({}, basic(name)),
        ({}, basic("")),
        ({}, basic(b"\xff\xfe:\xff")),
        ({}, basic(f"{name}:%ff{secret}")),
        ({}, {"Authorization": "Basic ***"}),
        ({}, {"Authorization": "Basic"}),
        ({}, {"Authorization": f"Bearer {secret}"}),
        ({"client_id": name, "client_secret": secret}, {"Authorization": "Bearer x"}),
    ]
    for fields, headers in wrong:
        answer = provider.token({"grant_type": "client_credentials", **fields}, headers=headers)
        refused(answer, 401, "invalid_client")


def test_t38_unknown_client_and_wrong_secret_get_the_same_response(provider, robot):
    answers = {
        provider.token({"grant_type": "client_credentials", **client.fields}).text
        for client in (
            Client(robot.client_id, "cmb_cs_" + "0" * 49),
            Client("unknown", robot.secret),
            Client("combine-cli", robot.secret),
        )
    }
    assert len(answers) == 1


def test_t38_unknown_client_and_wrong_secret_take_the_same_work(provider, robot):
    statements = []
    for client in (Client(robot.client_id, "wrong"), Client("unknown", "wrong"), Client("!", "x")):
        with provider.service.statements() as sent:
            provider.token({"grant_type": "client_credentials", **client.fields})
        statements.append(sent)
    assert statements[0] == statements[1] == statements[2]
    assert len(statements[0]) == 1


def test_t38_public_client_with_a_secret_is_rejected(provider, public_client):
    tokens = provider.tokens(public_client)
    wrong = Client(public_client.client_id, "x")
    refused(provider.refresh(wrong, tokens["refresh_token"]), 401, "invalid_client")
    assert provider.refresh(public_client, tokens["refresh_token"]).status_int == 200


def test_t38_confidential_client_without_its_secret_is_rejected(provider, client_):
    tokens = provider.tokens(client_)
    answer = provider.refresh(Client(client_.client_id, None), tokens["refresh_token"])
    refused(answer, 401, "invalid_client")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE oauth_clients SET disabled_at = now()",
        # Only the owner of the secret sees this error.
        "UPDATE users SET disabled_at = now() WHERE email = 'dev@example.com'",
    ],
)
def test_t38_disabled_client_is_rejected(provider, robot, change):
    token = provider.token({"grant_type": "client_credentials", **robot.fields}).json
    assert provider.user_of(token["access_token"])
    provider.service.execute(change)
    answer = provider.token({"grant_type": "client_credentials", **robot.fields})
    refused(answer, 401, "invalid_client")
    assert provider.user_of(token["access_token"]) is None


def test_client_credentials_act_as_the_clients_own_user(provider, robot):
    answer = provider.token({"grant_type": "client_credentials", **robot.fields})
    assert "refresh_token" not in answer.json
    assert answer.json["scope"] == "projects:read runs:read runs:write"
    email = f"client-{robot.client_id}@clients.invalid"
    assert provider.user_of(answer.json["access_token"]) == email
    # The authorization ends with its token.
    assert provider.service.execute(
        "SELECT grant_type, extract(epoch FROM expires_at - created_at)::int FROM oauth_grants"
    ) == [("client_credentials", 3600)]


def test_t37_client_credentials_are_limited_to_the_scopes_of_the_client(provider, robot):
    fields = {"grant_type": "client_credentials", **robot.fields}
    assert provider.token({**fields, "scope": "runs:read"}).json["scope"] == "runs:read"
    refused(provider.token({**fields, "scope": "sources:write"}), 400, "invalid_scope")
    refused(provider.token({**fields, "scope": "nonsense"}), 400, "invalid_scope")


def test_unregistered_grants_are_rejected(provider, client_, robot):
    answer = provider.token({"grant_type": "client_credentials", **client_.fields})
    refused(answer, 400, "unauthorized_client")
    fields = {"grant_type": "refresh_token", "refresh_token": "x", **robot.fields}
    refused(provider.token(fields), 400, "unauthorized_client")


def test_disabled_service_user_is_rejected(provider, robot):
    provider.service.execute("UPDATE users SET disabled_at = now() WHERE email LIKE 'client-%'")
    answer = provider.token({"grant_type": "client_credentials", **robot.fields})
    refused(answer, 400, "unauthorized_client")


def test_t38_secret_in_the_url_is_rejected(provider, robot):
    fields = {"grant_type": "client_credentials", "client_id": robot.client_id}
    answer = provider.wire.post(
        f"/oauth/token?client_secret={robot.secret}", fields, expect_errors=True
    )
    refused(answer, 400, "invalid_request")


def test_t39_fields_of_the_library_are_ignored(provider, robot):
    provider.service.user("admin@example.com")
    [(admin,)] = provider.service.execute("SELECT id FROM users WHERE email LIKE 'admin%'")
    answer = provider.token(
        {
            "grant_type": "client_credentials",
            **robot.fields,
            "user": str(admin),
            "client": "other",
            "scopes": "sources:write",
            "extra_credentials": "x",
            "grant_id": "x",
            "access_token": "x",
            "request_token": "x",
        }
    )
    assert answer.json["scope"] == "projects:read runs:read runs:write"
    assert (
        provider.user_of(answer.json["access_token"]) == f"client-{robot.client_id}@clients.invalid"
    )


def test_t39_the_session_of_the_browser_is_ignored(provider, robot):
    provider.wire = provider.browser("admin@example.com")
    with provider.service.statements() as sent:
        answer = provider.token({"grant_type": "client_credentials", **robot.fields})
    provider.wire = provider.service.client()
    assert (
        provider.user_of(answer.json["access_token"]) == f"client-{robot.client_id}@clients.invalid"
    )
    assert not any("FROM sessions" in statement for statement in sent)
    assert "Set-Cookie" not in answer.headers


def test_failed_authentication_is_logged_without_the_secret(provider, robot, caplog):
    secret = robot.secret[:-1] + "!"
    provider.token({"grant_type": "client_credentials", **Client(robot.client_id, secret).fields})
    assert robot.client_id in caplog.text
    assert secret not in caplog.text
