"""Tests the npm packages openid-client and oauth4webapi with a running service."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.oauth_clients.conftest import REDIRECT

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent

if shutil.which("node") is None or not (FOLDER / "node_modules" / "openid-client").is_dir():
    # Skip the whole file here: a fixture would report a skip for each test.
    pytest.skip(
        "the npm clients are not installed (cd tests/oauth_clients && npm ci)",
        allow_module_level=True,
    )


@pytest.mark.parametrize("library", ["openid-client", "oauth4webapi"])
def test_every_flow_works(live, web_client, open_client, robot, library):
    given = {
        "library": library,
        "issuer": live.url,
        "me": live.me,
        "redirect": REDIRECT,
        "confidential": {"id": web_client.id, "secret": web_client.secret},
        "open": {"id": open_client.id},
        "robot": {"id": robot.id, "secret": robot.secret},
    }
    process = subprocess.Popen(
        ["node", "--no-warnings", str(FOLDER / "clients.mjs"), json.dumps(given)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        last = {}
        for line in process.stdout:
            last = wish = json.loads(line)
            if "visit" in wish:
                decision = "deny" if wish.get("deny") else "approve"
                answer = {"location": live.person.decide(wish["visit"], decision)}
            elif "approve" in wish:
                live.person.approve(wish["approve"])
                answer = {}
            else:
                break
            process.stdin.write(json.dumps(answer) + "\n")
            process.stdin.flush()
        complaint = process.stderr.read()
    assert (last, process.returncode) == ({"done": True}, 0), complaint
