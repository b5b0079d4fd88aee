"""Tests client registration by page and by command: rotate, disable and enable."""

import pytest

from tests.functional.auth.oauth_server.conftest import Client, refused


def request_own_token(provider, client_id, secret):
    fields = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    return provider.token(fields)


def own(page, word):
    return next(form for form in page.forms.values() if form.action.endswith(word))


def register(browser, **fields):
    form = own(browser.get("/account/clients"), "/account/clients")
    for name, value in {"name": "Robot", **fields}.items():
        form[name] = value
    page = form.submit(expect_errors=True)
    return page.follow() if page.status_int == 303 else page


def test_a_client_is_registered_rotated_and_disabled_by_page(provider):
    browser = provider.browser("dev@example.com")
    page = register(browser, service=True)
    client_id = page.html.find(id="new-client-id").text
    secret = page.html.find(id="new-secret").text
    assert f"client-{client_id}@clients.invalid" in page
    assert request_own_token(provider, client_id, secret).status_int == 200
    page = browser.get("/account/clients")
    assert secret not in page
    assert client_id in page

    rotated = own(page, "/rotate").submit(status=303).follow()
    new = rotated.html.find(id="new-secret").text
    assert new not in browser.get(rotated.request.url)
    for works in (secret, new):
        assert request_own_token(provider, client_id, works).status_int == 200
    provider.service.execute("UPDATE oauth_clients SET old_secret_until = now()")
    refused(request_own_token(provider, client_id, secret), 401, "invalid_client")
    assert request_own_token(provider, client_id, new).status_int == 200

    own(browser.get("/account/clients"), "/disable").submit().follow()
    refused(request_own_token(provider, client_id, new), 401, "invalid_client")
    own(browser.get("/account/clients"), "/enable").submit().follow()
    assert request_own_token(provider, client_id, new).status_int == 200
    told = [action for action, _ in provider.audit() if action.startswith("client")]
    assert told == ["client-create", "client-change", "client-disable", "client-change"]


def test_a_client_is_changed_and_deleted_by_page(provider):
    browser = provider.browser("dev@example.com")
    register(browser, redirect_uris="https://a.example/back")
    form = own(browser.get("/account/clients"), "/change")
    form["name"], form["redirect_uris"] = "Androide", "https://b.example/back"
    page = form.submit().follow()
    assert "Androide" in page
    assert provider.service.execute("SELECT redirect_uris FROM oauth_clients") == [
        (["https://b.example/back"],)
    ]
    form = own(page, "/change")
    form["redirect_uris"] = "javascript:alert(1)"
    refused_page = form.submit(status=400)
    assert "not a valid redirect URI" in refused_page.html.find(role="alert").text
    stranger = provider.browser("other@example.com")
    stranger.get("/account/clients")
    token = own(stranger.get("/account/clients"), "/account/clients")["csrf_token"].value
    stranger.post(own(page, "/delete").action, {"csrf_token": token}, status=404)
    own(page, "/delete").submit().follow()
    assert provider.service.execute("SELECT count(*) FROM oauth_clients") == [(0,)]


def test_deleting_a_client_deletes_its_tokens(provider):
    browser = provider.browser("dev@example.com")
    page = register(browser, service=True)
    client_id = page.html.find(id="new-client-id").text
    secret = page.html.find(id="new-secret").text
    token = request_own_token(provider, client_id, secret).json["access_token"]
    assert provider.user_of(token) == f"client-{client_id}@clients.invalid"
    own(browser.get("/account/clients"), "/delete").submit().follow()
    assert provider.user_of(token) is None
    refused(request_own_token(provider, client_id, secret), 401, "invalid_client")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "has no way to get tokens"),
        ({"service": True, "name": " "}, "name must have 1 to 100"),
        ({"service": True, "kind": "public"}, "cannot be public"),
        ({"redirect_uris": "http://evil.example/"}, "not a valid redirect URI"),
        ({"redirect_uris": "https://a.example/#x"}, "not a valid redirect URI"),
        ({"redirect_uris": "javascript:alert(1)"}, "not a valid redirect URI"),
        ({"redirect_uris": "https://user@a.example/"}, "not a valid redirect URI"),
        ({"redirect_uris": "https://*.example.com/"}, "not a valid redirect URI"),
        ({"redirect_uris": "http://127.0.0.1.evil.example/"}, "not a valid redirect URI"),
        ({"redirect_uris": "https://a.example/" + "x" * 500}, "not a valid redirect URI"),
        ({"service": True, "name": "C0mbine command line"}, "reserved"),
        ({"redirect_uris": "\n".join(f"https://a.example/{n}" for n in range(21))}, "21 redirect"),
    ],
)
def test_an_invalid_registration_is_rejected(provider, fields, why):
    page = register(provider.browser("dev@example.com"), **fields)
    assert page.status_int == 400
    assert why in page.html.find(role="alert").text
    assert provider.service.execute("SELECT count(*) FROM oauth_clients") == [(0,)]


def test_scopes_that_the_form_does_not_offer_are_rejected(provider):
    browser = provider.browser("dev@example.com")
    form = own(browser.get("/account/clients"), "/account/clients")
    assert "users:write" not in form.text
    form["name"] = "Robot"
    fields = [*form.submit_fields(), ("scope", "users:write"), ("service", "yes")]
    page = browser.post("/account/clients", fields, status=400)
    assert "Only an administrator can grant users:write" in page.html.find(role="alert").text
    provider.service.execute("UPDATE users SET is_admin = true")
    browser.post("/account/clients", fields, status=303)


def test_clients_of_others_get_404(provider, client_):
    eve = provider.browser("eve@example.com")
    assert "Nightly" not in eve.get("/account/clients")
    csrf = eve.get("/account").forms[0]["csrf_token"].value
    for word in ("rotate", "disable", "enable"):
        path = f"/account/clients/{client_.client_id}/{word}"
        eve.post(path, {"csrf_token": csrf}, status=404)
        eve.get(path, status=405)
    provider.service.execute("UPDATE users SET is_admin = true WHERE email = 'eve@example.com'")
    assert "dev@example.com" in eve.get("/account/clients")
    own(eve.get("/account/clients"), "/disable").submit().follow()


def test_the_number_of_clients_is_limited(provider, monkeypatch):
    monkeypatch.setattr("combine_auth.clients.service.MAX_ACTIVE", 1)
    provider.register()
    page = register(provider.browser("dev@example.com"), service=True)
    assert "the maximum of 1 active clients" in page.html.find(role="alert").text


def test_a_token_cannot_register_clients(provider):
    headers = {"Authorization": f"Bearer {provider.service.token(provider.service.user())}"}
    provider.wire.get("/account/clients", headers=headers, status=403)


def test_public_client_has_no_secret_to_rotate(provider, public_client):
    browser = provider.browser("dev@example.com")
    page = browser.get("/account/clients")
    assert not any(form.action.endswith("/rotate") for form in page.forms.values())
    csrf = page.forms[0]["csrf_token"].value
    path = f"/account/clients/{public_client.client_id}/rotate"
    browser.post(path, {"csrf_token": csrf}, status=400)


def test_a_client_is_managed_by_command(provider, combine):
    provider.service.user("dev@example.com")
    made = combine("client create", "Robot", "--owner", "dev@example.com", "--service")
    assert made.exit_code == 0, made.output
    client_id, secret = made.stdout.split()
    assert "not shown again" in made.stderr
    assert request_own_token(provider, client_id, secret).status_int == 200

    rotated = combine("client rotate", client_id, "--overlap", "0")
    [new] = rotated.stdout.split()
    refused(request_own_token(provider, client_id, secret), 401, "invalid_client")
    assert request_own_token(provider, client_id, new).status_int == 200

    listed = combine("client list", "--owner", "dev@example.com").stdout
    assert client_id in listed
    assert "client_credentials" in listed
    assert combine("client disable", client_id).exit_code == 0
    refused(request_own_token(provider, client_id, new), 401, "invalid_client")
    assert "disabled" in combine("client list").stdout
    assert combine("client enable", client_id).exit_code == 0
    assert request_own_token(provider, client_id, new).status_int == 200


def test_built_in_client_can_be_disabled_before_its_first_use(provider, combine):
    assert combine("client disable", "combine-cli").exit_code == 0
    answer = provider.wire.post("/oauth/device", {"client_id": "combine-cli"}, expect_errors=True)
    refused(answer, 401, "invalid_client")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["create", "x", "--owner", "nobody@example.com", "--service"], "no user"),
        (["create", "x", "--owner", "dev@example.com"], "has no way to get tokens"),
        (
            ["create", "x", "--owner", "dev@example.com", "--redirect-uri", "x"],
            "not a valid redirect URI",
        ),
        (["rotate", "unknown"], "no client unknown"),
        (["rotate", "combine-cli"], "has no secret"),
        (["disable", "unknown"], "no client unknown"),
    ],
)
def test_invalid_commands_are_rejected(provider, combine, words, why):
    provider.service.user("dev@example.com")
    result = combine("client", *words)
    assert result.exit_code == 1
    assert why in result.stderr
    assert "Traceback" not in result.output


def test_rotating_twice_drops_the_oldest(provider, combine):
    robot = provider.register(service=True, redirect_uris=[])
    second = combine("client rotate", robot.client_id).stdout.strip()
    third = combine("client rotate", robot.client_id).stdout.strip()
    works = [
        request_own_token(provider, robot.client_id, secret).status_int
        for secret in (robot.secret, second, third)
    ]
    assert works == [401, 200, 200]
    assert Client(robot.client_id, third).fields["client_secret"].startswith("cmb_cs_")


def test_fewer_scopes_end_the_grants_beyond_them(provider, client_, combine):
    wide, narrow = provider.tokens(client_), provider.tokens(client_, scope="projects:read")
    assert combine("client change", client_.client_id, "--scope", "projects:read").exit_code == 0
    assert provider.user_of(wide["access_token"]) is None
    refused(provider.refresh(client_, wide["refresh_token"]), 400, "invalid_grant")
    assert provider.user_of(narrow["access_token"]) == "ann@example.com"


def test_scopes_are_changed_by_page(provider, client_):
    browser = provider.browser("dev@example.com")
    form = own(browser.get("/account/clients"), "/change")
    form["scopes"] = "runs:read"
    form.submit(status=303)
    assert provider.tokens(client_, scope=None)["scope"] == "runs:read"
    for scopes, why in (
        ("users:write", "Only an administrator"),
        ("x", "no scope"),
        ("", "no scope"),
    ):
        form["scopes"] = scopes
        page = form.submit(status=400)
        assert why in page.html.find(role="alert").text
