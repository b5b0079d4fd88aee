"""Tests draining, maintenance and saturation, which are states without a check."""

import json
import os
import socket
from datetime import UTC, datetime, timedelta

import pytest

from combine_health.cli import main
from combine_health.engine.maintenance import Maintenance, remove_file, write_file
from combine_health.engine.registry import health_of
from combine_health.engine.verdict import Saturation

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
PUBLIC = {"REMOTE_ADDR": "203.0.113.9"}
WORDS = ("connected", "disconnected")


@pytest.fixture
def app(make_app, database, time):
    def setup(config):
        config.add_health_check("database", database, words=WORDS)
        health_of(config.registry).clock = time.clock()

    return make_app(setup)


@pytest.fixture
def health(app):
    return health_of(app.app.registry)


@pytest.fixture
def order(health, time):
    """Start a maintenance for this number of seconds."""

    def order(seconds, reason="move the disks"):
        until = time.clock().wall() + timedelta(seconds=seconds)
        write_file(health.settings.maintenance_path, Maintenance(reason, "ada", until))
        time.advance(1.5)  # the file is read once a second

    return order


def detailed(app):
    return app.get("/health/detailed", extra_environ=LOCAL).json


def test_a_draining_service_is_not_ready(app, health, database):
    app.get("/health/ready", status=200)
    health.draining = True
    answer = app.get("/health/ready", status=503)
    assert answer.body == b'{"status": "draining", "database": "connected"}'
    assert int(answer.headers["Retry-After"]) >= 1
    assert app.get("/health", status=200).json == {"status": "healthy"}
    body = detailed(app)
    assert (body["status"], body["cause"]) == ("draining", "draining")
    database.answer = False
    assert app.get("/health/ready", status=503).json == {
        "status": "draining",
        "database": "disconnected",
    }
    app.get("/health/ready?check=database", status=503)


def test_a_service_in_maintenance_is_not_ready(app, order):
    app.get("/health/ready", status=200)
    order(600)
    answer = app.get("/health/ready", status=503)
    assert answer.body == b'{"status": "maintenance", "database": "connected"}'
    assert answer.headers["Retry-After"] == "30"
    assert app.get("/health", status=200).json == {"status": "healthy"}
    body = detailed(app)
    assert body["status"] == "maintenance"
    assert body["maintenance"] == {
        "reason": "move the disks",
        "owner": "ada",
        "until": "2026-01-01T00:10:00+00:00",
    }
    assert "move the disks" in body["detail"]
    public = app.get("/health/detailed", extra_environ=PUBLIC)
    assert public.json["status"] == "maintenance"
    assert "disks" not in public.text


def test_maintenance_ends_by_itself(app, order, time):
    app.get("/health/ready", status=200)
    order(10)
    assert app.get("/health/ready", status=503).headers["Retry-After"] == "9"
    time.advance(8.4)
    assert app.get("/health/ready", status=503).headers["Retry-After"] == "1"
    time.advance(0.2)
    app.get("/health/ready", status=200)
    time.advance(3600)
    assert detailed(app)["maintenance"] is None
    history = detailed(app)["history"]
    assert [(one["from"], one["to"], one["cause"]) for one in history] == [
        ("starting", "healthy", None),
        ("healthy", "maintenance", "maintenance"),
        ("maintenance", "healthy", None),
    ]


@pytest.mark.parametrize(
    "path",
    ["/health", "/health/startup", "/health/ready?check=cache", "/health/ready/caches", "/status"],
)
def test_checks_that_did_not_run_do_not_change_the_state(make_app, make_switch, time, path):
    clock = time.clock()

    def setup(config):
        config.add_health_check("database", make_switch())
        config.add_health_check("cache", make_switch(), groups=["caches"])
        health_of(config.registry).clock = clock

    app = make_app(setup)
    for _ in range(3):
        app.get("/health/ready", status=200)
        time.advance(3600)
        app.get(path, status=200)
        time.advance(3600)
    history = detailed(app)["history"]
    assert [(one["from"], one["to"]) for one in history] == [("starting", "healthy")]


def test_maintenance_is_ended_and_changed_manually(app, order, health, time):
    order(600)
    app.get("/health/ready", status=503)
    order(600, "another reason")
    assert detailed(app)["maintenance"]["reason"] == "another reason"
    assert remove_file(health.settings.maintenance_path)
    assert not remove_file(health.settings.maintenance_path)
    time.advance(1.5)
    app.get("/health/ready", status=200)


def test_a_new_process_is_in_maintenance_too(make_app, tmp_path):
    until = datetime.now(UTC) + timedelta(hours=1)
    write_file(tmp_path / "maintenance.json", Maintenance("r", "o", until))
    app = make_app(background="true")
    assert app.get("/health/ready", status=503).json == {"status": "maintenance"}


def test_the_file_is_read_once_a_second(app, health, time, order):
    app.get("/health/ready", status=200)
    until = time.clock().wall() + timedelta(seconds=60)
    write_file(health.settings.maintenance_path, Maintenance("x", "y", until))
    time.advance(0.5)
    app.get("/health/ready", status=200)
    time.advance(0.6)
    app.get("/health/ready", status=503)


def test_a_clock_change_does_not_affect_maintenance(app, order, time):
    order(100)
    app.get("/health/ready", status=503)
    time.began += timedelta(days=1)
    app.get("/health/ready", status=503)
    time.began -= timedelta(days=3)
    time.advance(99)
    app.get("/health/ready", status=200)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "on",
        '{"reason": "x", "owner": "y", "until": "soon"}',
        '{"reason": "x", "owner": "y", "until": "2030-01-01T00:00:00"}',
        '{"reason": 1, "owner": "y", "until": "2030-01-01T00:00:00+00:00"}',
        '{"reason": "x", "owner": "y", "until": 7}',
        "\x00\xff",
        "[" * 5000,
    ],
)
def test_an_invalid_file_is_ignored_and_logged(app, health, time, text, caplog):
    health.settings.maintenance_path.write_text(text, encoding="latin-1")
    for _ in range(3):
        app.get("/health/ready", status=200)
        time.advance(2)
    assert "is not a maintenance file" in detailed(app)["monitor"]["maintenance_problem"]
    assert caplog.text.count("is not a maintenance file") == 1
    health.settings.maintenance_path.unlink()
    time.advance(2)
    assert detailed(app)["monitor"]["maintenance_problem"] is None


def test_a_folder_instead_of_a_file_is_ignored(app, health, time):
    health.settings.maintenance_path.mkdir()
    app.get("/health/ready", status=200)
    assert "cannot be read" in detailed(app)["monitor"]["maintenance_problem"]


def test_a_file_of_another_user_is_ignored(app, health, time, order, monkeypatch):
    order(600)
    if os.geteuid() == 0:
        os.chown(health.settings.maintenance_path, 4712, -1)
    else:
        monkeypatch.setattr(
            "os.geteuid", lambda: health.settings.maintenance_path.stat().st_uid + 1
        )
    app.get("/health/ready", status=200)
    assert "belongs to another user" in detailed(app)["monitor"]["maintenance_problem"]


def a_symbolic_link(path):
    target = path.with_name("target.json")
    until = datetime(2999, 1, 1, tzinfo=UTC)
    write_file(target, Maintenance("r", "o", until))
    path.symlink_to(target)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (os.mkfifo, "is not a regular file"),
        (a_symbolic_link, "is a symbolic link"),
        (a_socket, "cannot be read"),
        (lambda path: path.symlink_to("/dev/zero"), "is a symbolic link"),
    ],
)
def test_only_regular_files_are_read(app, health, time, make, problem, order, capsys):
    """zim-desktop-wiki#1028: a named pipe in the temporary folder blocked every process that read it."""
    path = health.settings.maintenance_path
    make(path)
    app.get("/health/ready", status=200)
    said = detailed(app)["monitor"]["maintenance_problem"]
    assert str(path) in said
    assert problem in said
    assert main(["maintenance", "show", "--file", str(path)]) == 1
    assert problem in capsys.readouterr().out
    # The file can be removed, and then maintenance works.
    assert main(["maintenance", "off", "--file", str(path)]) == 0
    order(600)
    time.advance(2)
    app.get("/health/ready", status=503)
    assert detailed(app)["monitor"]["maintenance_problem"] is None


def test_a_named_pipe_does_not_delay_the_start(make_app, tmp_path):
    os.mkfifo(tmp_path / "maintenance.json")
    app = make_app(background="true")
    assert app.get("/health").json == {"status": "healthy"}


def test_the_reason_is_redacted_and_shortened(app, health, order):
    health.redactor.add("c4n4ry")
    order(600, "password=c4n4ry " + "x" * 10_000)
    text = app.get("/health/detailed", extra_environ=LOCAL).text
    assert "c4n4ry" not in text
    assert len(text) < 10_000


def test_the_file_is_written_in_one_step(health, time):
    path = health.settings.maintenance_path
    until = datetime(2026, 1, 1, tzinfo=UTC)
    write_file(path, Maintenance("é", "y", until))
    assert json.loads(path.read_text()) == {
        "reason": "é",
        "owner": "y",
        "until": "2026-01-01T00:00:00+00:00",
    }
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    with pytest.raises(TypeError):
        write_file(path, Maintenance(b"no text", "y", until))
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_saturated_workers_make_the_service_unready(app, health, time):
    since = time.now
    health.read_saturation = lambda: Saturation(4, 4, 7, since, since)
    time.advance(59)
    app.get("/health/ready", status=200)
    assert detailed(app)["server"] == {
        "threads": 4,
        "busy": 4,
        "queue": 7,
        "saturated_seconds": 59.0,
        "stuck_seconds": 59.0,
    }
    time.advance(1)
    answer = app.get("/health/ready", status=503)
    assert answer.body == b'{"status": "unavailable", "database": "connected"}'
    assert int(answer.headers["Retry-After"]) >= 1
    app.get("/health", status=200)
    body = detailed(app)
    assert (body["status"], body["cause"]) == ("unavailable", "worker_saturation")
    assert "slow" in body["remedy"]


def test_stuck_workers_make_the_service_unhealthy(app, health, time):
    since = time.now
    health.read_saturation = lambda: Saturation(4, 4, 7, since, since)
    time.advance(599)
    app.get("/health", status=200)
    time.advance(1)
    answer = app.get("/health", status=503)
    assert answer.body == b'{"status": "unhealthy"}'
    assert int(answer.headers["Retry-After"]) >= 1


def test_the_limits_can_be_set(make_app, time):
    app = make_app(
        lambda config: setattr(health_of(config.registry), "clock", time.clock()),
        saturated_after="5",
        stuck_after="6",
    )
    since = time.now
    health_of(app.app.registry).read_saturation = lambda: Saturation(1, 1, 1, since, since)
    time.advance(5)
    app.get("/health/ready", status=503)
    app.get("/health", status=200)
    time.advance(1)
    app.get("/health", status=503)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf"])
def test_invalid_limits_are_an_error_at_startup(make_app, value):
    with pytest.raises(Exception, match="saturated_after is"):
        make_app(saturated_after=value)


def test_draining_and_maintenance_are_shown_before_failures(app, health, order, database):
    database.answer = False
    order(600)
    assert app.get("/health/ready", status=503).json["status"] == "maintenance"
    health.draining = True
    assert app.get("/health/ready", status=503).json["status"] == "draining"


def test_checks_on_request_leave_no_stored_result(health):
    assert health.snapshot() is None
