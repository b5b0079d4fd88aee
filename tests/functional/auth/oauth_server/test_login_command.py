"""Tests ``combine login`` and ``combine logout`` with a running service."""

import json
import stat
import time

import pytest
import requests
from click.testing import CliRunner
from webtest.http import StopableWSGIServer

from combine_auth.cli import login as module
from combine_auth.cli.login import StoredTokens, login, logout, save_tokens, tokens_path
from tests.conftest import free_port
from tests.functional.auth.conftest import DEVELOPMENT, Service
from tests.functional.auth.oauth_server.conftest import Provider


@pytest.fixture(scope="module")
def listening(worker_database):
    """A service on a local port."""
    port = free_port()
    url = f"http://localhost:{port}"
    service = Service(
        {
            **DEVELOPMENT,
            "combine_core.public_url": url,
            "combine_core.database_url": worker_database,
        }
    )
    server = StopableWSGIServer.create(service.app, host="localhost", port=port)
    provider = Provider(service)
    provider.url = url
    yield provider
    server.shutdown()
    service.engine.dispose()


@pytest.fixture
def live(listening, database_url, tmp_path, monkeypatch):
    """The service with an empty database and without stored credentials."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("COMBINE_URL", raising=False)
    return listening


class Clock:
    """Replaces sleeping, and runs actions instead."""

    def __init__(self, *happenings):
        self.waited = []
        self._happenings = list(happenings)

    def sleep(self, seconds):
        self.waited.append(seconds)
        if self._happenings:
            self._happenings.pop(0)()


@pytest.fixture
def run(live, monkeypatch):
    def run(command, *words, clock=None):
        if clock is not None:
            monkeypatch.setattr(module.time, "sleep", clock.sleep)
        return CliRunner().invoke(command, [*words])

    return run


def decide(provider, decision="approve"):
    """A user with a browser reads the code from the terminal and decides."""
    [(code,)] = provider.service.execute(
        "SELECT user_code FROM oauth_devices ORDER BY id DESC LIMIT 1"
    )
    browser = provider.browser()
    csrf = browser.get("/device").forms[0]["csrf_token"].value
    browser.post("/device", {"csrf_token": csrf, "user_code": code, "decision": decision})


def asked_long_ago(provider):
    provider.service.execute("UPDATE oauth_devices SET asked_at = now() - interval '1 hour'")


def signed_in(live, run):
    result = run(login, live.url, clock=Clock(lambda: decide(live)))
    assert result.exit_code == 0, result.output
    return json.loads(tokens_path().read_text())[live.url]


def test_a_user_signs_in_and_signs_out(live, run):
    clock = Clock(lambda: None, lambda: asked_long_ago(live) or decide(live))
    result = run(login, live.url, "--scope", "runs:read", "--scope", "projects:read", clock=clock)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert f"Open {live.url}/device" in result.stderr
    assert f"You are signed in to {live.url}" in result.stderr
    assert clock.waited == [5, 5]
    file = tokens_path()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["credentials.json"]
    tokens = json.loads(file.read_text())[live.url]
    assert tokens["scope"] == "projects:read runs:read"
    assert tokens["access_token"] not in result.output

    printed = run(login, "--print-token")
    assert printed.stdout == tokens["access_token"] + "\n"
    assert live.user_of(tokens["access_token"]) == "ann@example.com"

    result = run(logout)
    assert result.exit_code == 0
    assert live.user_of(tokens["access_token"]) is None
    assert json.loads(file.read_text()) == {}
    assert run(logout, live.url).exit_code == 1


def test_an_old_token_is_renewed(live, run):
    tokens = signed_in(live, run)
    save_tokens({live.url: StoredTokens(**{**tokens, "expires_at": time.time() + 30})})
    printed = run(login, "--print-token")
    assert printed.exit_code == 0, printed.output
    renewed = json.loads(tokens_path().read_text())[live.url]
    assert printed.stdout.strip() == renewed["access_token"] != tokens["access_token"]
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert live.user_of(renewed["access_token"]) == "ann@example.com"


def test_slow_down_makes_polling_slower(live, run):
    result = run(
        login,
        live.url,
        clock=Clock(lambda: None, lambda: None, lambda: asked_long_ago(live) or decide(live)),
    )
    assert result.exit_code == 0, result.output


def test_slow_down_adds_five_seconds(live, run):
    clock = Clock(lambda: None, lambda: None, lambda: decide(live))
    assert run(login, live.url, clock=clock).exit_code == 0
    # The second poll came too soon, because the time stands still.
    assert clock.waited == [5, 5, 10]


def test_a_denial_ends_the_command(live, run):
    result = run(login, live.url, clock=Clock(lambda: decide(live, "deny")))
    assert result.exit_code == 1
    assert "was denied" in result.stderr
    assert not tokens_path().exists()


def test_an_expired_code_ends_the_command(live, run):
    def expire():
        live.service.execute("UPDATE oauth_devices SET expires_at = now()")

    result = run(login, live.url, clock=Clock(expire))
    assert result.exit_code == 1
    assert "was not confirmed" in result.stderr


def test_an_ended_sign_in_is_reported(live, run):
    tokens = signed_in(live, run)
    save_tokens({live.url: StoredTokens(**{**tokens, "expires_at": 0})})
    live.service.execute("UPDATE oauth_grants SET revoked_at = now()")
    result = run(login, "--print-token")
    assert result.exit_code == 1
    assert f"Run: combine login {live.url}" in result.stderr


def test_a_disabled_client_is_reported(live, run):
    signed_in(live, run)
    live.service.execute("UPDATE oauth_clients SET disabled_at = now()")
    result = run(login, live.url)
    assert result.exit_code == 1
    assert "operator of the service has disabled" in result.stderr


@pytest.mark.parametrize(
    "url",
    [
        "combine.example.com",
        "http://combine.example.com",
        "https://user@combine.example.com",
        "https://combine.example.com/path",
        "ftp://localhost",
        "http://localhost@evil.example",
        "",
    ],
)
def test_invalid_addresses_are_rejected(run, url):
    result = run(login, url)
    assert result.exit_code == 1
    assert "Traceback" not in result.output


def test_a_missing_address_is_reported(run):
    result = run(login, "--print-token")
    assert result.exit_code == 1
    assert "Name the service" in result.stderr


def test_another_host_name_of_the_service_is_reported(live, run):
    result = run(login, live.url.replace("localhost", "127.0.0.1"))
    assert result.exit_code == 1
    assert f"Its issuer is {live.url}. Run: combine login {live.url}" in result.stderr


def test_an_unreachable_service_is_reported(live, run, monkeypatch):
    tokens = signed_in(live, run)

    def refuse(*args, **kwargs):
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(requests.Session, "request", refuse)
    assert "cannot be reached" in run(login, live.url).stderr
    assert "could not be revoked" in run(logout).stderr
    assert json.loads(tokens_path().read_text())[live.url] == tokens
    assert run(logout, "--forget").exit_code == 0
    assert json.loads(tokens_path().read_text()) == {}


def test_a_credentials_file_readable_by_others_is_rejected(live, run):
    signed_in(live, run)
    tokens_path().chmod(0o644)
    result = run(login, "--print-token")
    assert result.exit_code == 1
    assert f"chmod 600 {tokens_path()}" in result.stderr


@pytest.mark.parametrize("text", ["", "[]", "{", '{"http://localhost": {"x": 1}}'])
def test_a_damaged_credentials_file_is_reported(live, run, text):
    tokens_path().parent.mkdir()
    tokens_path().write_text(text)
    tokens_path().chmod(0o600)
    result = run(login, "--print-token")
    assert result.exit_code == 1
    assert "is damaged" in result.stderr
