"""Tests the commands probe, doctor, maintenance and list."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from combine_health import HealthResult
from combine_health.cli import main
from combine_health.cli.application import NO_INI
from combine_health.engine.maintenance import Maintenance, read_file, write_file
from combine_health.testing import HealthApp, closed_port, silent_server, talking_server
from tests.functional.health.served import serving

ROOT = Path(__file__).parents[3]
CANARY = "c4n4ry-s3cr3t"
PATIENCE_S = 60


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("COMBINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    monkeypatch.chdir(tmp_path)  # the repository contains ini files
    monkeypatch.setenv("COMBINE_HEALTH_MAINTENANCE_FILE", str(tmp_path / "maintenance.json"))


@pytest.fixture
def run(capsys):
    """Run a command in this process. Return its exit status and its output lines."""

    def run(*words):
        status = main([str(word) for word in words])
        said = capsys.readouterr()
        assert said.err in {"", f"Using {NO_INI}\n"}
        assert len(said.out.encode()) <= 4096 or words[0] == "list"
        assert "\x1b" not in said.out
        return status, said.out.splitlines()

    return run


def database(answer):
    def setup(config):
        config.add_health_check(
            "database",
            lambda registry: answer,
            words=("connected", "disconnected"),
            remedies={"refused": "Start the database: docker-compose up -d db"},
            runbook="https://runbook.example/database",
        )
        config.add_health_check("fine", lambda registry: True)

    return setup


DOWN = HealthResult.failing("refused", "db:5432: Connection refused")


# Probe.


def test_probe_succeeds_on_a_ready_service(run):
    with serving(HealthApp(setup=database(True)).wsgi) as url:
        status, (line,) = run("probe", f"{url}/health/ready")
        assert status == 0
        assert line.startswith("ready, database connected (")
        assert run("probe", f"{url}/health")[0] == 0
        assert run("probe", f"{url}/health/startup")[1][0].startswith("started")


def test_probe_shows_cause_and_remedy_in_the_first_line(run):
    with serving(HealthApp(setup=database(DOWN)).wsgi) as url:
        status, lines = run("probe", f"{url}/health/ready")
        assert status == 1
        assert lines[0] == (
            "unavailable: database.refused: db:5432: Connection refused."
            " Start the database: docker-compose up -d db"
        )
        assert lines[1] == "  database: failing, refused, db:5432: Connection refused"
        assert "    https://runbook.example/database" in lines
        assert not any("fine" in line for line in lines)
        assert run("probe", f"{url}/health")[0] == 0


def test_probe_works_without_details(run):
    app = HealthApp(setup=database(DOWN), settings={"combine_health.details": "never"})
    with serving(app.wsgi) as url:
        status, lines = run("probe", f"{url}/health/ready")
    assert status == 1
    assert lines[0].startswith("unavailable, database disconnected. See /health/detailed")


def test_probe_shows_details_with_the_token(run, monkeypatch):
    token = f"{CANARY}-0123456789"
    settings = {"combine_health.details": "authorized", "combine_health.token": token}
    with serving(HealthApp(setup=database(DOWN), settings=settings).wsgi) as url:
        assert "refused" not in run("probe", f"{url}/health/ready")[1][0]
        monkeypatch.setenv("COMBINE_HEALTH_TOKEN", token)
        status, lines = run("probe", f"{url}/health/ready")
    assert status == 1
    assert "database.refused" in lines[0]
    assert CANARY not in "".join(lines)


def test_probe_uses_the_port_of_the_environment(run, monkeypatch):
    with serving(HealthApp(setup=database(True)).wsgi) as url:
        monkeypatch.setenv("PORT", url.rpartition(":")[2])
        assert run("probe")[0] == 0


def test_probe_uses_the_port_of_the_env_file(run, monkeypatch, tmp_path):
    pytest.importorskip("dotenv", reason="python-dotenv is not installed")
    with serving(HealthApp(setup=database(True)).wsgi) as url:
        (tmp_path / ".env").write_text(f"PORT={url.rpartition(':')[2]}\n")
        monkeypatch.chdir(tmp_path)
        assert run("probe")[0] == 0


@pytest.mark.parametrize("listen", ["127.0.0.1:{port}", "0.0.0.0", "127.0.0.1:{port} [::1]:9"])
def test_probe_follows_listen(run, monkeypatch, listen):
    with serving(HealthApp(setup=database(True)).wsgi) as url:
        port = url.rpartition(":")[2]
        # The server reads LISTEN in the same way: its port wins.
        monkeypatch.setenv("PORT", "9" if "port" in listen else port)
        monkeypatch.setenv("LISTEN", listen.format(port=port))
        assert run("probe")[0] == 0


def test_probe_names_an_invalid_listen(run, monkeypatch):
    monkeypatch.setenv("LISTEN", "http://localhost:80")
    status, (line,) = run("probe")
    assert status == 1
    assert line.startswith("LISTEN is 'http://localhost:80': write host:port")


def test_probe_reports_a_refused_connection(run):
    with closed_port() as (host, port):
        status, (line,) = run("probe", f"http://{host}:{port}/health")
    assert status == 1
    assert line.startswith(
        f"refused: http://{host}:{port}/health. No process listens on this port."
    )


def test_probe_reports_a_server_that_never_responds(run):
    with silent_server() as (host, port):
        status, (line,) = run("probe", f"http://{host}:{port}/health", "--timeout", "0.2")
    assert status == 1
    assert line.startswith("timeout: ")


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n", "redirected"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>\x1b[31mno", "wrong_status"),
        (b"HTTP/1.1 503 No\r\n\r\n" + b"[" * 100_000, "wrong_status"),
        (b"220 mail.example ESMTP\r\n", "bad_answer"),
        (b"", "closed"),
    ],
)
def test_probe_reports_another_kind_of_server(run, answer, cause):
    def talk(connection):
        connection.recv(65536)
        connection.sendall(answer)

    with talking_server(talk) as (host, port):
        status, lines = run("probe", f"http://{host}:{port}/health")
    assert status == 1
    assert lines[0].startswith(f"{cause}: http://{host}:{port}/health")
    assert len(lines) == 1


def test_probe_prints_no_megabytes_and_no_control_characters(run):
    checks = {
        f"check-{n}": {"status": "failing", "cause": "x" * 300, "remedy": "ü\x1b[31m\n" * 300}
        for n in range(100)
    }
    body = {"status": "unavailable", "cause": "a", "detail": "b" * 5000, "remedy": None}
    details = json.dumps({**body, "checks": checks}).encode()

    def talk(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 503 No\r\n\r\n" + details)

    with talking_server(talk) as (host, port):
        status, lines = run("probe", f"http://{host}:{port}/health/ready")
    assert status == 1
    assert lines[-1] == "(cut)"


@pytest.mark.parametrize(
    "words",
    [
        ["file:///etc/passwd"],
        ["localhost:8000"],
        ["http://h/", "--timeout", "0"],
        ["http://h/", "--timeout", "soon"],
        ["http://h/", "--bogus"],
    ],
)
def test_probe_rejects_invalid_urls(run, words):
    status, lines = run("probe", *words)
    assert status == 1
    assert lines[0]


def test_the_password_of_a_probed_url_is_not_shown(run):
    with closed_port() as (host, port):
        _, lines = run("probe", f"http://me:{CANARY}@{host}:{port}/health?x={CANARY}")
    assert CANARY not in "".join(lines)


def test_probe_prints_to_an_ascii_terminal():
    """Docker runs it like this: a separate process, no locale, output through a pipe."""
    remedy = HealthApp(
        setup=lambda config: config.add_health_check(
            "database", lambda registry: False, remedy="Prüfe die Datenbank"
        )
    )
    with serving(remedy.wsgi) as url:
        done = subprocess.run(
            [sys.executable, "-m", "combine_health", "probe", f"{url}/health/ready"],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": ROOT,
                 "PYTHONCOERCECLOCALE": "0", "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            timeout=PATIENCE_S,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"Pr\\xfcfe die Datenbank" in done.stdout.splitlines()[0]


# Doctor and list.

APPLICATION = """
from pyramid.config import Configurator
from combine_health import HealthResult


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include("combine_health")
        config.add_health_secret("c4n4ry-s3cr3t")
        config.add_health_check(
            "news", lambda registry: HealthResult.failing("c4", "key c4n4ry-s3cr3t"), critical=False
        )
        config.add_health_check("slow", lambda registry: HealthResult.degraded("slow"))
        config.add_health_check(
            "database",
            lambda registry: settings["up"] == "yes",
            fall=3,
            remedy="Start the database.",
            runbook="https://runbook.example/database",
        )
        config.add_health_check("fine", lambda registry: True, interval=60)
        if settings.get("configured"):
            result = HealthResult(
                settings["configured"],
                None if settings["configured"] == "healthy" else "no_key",
                "one provider",
                {"google": {"redirect": "https://x.example/back", "key": "c4n4ry-s3cr3t"}, "n": 2},
            )
            config.add_health_check(
                "sign_in", lambda registry: result, kind="info", remedy="Set the key."
            )
        app = config.make_wsgi_app()
    # Behind a middleware, as an application often is.
    return lambda environ, start_response: app(environ, start_response)
"""


@pytest.fixture
def ini(tmp_path, monkeypatch):
    """``ini(settings)``: the ini file of an application."""
    (tmp_path / "cli_application.py").write_text(APPLICATION)
    monkeypatch.syspath_prepend(tmp_path)

    def write(**settings):
        lines = [f"{key} = {value}" for key, value in settings.items()]
        text = "\n".join(["[app:main]", "paste.app_factory = cli_application:main", *lines])
        (tmp_path / "app.ini").write_text(text + "\n")
        return tmp_path / "app.ini"

    yield write
    sys.modules.pop("cli_application", None)


OFFLINE = {"combine_health.load_entry_points": "false"}


def test_doctor_succeeds_on_a_healthy_application(run, ini):
    status, lines = run("doctor", "-c", ini(up="yes", **OFFLINE))
    assert status == 0  # degraded counts as ready
    assert lines[0] == "failing: news: c4"
    assert lines[-1] == "  healthy: database, fine"


def test_doctor_names_disabled_checks(run, ini):
    disabled = {"combine_health.disabled": "news slow"}
    status, lines = run("doctor", "-c", ini(up="yes", **OFFLINE, **disabled))
    assert status == 0
    assert lines == [
        "healthy: 2 checks pass",
        "  healthy: database, fine",
        "  not run (disabled): news, slow",
    ]


def test_doctor_shows_the_worst_result_first(run, ini):
    status, lines = run("doctor", "-c", ini(up="no", **OFFLINE))
    assert status == 1
    assert lines == [
        "failing: database: failed. Start the database.",
        "  database (ready, critical): failing, failed",
        "    detail: the check returned False",
        "    remedy: Start the database.",
        "    runbook: https://runbook.example/database",
        "  news (ready): failing, c4",
        "    detail: key ***",
        "  slow (ready, critical): degraded, slow",
        "  healthy: fine",
    ]


FACTS = ["google.redirect: https://x.example/back", "google.key: ***", "n: 2"]


def test_doctor_shows_info_checks(run, ini):
    quiet = {"combine_health.disabled": "news slow", **OFFLINE}
    status, lines = run("doctor", "-c", ini(up="yes", configured="healthy", **quiet))
    assert status == 0
    assert lines == [
        "healthy: 3 checks pass",
        "  healthy: database, fine, sign_in",
        "  sign_in:",
        "    one provider",
        *(f"    {fact}" for fact in FACTS),
        "  not run (disabled): news, slow",
    ]


def test_doctor_fails_if_an_info_check_fails(run, ini):
    file = ini(up="yes", configured="failing", **OFFLINE)
    status, lines = run("doctor", "-c", file)
    assert status == 1
    assert lines[:7] == [
        "failing: sign_in: no_key. Set the key.",
        "  sign_in (info, critical): failing, no_key",
        "    detail: one provider",
        "    remedy: Set the key.",
        *(f"    {fact}" for fact in FACTS),
    ]
    # A check that decides readiness is more serious.
    assert run("doctor", "-c", ini(up="no", configured="failing"))[1][0].startswith(
        "failing: database"
    )
    # It does not make the server unready.
    status, lines = run("doctor", "-c", ini(up="yes", configured="failing"), "--ready")
    assert status == 0
    assert "sign_in" not in "".join(lines)
    # Nor does it fail the doctor as a mere warning.
    file = ini(up="yes", configured="failing", **{"combine_health.check.sign_in.critical": "no"})
    assert run("doctor", "-c", file)[0] == 0
    assert run("doctor", "-c", ini(up="yes", configured="degraded"))[0] == 0


@pytest.mark.parametrize(
    ("environ", "files", "chosen"),
    [
        ({"COMBINE_INI": "mine.ini"}, ["mine.ini", "development.ini"], "mine.ini"),
        ({}, ["development.ini", "production.ini"], "development.ini"),
        ({}, ["production.ini"], "production.ini"),
        ({"ENVIRONMENT": "test"}, ["development.ini", "production.ini"], "development.ini"),
        ({"ENVIRONMENT": "Production "}, ["development.ini", "production.ini"], "production.ini"),
        ({"ENVIRONMENT": "staging"}, ["development.ini", "production.ini"], "production.ini"),
        ({"ENVIRONMENT": "staging"}, ["development.ini"], None),
        ({}, [], None),
    ],
)
def test_the_default_ini_file_is_found_and_reported(
    ini, tmp_path, monkeypatch, capsys, environ, files, chosen
):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for name in files:
        file = tmp_path / f"{Path(name).stem}.json"
        settings = {"combine_health.maintenance_file": file, "combine_health.disabled": "slow"}
        ini(up="no", **OFFLINE, **settings).rename(tmp_path / name)
    monkeypatch.delenv("COMBINE_HEALTH_MAINTENANCE_FILE")
    said = f"Using {chosen or NO_INI}\n"

    assert main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert err == (said if chosen else "")
    first = "failing: database" if chosen else "this folder has no ini file: set the ini file"
    assert out.startswith(first)

    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    assert err == said
    assert out.startswith("4 checks" if chosen else "built-in checks")

    assert main(["maintenance", "show"]) == 0
    out, err = capsys.readouterr()
    assert err == said
    assert (f"{Path(chosen).stem}.json" if chosen else "combine-health-maintenance.json") in out


def test_the_option_wins_and_is_not_reported(run, ini, monkeypatch):
    monkeypatch.setenv("COMBINE_INI", "nowhere.ini")
    assert run("list", "-c", ini(up="no", **OFFLINE))[1][0] == "4 checks"


def test_doctor_names_every_invalid_setting(run, ini):
    bad = {"combine_health.detals": "x", "combine_health.background": "maybe"}
    status, lines = run("doctor", "-c", ini(up="yes", **OFFLINE, **bad))
    assert status == 1
    assert lines[0].startswith("the application cannot start: combine_health cannot start:")
    assert "combine_health.detals" in lines[0]
    assert any("combine_health.background" in line for line in lines[1:])


def test_doctor_reports_an_application_that_does_not_start(run, ini):
    status, lines = run("doctor", "-c", ini(**OFFLINE, **{"combine_health.check.no.timeout": 1}))
    assert status == 1
    assert "there is no such health check" in lines[0]


def test_doctor_reports_an_application_without_the_add_on(run, tmp_path, monkeypatch):
    (tmp_path / "bare_application.py").write_text(
        "from pyramid.config import Configurator\n"
        "def main(global_config, **settings):\n"
        "    return Configurator(settings=settings).make_wsgi_app()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "bare.ini").write_text("[app:main]\npaste.app_factory = bare_application:main\n")
    status, lines = run("doctor", "-c", tmp_path / "bare.ini")
    assert status == 1
    assert "does not include combine_health: add it to pyramid.includes" in lines[0]


def test_doctor_masks_secrets_but_not_addresses(run, tmp_path, monkeypatch):
    """PUBLIC_URL and the host of a database are not secrets, even if their names end like secrets."""
    said = (
        "add https://combine.example.com to ALLOWED_ORIGINS, connect to db.internal:5432 with"
        f" {CANARY}1, {CANARY}2, {CANARY}3"
    )
    (tmp_path / "failing_application.py").write_text(
        f"def main(global_config, **settings):\n    raise ValueError({said!r})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PUBLIC_URL", "https://combine.example.com")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{CANARY}1@db.internal:5432/combine")
    monkeypatch.setenv("HOOK_URL", f"https://hooks.example/?channel=4&access_token={CANARY}2")
    monkeypatch.setenv("GOOGLE_CLIENT_SECRET", f"{CANARY}3")
    file = tmp_path / "failing.ini"
    file.write_text("[app:main]\npaste.app_factory = failing_application:main\n")
    status, lines = run("doctor", "-c", file)
    assert status == 1
    assert (
        "add https://combine.example.com to ALLOWED_ORIGINS, connect to db.internal:5432 with"
        " ***, ***, ***"
    ) in lines[0]


@pytest.mark.parametrize("text", [None, "", "[app:main]\nuse = egg:no-such-thing\n", "\0\xff"])
def test_doctor_reports_an_invalid_ini_file(run, tmp_path, text):
    file = tmp_path / "odd.ini"
    if text is not None:
        file.write_text(text)
    status, lines = run("doctor", "-c", file)
    assert status == 1
    assert lines[0]


@pytest.mark.parametrize(
    "lines",
    [
        # The error of configparser repeats a value that breaks the interpolation.
        [f"my.secret_key = {CANARY}%(nothing)s"],
        [f"my.database_url = postgresql://me:{CANARY}%(nothing)s@db/x"],
        [f"my.api_key = {CANARY}", "raise = {my.api_key}"],
        [f"my.database_url = {CANARY}", "raise = {my.database_url}"],
        [f"my.api_key = {CANARY}", "[broken", f"token = {CANARY}"],
    ],
)
@pytest.mark.parametrize("command", ["doctor", "list"])
def test_doctor_shows_no_secret_of_an_unusable_ini_file(run, tmp_path, monkeypatch, lines, command):
    (tmp_path / "raising_application.py").write_text(
        "def main(global_config, **settings):\n"
        "    for name in settings:\n"
        "        raise ValueError(f'cannot use {name}: {settings[name]}')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = ["[app:main]", "paste.app_factory = raising_application:main", *lines]
    (tmp_path / "odd.ini").write_text("\n".join(text) + "\n")
    status, said = run(command, "-c", tmp_path / "odd.ini")
    assert status == 1
    assert said[0]
    assert CANARY not in "".join(said)


def test_doctor_prints_only_its_report(ini, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "combine_health", "doctor", "-c", ini(up="no", **OFFLINE)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
            "PYTHONWARNINGS": "ignore",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[0] == "failing: database: failed. Start the database."
    assert CANARY not in done.stdout


def test_list_shows_the_checks_of_an_application(run, ini):
    settings = {"combine_health.disabled": "slow", "combine_health.token": CANARY + "0123456789"}
    status, lines = run("list", "-c", ini(up="yes", **OFFLINE, **settings))
    assert status == 0
    assert lines[0] == "4 checks"
    assert "  database: ready, critical, every 2 s, at most 1 s" in lines
    assert "  slow: ready, critical, every 2 s, at most 1 s, disabled" in lines
    assert "  combine_health.disabled = slow (ini)" in lines
    assert CANARY not in "".join(lines)


def test_list_shows_built_in_checks_and_settings(run):
    status, lines = run("list")
    assert status == 0
    assert any(line.startswith("  disk") for line in lines)
    assert "  combine_health.details = local (default)" in lines


# Maintenance.


def test_maintenance_is_started_and_ended(run, tmp_path):
    file = tmp_path / "maintenance.json"
    assert run("maintenance", "show")[1][0].startswith("no maintenance (")
    before = datetime.now(UTC)
    status, lines = run(
        "maintenance",
        "on",
        "--reason",
        " moving \n the database",
        "--for",
        "1h30m",
        "--owner",
        "Anna",
    )
    assert status == 0
    assert lines[0].startswith("maintenance until ")
    assert lines[0].endswith(" UTC: moving the database (Anna)")
    order = read_file(file)
    assert (order.reason, order.owner) == ("moving the database", "Anna")
    assert timedelta(minutes=89) < order.until - before < timedelta(minutes=91)
    assert run("maintenance", "show")[1][0] == lines[0]
    assert run("maintenance", "off")[1][0].startswith("maintenance has ended")
    assert not file.exists()
    assert run("maintenance", "off") == (0, [f"there was no maintenance ({file} does not exist)"])


def test_the_service_follows_the_maintenance_file(run):
    app = HealthApp(setup=database(True))
    assert app.get("/health/ready")[0] == 200
    run("maintenance", "on", "--reason", "moving", "--for", "30m", "--owner", "Anna")
    with serving(HealthApp(setup=database(True)).wsgi) as url:
        status, lines = run("probe", f"{url}/health/ready")
        assert status == 1
        assert lines[0].startswith("maintenance: maintenance: moving (Anna, until ")
        assert run("probe", f"{url}/health")[0] == 0


def test_expired_maintenance_is_reported(run, tmp_path):
    past = datetime.now(UTC) - timedelta(minutes=1)
    write_file(tmp_path / "maintenance.json", Maintenance("moving", "Anna", past))
    status, lines = run("maintenance", "show")
    assert status == 0
    assert lines[0].startswith("no maintenance; the last one has ended: maintenance until ")


def test_an_invalid_maintenance_file_is_reported(run, tmp_path):
    (tmp_path / "maintenance.json").write_text("garbage")
    status, lines = run("maintenance", "show")
    assert status == 1
    assert "not a maintenance file" in lines[0]
    assert run("maintenance", "off")[0] == 0


def test_the_maintenance_file_comes_from_ini_or_option(run, ini, tmp_path, monkeypatch):
    monkeypatch.delenv("COMBINE_HEALTH_MAINTENANCE_FILE")
    other = tmp_path / "other.json"
    config = ini(**{"combine_health.maintenance_file": other})
    run("maintenance", "on", "-c", config, "--reason", "a", "--for", "90s", "--owner", "b")
    assert other.exists()
    assert run("maintenance", "off", "--file", other)[0] == 0
    assert not other.exists()


def test_the_file_belongs_to_the_caller(run, tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "anna")
    run("maintenance", "on", "--reason", "a", "--for", "1d")
    assert read_file(tmp_path / "maintenance.json").owner == "anna"


def test_a_missing_folder_is_reported(run, tmp_path):
    file = tmp_path / "no" / "folder" / "m.json"
    status, lines = run("maintenance", "on", "--reason", "a", "--for", "1m", "--file", file)
    assert status == 1
    assert "combine_health.maintenance_file" in lines[0]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["on"], "--reason"),
        (["on", "--reason", "a"], "--for"),
        (["on", "--reason", " ", "--for", "1m"], "--reason"),
        (["on", "--reason", "x" * 301, "--for", "1m"], "300"),
        (["on", "--reason", "a", "--for", "soon"], "90s, 30m"),
        (["on", "--reason", "a", "--for", "30"], "90s, 30m"),
        (["on", "--reason", "a", "--for", "0m"], "90s, 30m"),
        (["on", "--reason", "a", "--for", "-5m"], "--for"),
        (["on", "--reason", "a", "--for", "31d"], "30 days"),
        (["on", "--reason", "a", "--for", "999999999d" * 99], "30 days"),
        (["off", "--reason", "a"], "maintenance on"),
        (["away"], "invalid choice"),
        ([], "action"),
    ],
)
def test_invalid_maintenance_arguments_are_rejected(run, tmp_path, words, named):
    status, lines = run("maintenance", *words)
    assert status == 1
    assert named in lines[0]
    assert not (tmp_path / "maintenance.json").exists()


# All commands.


@pytest.mark.parametrize("words", [["bogus"], ["--bogus"], ["probe", "a", "b"], [""]])
def test_invalid_arguments_exit_with_1(run, words):
    assert run(*words)[0] == 1


def test_every_command_has_a_help_text(capsys):
    for words in (["--help"], ["probe", "--help"], ["maintenance", "-h"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith("usage: ")


def test_an_invalid_port_is_rejected(run, monkeypatch):
    monkeypatch.setenv("PORT", "eight thousand")
    assert run("probe")[0] == 1
