"""Tests that programs get tokens through pages: consent, device and explorer."""

import base64
import hashlib
import http.server
import json
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

if shutil.which("chromium") is None:
    # Skip the whole file here: a fixture would report a skip for each test.
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)

from tests.conftest import free_port

VERIFIER = "v" * 43
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)


@pytest.fixture
def callback():
    """A client that listens for the redirect of the browser, and the requests that it received."""
    arrived = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            arrived.append((self.command, self.path))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<link rel=icon href=data:,><title>Back</title><h1>Back</h1>")

        def do_POST(self):
            self.do_GET()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", free_port()), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.arrived = arrived
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def combine(service, *words):
    done = subprocess.run(
        ["combine", *words, "-c", str(service.ini)],
        env=service.environment,
        cwd=Path(service.ini).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def sign_in(page):
    page.goto("/")
    page.get_by_role("button", name="Sign in as local developer").click()
    page.get_by_role("heading", name="Projects").wait_for()


def whoami(service, token):
    request = urllib.request.Request(
        f"{service.url}/api/v1/me", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["email"]


def authorization_url(client_id, callback, **more):
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": f"http://127.0.0.1:{callback.server_port}/back",
        "scope": "projects:read",
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **more,
    }
    return f"/oauth/authorize?{urllib.parse.urlencode(query)}"


@pytest.mark.parametrize("button", ["Allow", "Deny"])
@pytest.mark.slow
def test_consent_redirects_to_the_client(open_page, service, callback, button):
    """The policy of the page allows the form to redirect to the client, and nowhere else."""
    sign_in(page := open_page())
    [client_id] = combine(
        service,
        *("client", "create", "Nightly", "--owner", "local@localhost", "--public"),
        *("--redirect-uri", "http://127.0.0.1/back"),
    )
    page.goto(authorization_url(client_id, callback))
    page.get_by_role("button", name=button).click()
    page.get_by_role("heading", name="Back").wait_for()
    [(method, path)] = callback.arrived
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(path).query))
    assert method == "GET"
    assert (query["state"], query["iss"]) == ("s", service.url)
    if button == "Deny":
        assert query["error"] == "access_denied"
        return
    fields = {
        "grant_type": "authorization_code",
        "code": query["code"],
        "code_verifier": VERIFIER,
        "client_id": client_id,
        "redirect_uri": f"http://127.0.0.1:{callback.server_port}/back",
    }
    body = urllib.parse.urlencode(fields).encode()
    with urllib.request.urlopen(f"{service.url}/oauth/token", body) as answer:
        tokens = json.load(answer)
    assert whoami(service, tokens["access_token"]) == "local@localhost"
    page.goto("/account/grants")
    page.get_by_role("button", name="Revoke the access of Nightly").click()
    page.get_by_text("No program may act in your name").wait_for()


@pytest.mark.slow
def test_explorer_signs_in(open_page, service):
    """Swagger UI from the wheel gets a token with PKCE and uses it."""
    sign_in(page := open_page())
    page.goto("/docs")
    page.locator(".authorize").first.click()
    box = page.locator(".auth-container", has_text="authorizationCode with PKCE")
    box.locator("label[for^='projects:read']").first.click()
    with page.expect_popup() as popup:
        box.locator("button.authorize").click()
    popup.value.get_by_role("button", name="Allow").click()
    box.locator("button", has_text="Logout").wait_for()
    box.locator("button.btn-done").click()
    operation = page.locator("#operations-projects-listProjects")
    operation.locator(".opblock-summary").click()
    with page.expect_request(lambda request: "/api/v1/projects" in request.url) as sent:
        operation.locator(".execute").click()
    assert sent.value.headers["authorization"].startswith("Bearer cmb_at_")
    assert sent.value.response().status == 200


@pytest.mark.slow
def test_login_command_gets_a_token(open_page, service, tmp_path):
    """``combine login`` works with a browser on another machine."""
    sign_in(page := open_page())
    home = tmp_path / "home"
    home.mkdir()
    environment = {**service.environment, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    environment["COMBINE_URL"] = service.url

    def start(*words):
        return subprocess.Popen(
            ["combine", *words],
            env=environment,
            cwd=home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    login = start("login", "--scope", "projects:read")
    line = login.stderr.readline()
    code = line.split(": ")[-1].strip()
    assert f"Open {service.url}/device" in line
    page.goto("/device")
    page.get_by_label("Code").fill(code.lower())
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("Combine's command line").wait_for()
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("Go back to the device").wait_for()
    _, said = login.communicate(timeout=30)
    assert login.returncode == 0, said
    assert f"You are signed in to {service.url}" in said
    [file] = home.rglob("credentials.json")
    assert file.stat().st_mode & 0o777 == 0o600
    token = start("login", "--print-token").communicate(timeout=30)[0].strip()
    assert whoami(service, token) == "local@localhost"
    logout = start("logout")
    logout.communicate(timeout=30)
    assert logout.returncode == 0
    assert json.loads(file.read_text()) == {}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        whoami(service, token)
