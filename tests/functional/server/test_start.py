"""What a web process loads before it serves: the rest would cost time at each start, and memory for good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
ASSEMBLE = """
import json, sys
from pyramid.paster import get_app
get_app("production.ini")
print(json.dumps(sorted(sys.modules)))
"""
# What few processes need, or only at the first use.
NOT_YET = {
    "alembic",
    "anthropic",
    "attr",
    "authlib",
    "charset_normalizer",
    "croniter",
    "cryptography",
    "docx",
    "genai_prices",
    "httpx",
    "icalendar",
    "joserfc",
    "jsonschema_path",
    "lxml",
    "mako",
    "openai",
    "openapi_core",
    "openapi_spec_validator",
    "openpyxl",
    "procrastinate",
    "psycopg",
    "psycopg_binary",
    "psycopg_pool",
    "pygments",
    "pypdfium2",
    "referencing",
    "requests",
    "rich",
    "rpds",
    "typst",
    "urllib3",
    "werkzeug",
}
MOST_MODULES = 1300


def test_it_loads_what_it_needs():
    environ = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "0f3b9a7c5d1e8246a9b0c7d3e5f18264",
        "PUBLIC_URL": "https://combine.example.com",
        # Nothing is asked of it.
        "DATABASE_URL": "postgresql://nobody@localhost:1/nothing",
    }
    command = [sys.executable, "-c", ASSEMBLE]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    modules = json.loads(done.stdout.splitlines()[-1])
    assert {name.partition(".")[0] for name in modules} & NOT_YET == set()
    assert len(modules) < MOST_MODULES
