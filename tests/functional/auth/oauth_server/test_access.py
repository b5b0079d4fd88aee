"""Tests the cost of checking an access token, and the cases in which it is rejected. T37, T42."""

import pytest
from sqlalchemy import text

from combine_auth.oauth_server.issued_tokens import _FIND
from combine_auth.tokens.format import ACCESS


@pytest.fixture
def token(provider, client_):
    return provider.tokens(client_)["access_token"]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_request_with_a_token_sends_one_statement(provider, token):
    provider.user_of(token)
    with provider.service.statements() as sent:
        answer = provider.wire.get("/whoami", headers=bearer(token)).json
    assert len(sent) == 1
    assert (answer["email"], answer["kind"]) == ("ann@example.com", "token")


def test_the_statement_uses_only_indexes(provider, token):
    """Large tables need only indexes, too. The test leaves the planner nothing else to choose."""
    more = """
        INSERT INTO oauth_tokens (id, grant_id, kind, token_sha256, scopes, expires_at)
        SELECT gen_random_uuid(), grant_id, kind, sha256(n::text::bytea), scopes, expires_at
        FROM oauth_tokens, generate_series(1, 1000) n WHERE kind = 'access'
    """
    engine = provider.service.engine
    query = _FIND.compile(engine, compile_kwargs={"render_postcompile": True})
    with engine.connect() as connection:
        # In a table of two rows, every index is as good as the right one.
        connection.exec_driver_sql(more)
        connection.execute(text("ANALYZE oauth_tokens"))
        connection.execute(text("SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off"))
        explained = connection.exec_driver_sql(
            f"EXPLAIN {query}", query.construct_params({"token_sha256": b"0" * 32})
        )
        plan = "\n".join(row[0] for row in explained)
    assert "Seq Scan" not in plan
    assert "uq_oauth_tokens_token_sha256" in plan


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE oauth_tokens SET revoked_at = now()",
        "UPDATE oauth_tokens SET expires_at = now()",
        "UPDATE oauth_tokens SET token_sha256 = sha256('')  WHERE kind = 'access'",
        "UPDATE oauth_grants SET revoked_at = now()",
        "DELETE FROM oauth_grants",
        "UPDATE oauth_clients SET disabled_at = now()",
        "UPDATE users SET disabled_at = now() WHERE email = 'ann@example.com'",
        "UPDATE users SET disabled_at = now() WHERE email = 'dev@example.com'",
    ],
)
def test_an_ended_token_gets_401(provider, token, change):
    assert provider.user_of(token) == "ann@example.com"
    provider.service.execute(change)
    assert provider.user_of(token) is None


def test_an_invalid_token_never_falls_back_to_the_cookie(provider, token):
    browser = provider.browser()
    for bad in (ACCESS.new(), token[:-1] + "!", "x", token.replace("_at_", "_rt_")):
        assert browser.get("/whoami", headers=bearer(bad)).json["email"] is None


def test_a_wrong_checksum_sends_no_statement(provider, token):
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    with provider.service.statements() as sent:
        assert provider.user_of(wrong) is None
    assert sent == []


def test_last_use_is_written_once_a_minute_and_never_fails_a_request(provider, token):
    query = "SELECT last_used_at FROM oauth_grants"
    assert provider.service.execute(query) == [(None,)]
    provider.user_of(token)
    [(first,)] = provider.service.execute(query)
    assert first is not None
    provider.user_of(token)
    assert provider.service.execute(query) == [(first,)]
    provider.service.execute("UPDATE oauth_grants SET last_used_at = now() - interval '61 seconds'")
    # Another transaction holds the row. A request that waited for it would never end.
    with provider.service.session() as session:
        session.execute(text("SELECT 1 FROM oauth_grants FOR UPDATE"))
        assert provider.user_of(token) == "ann@example.com"
    provider.user_of(token)
    [(later,)] = provider.service.execute(query)
    assert later >= first


def test_old_rows_are_deleted(provider, client_):
    provider.tokens(client_)
    provider.wire.post("/oauth/device", {"client_id": "combine-cli"})
    tables = ("oauth_codes", "oauth_devices", "oauth_tokens", "oauth_grants")
    for table in tables:
        provider.service.execute(f"UPDATE {table} SET expires_at = now() - interval '25 hours'")
    provider.tokens(client_)
    counts = [provider.service.execute(f"SELECT count(*) FROM {table}")[0][0] for table in tables]
    # Only the rows of the last consent are left.
    assert counts == [1, 0, 2, 1]


class TestALimitOfGrants:
    """One grant too many is rejected. The existing ones work for as long as `expires_in` says."""

    @pytest.fixture(autouse=True)
    def two_at_most(self, monkeypatch):
        monkeypatch.setattr("combine_auth.oauth_server.lifetimes.MAX_GRANTS", 2)

    def test_a_consent_beyond_the_limit_is_rejected(self, provider, client_):
        browser = provider.browser()
        tokens = [provider.tokens(client_, browser)["access_token"] for _ in range(2)]
        page = provider.authorize(client_, browser)
        answer = page.forms[len(page.forms) - 1].submit(
            "decision", value="approve", expect_errors=True
        )
        assert answer.status_int == 409
        assert "Revoke one" in answer.html.find(role="alert").text
        assert all(provider.user_of(token) for token in tokens)
        # Other users may still give consent, and so may a user who revokes a grant.
        provider.tokens(client_, provider.browser("bob@example.com"))
        provider.service.execute("UPDATE oauth_tokens SET expires_at = now() WHERE kind = 'access'")
        provider.service.execute("UPDATE oauth_tokens SET used_at = now() WHERE kind = 'refresh'")
        provider.tokens(client_, browser)

    def test_a_service_token_beyond_the_limit_is_rejected(self, provider):
        robot = provider.register(service=True, redirect_uris=[])
        fields = {"grant_type": "client_credentials", **robot.fields}
        tokens = [provider.token(fields).json["access_token"] for _ in range(2)]
        answer = provider.token(fields)
        assert (answer.status_int, answer.json["error"]) == (429, "temporarily_unavailable")
        assert 3000 < int(answer.headers["Retry-After"]) <= 3600
        assert all(provider.user_of(token) for token in tokens)


def test_metadata_describes_the_server(provider):
    answer = provider.wire.get("/.well-known/oauth-authorization-server")
    assert answer.content_type == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    known = answer.json
    assert known["issuer"] == provider.issuer
    for name, path in (
        ("authorization_endpoint", "authorize"),
        ("token_endpoint", "token"),
        ("revocation_endpoint", "revoke"),
        ("introspection_endpoint", "introspect"),
        ("device_authorization_endpoint", "device"),
    ):
        assert known[name] == f"{provider.issuer}/oauth/{path}"
    assert known["code_challenge_methods_supported"] == ["S256"]
    assert known["response_types_supported"] == ["code"]
    assert known["response_modes_supported"] == ["query"]
    assert known["authorization_response_iss_parameter_supported"] is True
    assert set(known["grant_types_supported"]) == {
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:device_code",
    }


def test_metadata_in_production_uses_the_public_url(make_service):
    from tests.functional.auth.conftest import PRODUCTION

    service = make_service(PRODUCTION)
    answer = service.client(HTTP_HOST="combine.example.com").get(
        "/.well-known/oauth-authorization-server"
    )
    assert answer.json["issuer"] == "https://combine.example.com"
