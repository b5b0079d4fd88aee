"""What the server prints when it listens."""

import subprocess
import sys
from pathlib import Path

from combine_health.server.announce import announce


def test_it_names_the_endpoints(capsys):
    announce([("0.0.0.0", "8000")], "See {url}/docs", "/ops")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Serving on http://localhost:8000"
    assert "  http://localhost:8000/ops/health/ready" in printed
    assert printed[-1] == "See http://localhost:8000/docs"


PROGRAM = """
import logging, os
from combine_health.server.announce import announce

logging.basicConfig(level="INFO")
announce([("127.0.0.1", "8000")], "", None)
os._exit(0)  # Python itself would complain of what it cannot write at its end
"""


def test_a_full_disk_stops_nobody():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 0, done.stderr
    assert "cannot print where the service listens: [Errno 28]" in done.stderr
    assert "serving on http://localhost:8000" in done.stderr
