"""Tests the sign-in results of the health check and the doctor (runbook: OAuth Login Fails)."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from webtest import TestApp

from tests.oidc_issuer import CLIENT_ID, CLIENT_SECRET, Fault, LyingIssuer

ROOT = Path(__file__).parents[3]
COMBINE = Path(sys.executable).with_name("combine")
PATIENCE_S = 60


@pytest.fixture
def issuer():
    with LyingIssuer() as issuer:
        yield issuer


@pytest.fixture
def doctor(make_database, tmp_path):
    """``doctor(environment)``: the output of `combine doctor -c development.ini`, and its status."""
    # It needs its own database, because the doctor counts the connections of other services.
    database_url = make_database()
    ini = tmp_path / "development.ini"
    shutil.copy(ROOT / "development.ini", ini)

    def run(environment):
        done = subprocess.run(
            [COMBINE, "doctor", "-c", ini],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.returncode, [line.strip() for line in done.stdout.splitlines()]

    return run


@pytest.mark.slow
def test_the_doctor_shows_the_values_for_the_consoles(doctor, issuer):
    environment = {**issuer.environment(), "PUBLIC_URL": "https://combine.example.com"}
    status, lines = doctor(environment)
    assert status == 0
    assert "people sign in with Google" in lines
    for line in (
        f"google.client_id: {CLIENT_ID}",
        "google.redirect_uri: https://combine.example.com/auth/google/callback",
        "google.origin: https://combine.example.com",
        "in_allowed_origins: true",
        "sign_up: anyone",
        "google.state: answers",
        "microsoft.offered: false",
    ):
        assert line in lines
    assert CLIENT_SECRET not in "".join(lines)


@pytest.mark.slow
def test_the_doctor_names_the_fault(doctor, issuer):
    issuer.faults["discovery"] = Fault(500)
    status, lines = doctor(
        {**issuer.environment(), "MICROSOFT_CLIENT_ID": "0815", "MICROSOFT_CLIENT_SECRET": "'x'"}
    )
    assert status == 0
    assert "sign_in (info, critical): degraded, provider_unreachable" in lines
    assert any("answered 500" in line for line in lines)
    assert any(
        "microsoft.why: MICROSOFT_CLIENT_SECRET is still in quotes" in line for line in lines
    )


@pytest.mark.slow
def test_a_silent_database_does_not_hang_the_check_of_sign_in(doctor, issuer):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://combine:secret@127.0.0.1:{silent.getsockname()[1]}/combine"
        status, lines = doctor({**issuer.environment(), "DATABASE_URL": url})
    assert status != 0
    assert any(line.startswith("database (ready, critical): failing") for line in lines)
    assert "people sign in with Google" in lines


def test_an_unreachable_provider_leaves_the_service_ready(make_app, issuer, monkeypatch):
    for name, value in issuer.environment().items():
        monkeypatch.setenv(name, value)
    issuer.faults["discovery"] = Fault(503)
    app = make_app(
        {
            "pyramid.includes": "combine_health combine_core combine_core.health combine_auth"
            " combine_auth.health",
            "combine_health.background": "false",
            "combine_health.details": "always",
            "combine_health.metrics": "always",
        }
    )
    browser = TestApp(app)
    browser.get("/auth/google/callback", status=303)
    count = 'combine_auth_sign_in_failures_total{code="state_missing",provider="google"} 1.0'
    assert count in browser.get("/metrics").text
    body = browser.get("/health/detailed").json
    assert body["checks"]["sign_in"]["data"]["failed_sign_ins"] == {"google": {"state_missing": 1}}
    assert body["checks"]["sign_in"]["status"] == "degraded"
    assert "HTTPS_PROXY" in body["checks"]["sign_in"]["remedy"]
    assert browser.get("/health/ready").json["status"] == "ready"
    assert CLIENT_SECRET not in str(body)
