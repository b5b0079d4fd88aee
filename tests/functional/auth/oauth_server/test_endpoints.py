"""Tests the requests and responses of the endpoints for OAuth clients. T39, T40."""

import pytest
from sqlalchemy.exc import OperationalError

from combine_auth.oauth_server import endpoints
from tests.functional.auth.conftest import at_once
from tests.functional.auth.oauth_server.conftest import Client, query_of, refused

ENDPOINTS = ["token", "revoke", "introspect", "device"]
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_endpoints_accept_only_post(provider, endpoint, method):
    answer = provider.wire.request(f"/oauth/{endpoint}", method=method, expect_errors=True)
    assert answer.status_int == 405
    assert answer.headers["Allow"] == "POST"
    if method != "HEAD":
        refused(answer, 405, "invalid_request")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", FORM, None),
        (b'{"grant_type": "client_credentials"}', "application/json", 400),
        (b"grant_type=client_credentials", "text/plain", 400),
        (b"grant_type=client_credentials", "", 400),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400),
        (b"grant_type=%FF&token=x", FORM, 400),
        (b"grant_type=\xff", FORM, 400),
        ("grant_type=é".encode(), FORM, 400),
        (b"grant_type=a%00b", FORM, 400),
        (b"client_id=a&client_id=a", FORM, 400),
        (b"token=a&token=b", FORM, 400),
        (b"&".join(b"x=1" for _ in range(60)), FORM, 400),
        (b"token=" + b"x" * 17_000, FORM, 413),
        (b"&&==;;%", FORM, None),
    ],
)
def test_a_body_that_is_not_a_form_is_rejected(provider, endpoint, body, content_type, status):
    answer = provider.wire.request(
        f"/oauth/{endpoint}",
        method="POST",
        body=body,
        content_type=content_type,
        expect_errors=True,
    )
    if status is None:
        assert answer.json["error"] in ("invalid_request", "invalid_client")
    else:
        refused(answer, status, "invalid_request")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_body_above_the_limit_is_rejected(provider, endpoint):
    answer = provider.wire.request(
        f"/oauth/{endpoint}",
        method="POST",
        body=b"x=" + b"1" * 3_000_000,
        content_type=FORM,
        expect_errors=True,
    )
    refused(answer, 413, "invalid_request")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_parameters_in_the_url_are_rejected(provider, client_, endpoint):
    answer = provider.wire.post(
        f"/oauth/{endpoint}?token=x", {"token": "x", **client_.fields}, expect_errors=True
    )
    refused(answer, 400, "invalid_request")


def test_unknown_grant_types_are_rejected(provider, client_):
    refused(provider.token({**client_.fields}), 400, "invalid_request")
    for unknown in ("password", "implicit", "x", "urn:x", "openid"):
        answer = provider.token({"grant_type": unknown, **client_.fields})
        refused(answer, 400, "unsupported_grant_type")


def test_a_form_may_name_its_charset(provider):
    answer = provider.wire.post(
        "/oauth/token", "grant_type=x", content_type=f"{FORM}; charset=UTF-8", expect_errors=True
    )
    refused(answer, 400, "unsupported_grant_type")


def test_an_unreachable_database_gets_503(provider, client_, monkeypatch):
    def away(*args, **kwargs):
        raise OperationalError("SELECT secret", {}, Exception("secret"))

    monkeypatch.setattr(endpoints, "oauth_context", away)
    answer = provider.token({"grant_type": "x", **client_.fields})
    refused(answer, 503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert "secret" not in answer


def test_an_unexpected_error_reveals_nothing(provider, client_, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("secret")

    monkeypatch.setattr(endpoints, "oauth_context", fail)
    answer = provider.token({"grant_type": "x", **client_.fields})
    refused(answer, 500, "server_error")
    assert "secret" not in answer


def test_too_many_requests_get_429(provider, client_):
    answers = [provider.token({"grant_type": "x", **client_.fields}) for _ in range(301)]
    assert {answer.status_int for answer in answers[:300]} == {400}
    refused(answers[-1], 429, "temporarily_unavailable")
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_request_uses_one_connection(provider, client_):
    """There are as many parallel requests as connections in the pool. No request needs a second one."""
    tokens = [provider.tokens(client_) for _ in range(4)]
    answers = at_once(lambda t: provider.refresh(client_, t["refresh_token"]), tokens)
    assert [answer.status_int for answer in answers] == [200] * 4


def revoke(provider, client, token, **more):
    return provider.wire.post(
        "/oauth/revoke", {"token": token, **client.fields, **more}, expect_errors=True
    )


def introspect(provider, client, token, **more):
    return provider.wire.post(
        "/oauth/introspect", {"token": token, **client.fields, **more}, expect_errors=True
    )


def test_t40_introspection_describes_a_token(provider, client_):
    tokens = provider.tokens(client_)
    answer = introspect(provider, client_, tokens["access_token"])
    assert answer.headers["Cache-Control"] == "no-store"
    known = answer.json
    [(user_id,)] = provider.service.execute("SELECT id FROM users WHERE email LIKE 'ann%'")
    assert known.pop("exp") - known.pop("iat") == 3600
    assert known == {
        "active": True,
        "scope": "projects:read runs:write",
        "client_id": client_.client_id,
        "sub": str(user_id),
        "username": "ann@example.com",
        "token_type": "Bearer",
    }
    assert introspect(provider, client_, tokens["refresh_token"]).json["active"] is True


def test_t40_inactive_token_is_not_described(provider, client_):
    tokens = provider.tokens(client_)
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    other = provider.register()
    personal = provider.service.token(provider.service.user())
    for client, token in (
        (client_, "x"),
        (client_, "é"),
        (client_, "cmb_at_" + "0" * 49),
        (client_, personal),
        (other, access),
        (other, refresh),
    ):
        assert introspect(provider, client, token).json == {"active": False}
    renewed = provider.refresh(client_, refresh).json
    assert introspect(provider, client_, refresh).json == {"active": False}
    for change in (
        "UPDATE oauth_tokens SET expires_at = now()",
        "UPDATE users SET disabled_at = now() WHERE email LIKE 'ann%'",
        "UPDATE oauth_grants SET revoked_at = now()",
    ):
        assert introspect(provider, client_, renewed["access_token"]).json["active"] is True
        provider.service.execute(change)
        assert introspect(provider, client_, renewed["access_token"]).json == {"active": False}
        provider.service.execute(
            "UPDATE oauth_tokens SET expires_at = now() + interval '1 hour';"
            "UPDATE users SET disabled_at = NULL; UPDATE oauth_grants SET revoked_at = NULL"
        )


def test_t40_introspection_needs_a_secret(provider, client_, public_client):
    token = provider.tokens(public_client)["access_token"]
    for client in (
        public_client,
        Client(client_.client_id, None),
        Client(client_.client_id, "wrong"),
        Client("unknown", "x"),
    ):
        refused(introspect(provider, client, token), 401, "invalid_client")
    answer = provider.wire.post("/oauth/introspect", {"token": token}, expect_errors=True)
    refused(answer, 401, "invalid_client")
    answer = provider.wire.post("/oauth/introspect", client_.fields, expect_errors=True)
    refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token", "nonsense"])
def test_t40_revoking_a_refresh_token_ends_the_family(provider, client_, hint):
    tokens = provider.tokens(client_)
    more = {} if hint is None else {"token_type_hint": hint}
    answer = revoke(provider, client_, tokens["refresh_token"], **more)
    assert (answer.status_int, answer.text) == (200, "")
    assert provider.user_of(tokens["access_token"]) is None
    refused(provider.refresh(client_, tokens["refresh_token"]), 400, "invalid_grant")
    assert provider.audit()[-1] == ("oauth-revoke", "ok")


@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token", "nonsense"])
def test_t40_revoking_an_access_token_ends_only_this_token(provider, client_, hint):
    tokens = provider.tokens(client_)
    more = {} if hint is None else {"token_type_hint": hint}
    assert revoke(provider, client_, tokens["access_token"], **more).status_int == 200
    assert provider.user_of(tokens["access_token"]) is None
    assert provider.refresh(client_, tokens["refresh_token"]).status_int == 200


def test_t40_revoking_a_rotated_refresh_token_ends_the_family(provider, public_client):
    tokens = provider.tokens(public_client)
    renewed = provider.refresh(public_client, tokens["refresh_token"]).json
    assert revoke(provider, public_client, tokens["refresh_token"]).status_int == 200
    assert provider.user_of(renewed["access_token"]) is None


def test_t40_client_cannot_revoke_tokens_of_others(provider, client_):
    tokens = provider.tokens(client_)
    personal = provider.service.token(provider.service.user())
    other = provider.register()
    for token in (tokens["access_token"], tokens["refresh_token"], personal, "x", "é"):
        answer = revoke(provider, other, token)
        assert (answer.status_int, answer.text) == (200, "")
    assert provider.user_of(tokens["access_token"]) == "ann@example.com"
    assert provider.user_of(personal) == "ann@example.com"
    assert provider.refresh(client_, tokens["refresh_token"]).status_int == 200


def test_t40_revocation_needs_the_client(provider, client_):
    tokens = provider.tokens(client_)
    for client in (
        Client(client_.client_id, None),
        Client(client_.client_id, "x"),
        Client("unknown", "x"),
    ):
        refused(revoke(provider, client, tokens["access_token"]), 401, "invalid_client")
    answer = provider.wire.post("/oauth/revoke", client_.fields, expect_errors=True)
    refused(answer, 400, "invalid_request")
    assert provider.user_of(tokens["access_token"]) == "ann@example.com"


@pytest.mark.parametrize("endpoint", ["token", "revoke", "introspect", "device"])
def test_a_dpop_proof_is_rejected(provider, client_, endpoint):
    answer = provider.wire.post(
        f"/oauth/{endpoint}", client_.fields, headers={"DPoP": "proof"}, expect_errors=True
    )
    refused(answer, 400, "invalid_dpop_proof")
    assert "not supported" in answer.json["error_description"]


def test_a_key_for_dpop_is_rejected(provider, client_):
    answer = provider.authorize(client_, dpop_jkt="x" * 43)
    assert query_of(answer.location)["error"] == "invalid_dpop_proof"
