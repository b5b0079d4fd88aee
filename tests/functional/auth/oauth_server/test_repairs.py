"""Tests each workaround for a gap or bug in pyramid-oauthlib and oauthlib."""

import logging

import pyramid_oauthlib
import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from tests.functional.auth.oauth_server.conftest import BACK, VERIFIER, query_of, refused


def test_01_pkce_parameters_are_known(provider, client_):
    # pyramid-oauthlib raises AttributeError for code_challenge_method.
    assert provider.authorize(client_).status_int == 200


@pytest.mark.parametrize("given", [{}, {"grant_type": "x"}])
def test_02_missing_or_unknown_grant_type_is_rejected(provider, given):
    # pyramid-oauthlib raises AttributeError on None.
    error = "unsupported_grant_type" if given else "invalid_request"
    refused(provider.token({"client_id": "x", **given}), 400, error)


@pytest.mark.parametrize("response_type", [None, "x"])
def test_02_missing_or_unknown_response_type_is_rejected(provider, client_, response_type):
    assert "error" in query_of(provider.authorize(client_, response_type=response_type).location)


def test_03_revocation_revokes_the_token(provider, client_):
    # pyramid-oauthlib does nothing here.
    token = provider.tokens(client_)["access_token"]
    provider.wire.post("/oauth/revoke", {"token": token, **client_.fields})
    assert provider.user_of(token) is None


def test_04_missing_endpoints_exist(provider, client_):
    for path in ("/oauth/introspect", "/oauth/device"):
        provider.wire.post(path, {"token": "x"}, status=401)
    provider.wire.get("/.well-known/oauth-authorization-server", status=200)


def test_05_form_field_cannot_name_the_user(provider):
    # pyramid-oauthlib issues a token of the administrator.
    robot = provider.register(service=True, redirect_uris=[])
    admin = provider.service.user("admin@example.com")
    fields = {"grant_type": "client_credentials", **robot.fields, "user": str(admin.id)}
    assert provider.user_of(provider.token(fields).json["access_token"]).startswith("client-")


@pytest.mark.parametrize("name", ["user", "client", "scopes", "extra_credentials", "request_token"])
def test_05_form_field_is_hidden_from_oauthlib(provider, name):
    from combine_auth.oauth_server.messages import oauth_request, read_parameters

    parameters = read_parameters(f"{name}=x&grant_type=y")
    assert getattr(oauth_request("http://x/", parameters), name) is None


def test_06_query_parameters_are_ignored(provider, client_):
    answer = provider.wire.post(
        f"/oauth/token?client_secret={client_.secret}",
        {"grant_type": "x", "client_id": client_.client_id},
        expect_errors=True,
    )
    refused(answer, 400, "invalid_request")
    token = provider.tokens(client_)["access_token"]
    for name in ("access_token", "token", "bearer"):
        assert provider.wire.get(f"/whoami?{name}={token}").json["email"] is None


def test_07_fatal_errors_get_a_response(provider, client_):
    # pyramid-oauthlib lets these errors escape from the view.
    assert provider.authorize(client_, client_id="x").status_int == 400
    refused(provider.wire.post("/oauth/device", {"scope": "x"}, status=401), 401, "invalid_client")


def test_08_no_request_attribute_is_claimed(provider):
    stock = Configurator()
    stock.include("pyramid_oauthlib")
    stock.commit()
    claimed = [*pyramid_oauthlib.OAUTH_PARAMS, "duplicate_params", "create_token_response"]
    extensions = provider.service.registry.queryUtility(
        __import__("pyramid.interfaces", fromlist=["IRequestExtensions"]).IRequestExtensions
    )
    for name in claimed:
        assert name not in extensions.descriptors
        assert name not in extensions.methods
    request = Request.blank("/?user=admin")
    assert not hasattr(request, "user")


def test_09_the_challenge_is_basic(provider, client_):
    # oauthlib sends Bearer error="invalid_client".
    answer = provider.token({"grant_type": "x", "client_id": "x"})
    assert "WWW-Authenticate" not in answer.headers
    answer = provider.token({"grant_type": "client_credentials", "client_id": "x"})
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="combine"'


def test_10_programs_need_no_csrf_token(provider):
    for endpoint in ("token", "revoke", "introspect", "device"):
        answer = provider.wire.post(f"/oauth/{endpoint}", {"x": "y"}, expect_errors=True)
        assert answer.json["error"] in ("invalid_request", "invalid_client")


def test_11_invalid_utf_8_is_rejected(provider, client_):
    # WebOb raises UnicodeDecodeError, which becomes a 500.
    browser = provider.browser()
    assert browser.get("/oauth/authorize?state=%FF", expect_errors=True).status_int == 400
    form = "application/x-www-form-urlencoded"
    answer = provider.wire.post("/oauth/token", b"a=%FF", content_type=form, expect_errors=True)
    refused(answer, 400, "invalid_request")
    assert "UTF-8" in answer.json["error_description"]


@pytest.mark.parametrize("change", [{"redirect_uri": BACK + "2"}, {"code_verifier": None}])
def test_12_mismatch_with_the_code_is_invalid_grant(provider, client_, change):
    # oauthlib returns invalid_request.
    code = provider.code(client_)
    refused(provider.redeem(client_, code, **change), 400, "invalid_grant")


def test_13_code_and_refresh_token_stay_out_of_the_log(provider, client_, caplog):
    caplog.set_level(logging.DEBUG)
    code = provider.code(client_)
    tokens = provider.redeem(client_, code).json
    provider.refresh(client_, tokens["refresh_token"])
    for secret in (code, tokens["refresh_token"], client_.secret, VERIFIER):
        assert secret not in caplog.text


def test_14_response_mode_and_type_are_exact(provider, client_):
    for change, error in (
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
    ):
        location = provider.authorize(client_, **change).location
        assert query_of(location)["error"] == error
        assert "#" not in location


def test_15_plain_challenge_is_rejected(provider, client_):
    plain = {"code_challenge": VERIFIER, "code_challenge_method": "plain"}
    assert query_of(provider.authorize(client_, **plain).location)["error"] == "invalid_request"


def test_16_non_ascii_challenge_is_rejected(provider, client_):
    # oauthlib 4 raises TypeError at the token endpoint.
    back = query_of(provider.authorize(client_, code_challenge="é" * 43).location)
    assert back["error"] == "invalid_request"


def test_17_a_code_is_used_up_before_tokens_are_saved(provider, client_, monkeypatch):
    # oauthlib validates, saves and then invalidates, so eight parallel requests all get tokens.
    from combine_auth.oauth_server import issued_tokens

    code = provider.code(client_)
    seen = []
    save = issued_tokens.save_tokens

    def look(session, *args, **kwargs):
        seen.extend(provider.service.execute("SELECT used_at IS NOT NULL FROM oauth_codes"))
        return save(session, *args, **kwargs)

    monkeypatch.setattr(issued_tokens, "save_tokens", look)
    assert provider.redeem(client_, code).status_int == 200
    assert seen == [(True,)]


def test_18_two_client_ids_are_rejected(provider, client_):
    # oauthlib returns server_error.
    provider.wire.authorization = ("Basic", (client_.client_id, client_.secret))
    answer = provider.token({"grant_type": "client_credentials", "client_id": "other"})
    refused(answer, 401, "invalid_client")


def test_19_metadata_works_with_http_on_localhost(provider):
    # oauthlib raises ValueError, because the issuer must use https.
    assert provider.issuer.startswith("http://")
    known = provider.wire.get("/.well-known/oauth-authorization-server").json
    assert known["issuer"] == provider.issuer


def test_20_device_code_has_256_bits(provider):
    # oauthlib makes 30 characters and reads the client name only from the body.
    client = provider.register(device=True, redirect_uris=[])
    provider.wire.authorization = ("Basic", (client.client_id, client.secret))
    answer = provider.wire.post("/oauth/device", {"scope": "runs:read"})
    assert len(answer.json["device_code"]) == len("cmb_dc_") + 43 + 6


def test_21_device_grant_must_be_registered(provider, client_):
    answer = provider.wire.post("/oauth/device", client_.fields, expect_errors=True)
    refused(answer, 400, "unauthorized_client")


def test_22_parameters_without_a_value_count_as_absent(provider, client_):
    # See RFC 6749, 3.1 and 3.2. oauthlib treats an empty text as a value.
    code = provider.code(client_, redirect_uri=None)
    assert provider.redeem(client_, code, redirect_uri="", scope="").status_int == 200
