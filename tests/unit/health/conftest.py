"""Fixtures for the health of an application whose checks run on a fake clock."""

import pytest

from combine_health.engine.redaction import Redactor
from combine_health.engine.registry import HealthRegistry
from combine_health.engine.runner import Runner
from combine_health.settings import HealthSettings
from combine_health.testing import FakeClock


@pytest.fixture
def time():
    return FakeClock()


@pytest.fixture
def make(time, tmp_path):
    """A registry with these checks and the fake clock. Its scheduler thread is not started."""
    made = []

    def make(*checks, **settings):
        settings = {"maintenance_file": tmp_path / "maintenance.json", **settings}
        health = HealthRegistry(object(), HealthSettings(**settings), scheduled=False)
        health.clock = time.clock()
        for check in checks:
            health.add_check(check)
        runner = health.runner
        runner.start()
        made.append(runner)
        return health

    yield make
    for runner in made:
        runner.stop()


@pytest.fixture
def make_runner(time):
    """Runners on the fake clock, driven by `run_due`. Their scheduler threads are not started."""
    made = []

    def make(*checks, **options):
        runner = Runner(checks, None, Redactor(), clock=time.clock(), scheduled=False, **options)
        runner.start()
        made.append(runner)
        return runner

    yield make
    for runner in made:
        runner.stop()
