"""Tests that `make bench-health` runs and its ratios hold. Only an idle machine can judge times in ms."""

import re
import subprocess
import sys

import pytest

from tests.functional.health.served import ROOT

BENCH = ROOT / "benchmarks/health/bench.py"


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not in the wheel")
def test_the_ratios_of_the_benchmark_hold():
    done = subprocess.run(
        [sys.executable, BENCH, "--quick"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    ratios = [float(found) for found in re.findall(r"beside it: ([\d.]+) x", done.stdout)]
    assert len(ratios) == 2
    assert min(ratios) >= 3.0
    assert re.search(r"^ok +after 10,000 probes against a hung check", done.stdout, re.MULTILINE)
    assert re.search(r"^ok +database connections opened: 1", done.stdout, re.MULTILINE)
    assert re.search(r"^ok +exit with a hung check", done.stdout, re.MULTILINE)
