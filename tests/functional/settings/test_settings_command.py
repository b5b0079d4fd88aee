"""Tests ``combine settings`` as a process, and a service that does not start."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from combine_core.cli import main
from combine_core.cli.settings import DISTRIBUTION, configuration_page
from combine_core.settings.addons import installed

COMBINE = str(Path(sys.executable).with_name("combine"))
PSERVE = str(Path(sys.executable).with_name("pserve"))
ROOT = Path(__file__).parents[3]
KEY = "0f8a51c9d3b7e2460f8a51c9d3b7e246aa"
URL = "postgresql://combine:canary-7@db:5432/combine"
TIMEOUT_S = 60

INI = """\
[app:main]
use = egg:pyramid-combine
pyramid.includes = combine_health combine_core combine_auth
combine_core.environment = production
combine_core.db_pool_size = 7

[server:main]
use = egg:pyramid-combine#waitress
listen = 127.0.0.1:8001

[loggers]
keys = root
[logger_root]
level = INFO
handlers = console
[handlers]
keys = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = text
[formatters]
keys = text
[formatter_text]
format = %(asctime)s %(levelname)-7s %(name)s: %(message)s
"""


@pytest.fixture
def ini(tmp_path):
    path = tmp_path / "production.ini"
    path.write_text(INI)
    return path


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def line_of(output: str, variable: str) -> str:
    (line,) = [line for line in output.splitlines() if line.startswith(f"{variable} ")]
    return " ".join(line.split())


def test_the_table_has_value_source_and_help(ini):
    (ini.parent / ".env").write_text(f"SECRET_KEY='{KEY}'\n")
    done = run(COMBINE, "settings", "-c", str(ini), DATABASE_URL=URL, PORT="8123")
    assert done.returncode == 0, done.stdout + done.stderr
    assert line_of(done.stdout, "ENVIRONMENT").startswith(
        "ENVIRONMENT production ini The environment"
    )
    assert line_of(done.stdout, "SECRET_KEY").startswith("SECRET_KEY ******** .env Signs")
    shown = "DATABASE_URL postgresql://********@db:5432/combine environment The"
    assert line_of(done.stdout, "DATABASE_URL").startswith(shown)
    assert line_of(done.stdout, "DB_POOL_SIZE").startswith("DB_POOL_SIZE 7 ini")
    assert line_of(done.stdout, "LOG_LEVEL").startswith("LOG_LEVEL info default")
    assert line_of(done.stdout, "PORT").startswith("PORT 8123 environment")
    assert line_of(done.stdout, "COMBINE_HEALTH_DETAILS").startswith(
        "COMBINE_HEALTH_DETAILS local default"
    )
    assert line_of(done.stdout, "GOOGLE_CLIENT_ID").startswith("GOOGLE_CLIENT_ID - default")
    assert "canary" not in done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout


def test_the_port_in_the_env_file_applies_to_server_and_address(ini):
    (ini.parent / ".env").write_text(f"SECRET_KEY={KEY}\nPORT=8123\n")
    done = run(COMBINE, "settings", "-c", str(ini), DATABASE_URL=URL)
    assert line_of(done.stdout, "PORT").startswith("PORT 8123 .env")
    shown = "PUBLIC_URL http://localhost:8123 default"
    assert line_of(done.stdout, "PUBLIC_URL").startswith(shown)


def test_problems_are_shown_below_the_table(ini):
    environ = {"DATABASE_URL": f'"{URL}"', "LOG_LEVEL": "loud\x1b[2J"}
    done = run(COMBINE, "settings", "-c", str(ini), **environ)
    assert done.returncode == 1
    table, _, problems = done.stdout.partition("To fix before the service can start:")
    assert "LOG_LEVEL" in table
    assert "(unusable)" in table
    for variable in ("DATABASE_URL is still in quotes", "SECRET_KEY is not set", "LOG_LEVEL"):
        assert variable in problems
    assert "canary" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout


def test_a_terminal_gets_a_formatted_table(ini):
    leader, follower = pty.openpty()
    environ = {"DATABASE_URL": URL, "SECRET_KEY": KEY, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [COMBINE, "settings", "-c", str(ini)],
        env={"PATH": os.environ["PATH"], **environ},
        stdout=follower,
        stderr=subprocess.STDOUT,
    ) as process:
        os.close(follower)
        shown = read_all(leader)
        assert process.wait(TIMEOUT_S) == 0, shown
    assert "\u2503" in shown
    assert "combine_core.database_url" in shown
    assert KEY not in shown
    assert "canary" not in shown


def read_all(leader: int) -> str:
    parts = []
    try:
        while part := os.read(leader, 65536):
            parts.append(part)
    except OSError:  # Linux reports this when the other end of a terminal is closed
        pass
    os.close(leader)
    return b"".join(parts).decode()


def test_the_page_in_docs_is_the_output_of_the_command():
    done = run(COMBINE, "settings", "--markdown")
    assert done.returncode == 0
    written = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert done.stdout == written, "run: combine settings --markdown > docs/configuration.md"


def test_the_page_has_every_setting():
    page = configuration_page(installed(DISTRIBUTION))
    everything = installed(DISTRIBUTION)
    declared = [d for cls in everything.classes for d in cls.declared()]
    assert len(declared) > 20
    for setting in declared:
        assert f"| `{setting.variable}` | `{setting.ini_key}` |" in page
        assert setting.help in page
    for guest in everything.modules.values():
        for setting in guest.declared():
            assert f"`{setting.variable}`" in page
    for variable in ("PORT", "LISTEN", "MICROSOFT_TENANTS", "CONTACT_ON_CALL", "DEFAULT_MODEL"):
        assert f"`{variable}`" in page


def test_the_key_for_development_is_not_printed():
    assert "everyone-knows" not in configuration_page(installed(DISTRIBUTION))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no file"),
        ("combine_core.x = 1\n", "no [section] above"),
        ("[app:main]\nuse = egg:pyramid-combine\ncanary\n", "line 3"),
        ("[app:main]\nuse = egg:pyramid-combine\ncombine_core.database_url = p%canary\n", "as %%"),
        (
            "[app:main]\nuse = egg:pyramid-combine\nx = canary\nx = canary\n",
            "cannot be read as an ini file",
        ),
        ("[server:main]\nport = 1\n", "cannot be read as an ini file"),
        (b"[app:main]\nx = \xff\xfe\n", "cannot be read as an ini file"),
    ],
)
def test_an_unreadable_ini_file_is_reported(tmp_path, content, said):
    path = tmp_path / "x.ini"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = CliRunner().invoke(main, ["settings", "-c", str(path)])
    assert done.exit_code == 1
    assert said in done.output
    assert "canary" not in done.output


def test_a_service_with_invalid_settings_does_not_start(ini):
    environ = {
        "DATABASE_URL": "postgresql://combine:canary/7@db:54x2/",
        "SECRET_KEY": "changeme",
        "PORT": "0",
    }
    done = run(PSERVE, str(ini), **environ)
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert "canary" not in output
    lines = [line for line in output.splitlines() if "CRITICAL" in line]
    assert len(lines) == 1
    for text in (
        "EnvironmentError",
        "SECRET_KEY",
        "special characters that are not escaped",
        "has a port",
        "no database",
    ):
        assert text in lines[0]
    assert "ConfigurationEnvironmentError" in output.replace(lines[0], "")
