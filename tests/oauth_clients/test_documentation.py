"""Tests every command of docs/oauth.md, unchanged, with a running service."""

import json
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "oauth.md"

_END = "---end of block---"


def blocks():
    return re.findall(r"^```bash\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


class Shell:
    """A bash process that runs one block after the other."""

    def __init__(self, folder, environment):
        self._process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, block, meanwhile=lambda line: None):
        """Return the output of a block. Fail at its first failing command."""
        guarded = f"set -eu -o pipefail\n{block}\necho\necho '{_END}'\n"
        self._process.stdin.write(guarded)
        self._process.stdin.flush()
        printed = []
        for line in self._process.stdout:
            if line.rstrip() == _END:
                return "".join(printed)
            printed.append(line)
            meanwhile(line)
        pytest.fail(f"{block}\n{''.join(printed)}")

    def end(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture
def shell(live, tmp_path):
    service = live.service
    environment = {
        **service.environment,
        "SERVICE": live.url,
        "XDG_CONFIG_HOME": str(tmp_path / "configuration"),
    }
    made = Shell(service.ini.parent, environment)
    made.run("combine user create ada@example.com")
    yield made
    made.end()


# It runs about forty commands, each in a process.
@pytest.mark.timeout(600)
def test_every_command_works(live, shell):
    def approve_device(line):
        found = re.search(r"enter this code there: ([A-Z]{4}-[A-Z]{4})", line)
        if found:
            live.person.approve(found[1])

    printed = []
    for block in blocks():
        printed.append(shell.run(block, approve_device))
        if "/oauth/device" in block:
            codes = json.loads((live.service.ini.parent / "device.json").read_text())
            live.person.approve(codes["user_code"])
    everything = "\n".join(printed)
    for said in (
        '"items"',
        '"email":"local@localhost"',
        "You are signed out",
        "Nightly",
        '"issuer"',
        '"scope": "projects:read"',
        '"scope": "runs:read"',
        "is enabled",
        "204\n",
        "token-leaked",
    ):
        assert said in everything
