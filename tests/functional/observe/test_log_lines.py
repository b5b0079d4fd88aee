"""Tests the log lines of a process that an ini file has configured, as pserve does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import logging, sys
from pathlib import Path
from pyramid.config import Configurator
from pyramid.paster import get_appsettings, setup_logging
from pyramid.response import Response
from webob import Request
from combine_core.observe import configure_logging
from combine_core.settings import CoreSettings, load_all

log = logging.getLogger("combine_core.program")
setup_logging(sys.argv[1])
loaded = load_all(get_appsettings(sys.argv[1], "bare"), Path(sys.argv[1]))
configure_logging(loaded.get(CoreSettings), loaded.secrets())
# What alembic's env.py does when it runs in this process.
logging.config.fileConfig(sys.argv[1])
configure_logging(loaded.get(CoreSettings))

def view(request):
    log.debug("debugging")
    log.info("in the view")
    raise ValueError("canary-secret-of-anthropic at postgresql://u:canary@db/x")

with Configurator() as config:
    config.include("combine_core.observe")
    config.add_route("view", "/view")
    config.add_view(view, route_name="view")
    app = config.make_wsgi_app()
response = Request.blank("/view?q=canary", headers={"X-Request-ID": "abcd-1234"}).get_response(app)
assert response.status_int == 500
"""


def lines(ini: str, tmp_path: Path, **environ: str) -> list[str]:
    path = tmp_path / "logs.ini"
    text = (ROOT / ini).read_text(encoding="utf-8")
    path.write_text(text + "\n[app:bare]\nuse = call:combine_core.app:main\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            # Pyramid 2.1 warns about its own use of pkg_resources.
            "PYTHONWARNINGS": "ignore",
            "ENVIRONMENT": "development",
            "ANTHROPIC_API_KEY": "canary-secret-of-anthropic",
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize("ini", ["development.ini", "production.ini"])
@pytest.mark.slow
def test_text_lines(tmp_path, ini):
    said = lines(ini, tmp_path)
    heads = [line for line in said if not line.startswith("    ")]
    assert [line.split(" ", 1)[1] for line in heads[:2]] == [
        "INFO    combine_core.program [abcd-1234] in the view",
        "ERROR   combine_core.observe.tween [abcd-1234] GET /view failed",
    ]
    assert " combine_core.access [abcd-1234] GET /view 500 " in heads[2]
    assert "    ValueError: *** at postgresql://***@db/x" in said


def test_json_lines(tmp_path):
    said = [json.loads(line) for line in lines("production.ini", tmp_path, LOG_FORMAT="json")]
    view, failed, access = said
    assert view["message"] == "in the view"
    assert view["route"] == "view"
    assert failed["exc_info"].endswith("ValueError: *** at postgresql://***@db/x")
    assert (access["status"], access["route"]) == (500, "view")
    assert access["duration"] > 0
    assert {line["request_id"] for line in said} == {"abcd-1234"}


def test_the_environment_sets_the_level(tmp_path):
    assert any("debugging" in line for line in lines("production.ini", tmp_path, LOG_LEVEL="debug"))
    said = lines("production.ini", tmp_path, LOG_LEVEL="error")
    assert not any("in the view" in line for line in said)
