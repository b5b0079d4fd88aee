"""Tests the rotation of refresh tokens, and that a reused token counts as stolen. T36, T37."""

import pytest

from tests.functional.auth.oauth_server.conftest import refused


def age(provider, seconds):
    """Move the last rotation this far into the past."""
    provider.service.execute(
        "UPDATE oauth_tokens SET used_at = used_at - make_interval(secs => :s)", s=seconds
    )


def test_a_refresh_rotates_the_token(provider, client_):
    first = provider.tokens(client_)
    answer = provider.refresh(client_, first["refresh_token"])
    assert answer.status_int == 200
    second = answer.json
    assert second["refresh_token"] != first["refresh_token"]
    assert second["scope"] == first["scope"]
    # The old access token works until it expires.
    assert provider.user_of(first["access_token"]) == "ann@example.com"
    assert provider.user_of(second["access_token"]) == "ann@example.com"
    assert provider.refresh(client_, second["refresh_token"]).status_int == 200


@pytest.mark.parametrize("confidential", [True, False])
def test_t36_reuse_after_the_grace_ends_the_family(provider, confidential):
    client = provider.register(confidential=confidential)
    first = provider.tokens(client)
    second = provider.refresh(client, first["refresh_token"]).json
    age(provider, 31)
    refused(provider.refresh(client, first["refresh_token"]), 400, "invalid_grant")
    # Both lose access, because the thief is unknown.
    for tokens in (first, second):
        assert provider.user_of(tokens["access_token"]) is None
        refused(provider.refresh(client, tokens["refresh_token"]), 400, "invalid_grant")
    assert provider.audit()[-1] == ("refresh-reuse", "revoked")
    # Another consent for the same client starts another family.
    assert provider.user_of(provider.tokens(client)["access_token"])


def test_t36_request_can_be_repeated_after_a_lost_response(provider, client_):
    first = provider.tokens(client_)
    lost = provider.refresh(client_, first["refresh_token"]).json
    age(provider, 29)
    again = provider.refresh(client_, first["refresh_token"]).json
    assert again["refresh_token"] not in (lost["refresh_token"], first["refresh_token"])
    assert provider.user_of(again["access_token"]) == "ann@example.com"
    assert provider.refresh(client_, again["refresh_token"]).status_int == 200
    assert "refresh-reuse" not in dict(provider.audit())


def test_t36_grace_period_holds_only_for_the_same_client(provider, client_):
    first = provider.tokens(client_)
    provider.refresh(client_, first["refresh_token"])
    other = provider.register()
    refused(provider.refresh(other, first["refresh_token"]), 400, "invalid_grant")
    assert provider.user_of(first["access_token"]) == "ann@example.com"


def test_t37_wider_scope_is_rejected_and_the_token_stays_valid(provider, client_):
    first = provider.tokens(client_, scope="projects:read runs:read")
    answer = provider.refresh(client_, first["refresh_token"], scope="projects:read runs:write")
    refused(answer, 400, "invalid_scope")
    refused(
        provider.refresh(client_, first["refresh_token"], scope="nonsense"), 400, "invalid_scope"
    )
    assert provider.service.execute(
        "SELECT count(*) FROM oauth_tokens WHERE used_at IS NOT NULL"
    ) == [(0,)]


def test_t37_narrower_scope_applies_only_to_the_access_token(provider, client_):
    first = provider.tokens(client_, scope="projects:read runs:read")
    second = provider.refresh(client_, first["refresh_token"], scope="runs:read").json
    assert second["scope"] == "runs:read"
    third = provider.refresh(client_, second["refresh_token"]).json
    assert third["scope"] == "projects:read runs:read"


@pytest.mark.parametrize("token", ["x", "", "cmb_rt_" + "0" * 49, "é", "x" * 5000])
def test_missing_refresh_token_is_rejected(provider, client_, token):
    error = "invalid_grant" if token else "invalid_request"
    refused(provider.refresh(client_, token), 400, error)


def test_access_token_is_rejected_as_refresh_token(provider, client_):
    tokens = provider.tokens(client_)
    refused(provider.refresh(client_, tokens["access_token"]), 400, "invalid_grant")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE oauth_tokens SET expires_at = now()",
        "UPDATE oauth_grants SET expires_at = now()",
        "UPDATE oauth_grants SET revoked_at = now()",
        "UPDATE users SET disabled_at = now() WHERE email = 'ann@example.com'",
    ],
)
def test_ended_family_is_rejected(provider, client_, change):
    tokens = provider.tokens(client_)
    provider.service.execute(change)
    refused(provider.refresh(client_, tokens["refresh_token"]), 400, "invalid_grant")


def test_no_token_outlives_the_grant(provider, client_):
    tokens = provider.tokens(client_)
    provider.service.execute("UPDATE oauth_grants SET expires_at = now() + interval '10 minutes'")
    provider.refresh(client_, tokens["refresh_token"])
    assert provider.service.execute(
        "SELECT count(*) FROM oauth_tokens t JOIN oauth_grants g ON g.id = grant_id"
        " WHERE t.expires_at <= g.expires_at AND t.created_at > g.created_at"
    ) == [(2,)]


def test_tokens_and_grants_have_their_default_lifetimes(provider, client_):
    provider.tokens(client_)
    assert provider.service.execute(
        "SELECT kind, extract(epoch FROM expires_at - created_at)::int FROM oauth_tokens ORDER BY kind"
    ) == [("access", 3600), ("refresh", 30 * 86400)]
    assert provider.service.execute(
        "SELECT extract(epoch FROM expires_at - created_at)::int FROM oauth_grants"
    ) == [(90 * 86400,)]
