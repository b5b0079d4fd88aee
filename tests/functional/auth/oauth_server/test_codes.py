"""Tests that an authorization code works once, for a minute, for one client. T33, T34, T35, T37."""

import pytest

from tests.functional.auth.oauth_server.conftest import BACK, VERIFIER, refused


@pytest.mark.parametrize(
    "verifier",
    [None, "", "w" * 43, "v" * 42, "v" * 129, "v" * 42 + "é", "v" * 42 + " ", VERIFIER + "="],
)
def test_t33_missing_or_wrong_verifier_is_rejected(provider, client_, verifier):
    code = provider.code(client_)
    refused(provider.redeem(client_, code, code_verifier=verifier), 400, "invalid_grant")
    # The client has only one guess.
    refused(provider.redeem(client_, code), 400, "invalid_grant")


def test_t33_challenge_is_rejected_as_verifier(provider, client_):
    request = provider.request(client_)
    code = provider.code(client_)
    answer = provider.redeem(client_, code, code_verifier=request["code_challenge"])
    refused(answer, 400, "invalid_grant")


def test_t34_reuse_revokes_the_tokens_of_the_code(provider, client_):
    code = provider.code(client_)
    tokens = provider.redeem(client_, code).json
    assert provider.user_of(tokens["access_token"])
    renewed = provider.refresh(client_, tokens["refresh_token"]).json
    refused(provider.redeem(client_, code), 400, "invalid_grant")
    for token in (tokens["access_token"], renewed["access_token"]):
        assert provider.user_of(token) is None
    refused(provider.refresh(client_, renewed["refresh_token"]), 400, "invalid_grant")
    assert provider.audit()[-1] == ("code-reuse", "revoked")


def test_t34_reuse_of_an_expired_code_is_noticed(provider, client_):
    code = provider.code(client_)
    tokens = provider.redeem(client_, code).json
    provider.service.execute("UPDATE oauth_codes SET expires_at = now() - interval '1 hour'")
    refused(provider.redeem(client_, code), 400, "invalid_grant")
    assert provider.user_of(tokens["access_token"]) is None


def test_t34_a_failure_after_the_use_does_not_restore_the_code(provider, client_, monkeypatch):
    code = provider.code(client_)

    def fail(*args, **kwargs):
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("combine_auth.oauth_server.issued_tokens.save_tokens", fail)
        refused(provider.redeem(client_, code), 500, "server_error")
    refused(provider.redeem(client_, code), 400, "invalid_grant")


def test_t35_code_of_another_client_is_rejected(provider, client_):
    code = provider.code(client_)
    other = provider.register()
    refused(provider.redeem(other, code), 400, "invalid_grant")
    # The other client could not use the code up.
    tokens = provider.redeem(client_, code).json
    # The other client could not revoke it either.
    refused(provider.redeem(other, code), 400, "invalid_grant")
    assert provider.user_of(tokens["access_token"]) == "ann@example.com"


def test_t35_expired_code_is_rejected(provider, client_):
    code = provider.code(client_)
    [(seconds,)] = provider.service.execute(
        "SELECT extract(epoch FROM expires_at - created_at) FROM oauth_codes"
    )
    assert seconds == 60
    provider.service.execute("UPDATE oauth_codes SET expires_at = now()")
    refused(provider.redeem(client_, code), 400, "invalid_grant")


@pytest.mark.parametrize("uri", [BACK + "/", "https://evil.example/back", "x", "é"])
def test_t35_wrong_redirect_uri_is_rejected(provider, client_, uri):
    code = provider.code(client_)
    refused(provider.redeem(client_, code, redirect_uri=uri), 400, "invalid_grant")


@pytest.mark.parametrize("code", ["", "x", "cmb_ac_" + "0" * 49, "é", "x" * 5000])
def test_t35_missing_code_is_rejected(provider, client_, code):
    error = "invalid_grant" if code else "invalid_request"
    refused(provider.redeem(client_, code), 400, error)


def test_t35_code_of_a_revoked_grant_or_disabled_client_is_rejected(provider, client_):
    code = provider.code(client_)
    provider.service.execute("UPDATE oauth_grants SET revoked_at = now()")
    refused(provider.redeem(client_, code), 400, "invalid_grant")
    code = provider.code(client_)
    provider.service.execute("UPDATE users SET disabled_at = now() WHERE email = 'ann@example.com'")
    refused(provider.redeem(client_, code), 400, "invalid_grant")


def test_t37_scope_in_the_token_request_is_ignored(provider, client_):
    code = provider.code(client_, scope="projects:read")
    answer = provider.redeem(client_, code, scope="projects:read runs:write")
    assert answer.json["scope"] == "projects:read"
