"""Tests every snippet on the pages for authors and operators."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from combine_health.cli import main as cli_main
from combine_health.testing import HealthApp
from tests.functional.health.served import serving

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60


@dataclass(frozen=True)
class Snippet:
    page: str
    line: int
    note: str  # the comment before the fence
    language: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}-{self.language}"


FENCE = re.compile(
    r"(?:<!-- (?P<note>[^\n]*?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL
)


def snippets(page):
    text = (ROOT / "docs" / page).read_text()
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Snippet(page, line, match["note"] or "", match["language"], match["text"])


PLUGINS = list(snippets("health-plugins.md"))
KUBERNETES = list(snippets("kubernetes.md"))


def of(page, language, note=""):
    found = [one for one in page if one.language == language and one.note.startswith(note)]
    assert found
    return found


def test_no_snippet_is_left_out():
    known = {
        "health-plugins.md": {"python", "ini", "toml", "bash"},
        "kubernetes.md": {"yaml", "bash", "dockerfile"},
    }
    for page in (PLUGINS, KUBERNETES):
        for one in page:
            assert one.language in known[one.page], one
            assert one.note or one.page == "health-plugins.md", one
    for page in known:
        text = (ROOT / "docs" / page).read_text()
        assert text.count("```") == 2 * len(list(snippets(page)))


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files of the page, in a folder on the import path."""
    for one in of(PLUGINS, "python", "file: "):
        file = tmp_path / one.note.removeprefix("file: ")
        file.parent.mkdir(exist_ok=True)
        file.write_text(one.text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [
        n for n in sys.modules if n.split(".")[0] in {"myapp", "myplugin", "settled", "settled_app"}
    ]:
        del sys.modules[name]


class Spool:
    def __init__(self, waiting):
        self._waiting = waiting

    def waiting(self):
        return self._waiting


class Mirror:
    """Works only in the event loop of its first use, like the pools of asyncio libraries."""

    loop = None

    async def ping(self):
        self.loop = self.loop or asyncio.get_running_loop()
        assert self.loop is asyncio.get_running_loop(), "attached to a different loop"
        raise ConnectionRefusedError


@pytest.mark.parametrize(("waiting", "status"), [(3, "healthy"), (2000, "degraded")])
def test_the_application_on_the_page_works(files, waiting, status):
    import myapp

    from combine_health import read_check
    from combine_health.engine.check import CheckKind
    from combine_health.engine.registry import health_of

    wsgi = myapp.main(
        {},
        **{
            "combine_health.background": "false",
            "combine_health.load_entry_points": "false",
            "myapp.spool": Spool(waiting),
            "myapp.mirror": Mirror(),
        },
    )
    for _ in range(2):
        health_of(wsgi.registry).runner.refresh(tuple(CheckKind))
    spool = read_check(wsgi.registry, "spool")
    assert (spool.status, spool.data) == (status, {"waiting": waiting})
    assert (spool.remedy is None) == (status == "healthy")
    mirror = read_check(wsgi.registry, "mirror")
    assert mirror.remedy == "Start the mirror: systemctl start mirror"
    assert mirror.detail.startswith("ConnectionRefusedError")


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("http://app.example", 1, "failing: sign_in: no_https. Set myplugin.address to the https"),
        ("https://app.example", 0, "redirect_uri: https://app.example/sign-in/back"),
    ],
)
def test_the_info_check_on_the_page_works(files, capsys, address, status, said):
    (files / "settled_app.py").write_text(
        textwrap.dedent(
            """
            from pyramid.config import Configurator

            def main(global_config, **settings):
                with Configurator(settings=settings) as config:
                    return config.make_wsgi_app()
            """
        )
    )
    (files / "app.ini").write_text(
        "[app:main]\npaste.app_factory = settled_app:main\n"
        f"pyramid.includes = settled\nmyplugin.address = {address}\n"
        "combine_health.load_entry_points = false\n"
    )
    assert cli_main(["doctor", "-c", str(files / "app.ini")]) == status
    assert said in capsys.readouterr().out


def test_the_plugin_on_the_page_works(files):
    import myplugin

    wanted = {
        ("ran", "answer", "healthy"),
        ("changed", "answer", "starting", "healthy", None),
    }
    heard = threading.Event()

    class Listening(list):
        def append(self, entry):
            super().append(entry)
            if wanted <= set(self):
                heard.set()

    myplugin.seen = Listening()
    app = HealthApp("myplugin", settings={"myplugin.answer": "42"})
    assert app.run("answer").status == "healthy"
    assert heard.wait(60), myplugin.seen


@pytest.mark.parametrize("one", of(PLUGINS, "ini"), ids=str)
def test_settings_snippets_work(files, one):
    pairs = (line.split(" = ", 1) for line in one.text.splitlines() if line)
    settings = dict(pairs) | {"myplugin.answer": "42"}

    def setup(config):
        config.add_health_check("spool", lambda registry: True)

    app = HealthApp("myplugin", settings=settings, setup=setup)
    status, body = app.get("/health/detailed")
    assert status == 200
    if "combine_health.check.shop.use" in settings:
        assert body["checks"]["uploads"]["data"]["path"] == "/tmp"
        assert body["checks"]["memory"]["data"]["limit_bytes"] > 0
        assert body["checks"]["shop"]["cause"] == "refused"
        assert app.get("/health/ready")[0] == 503
    elif settings.get("combine_health.details") == "authorized":
        assert set(body) == {"status", "checks"}  # this client is not
    else:
        assert body["checks"]["answer"]["critical"] is False
        assert "spool" not in body["checks"]


@pytest.mark.parametrize("one", [s for s in of(PLUGINS, "python") if not s.note], ids=str)
def test_code_snippets_work(one):
    space = {}
    exec(compile(one.text, str(one), "exec"), space)
    from combine_health.engine.registry import health_of

    assert set(health_of(space["config"].registry).checks) == {"uploads", "front", "cache"}


@pytest.mark.parametrize("one", of(PLUGINS, "toml"), ids=str)
def test_packaging_snippet_matches_the_example(one):
    """Check that the page shows the same configuration as the example."""
    file = ROOT / one.note.removeprefix("toml: ")
    if not file.exists():
        pytest.skip("the examples are not here")
    shown, real = tomllib.loads(one.text), tomllib.loads(file.read_text())
    assert shown["project"]["entry-points"] == real["project"]["entry-points"]
    for table, values in shown.items():
        for key, value in values.items():
            assert real[table][key] == value


def run(*words, cwd, **environment):
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{cwd}{os.pathsep}{ROOT}",
            "PYTHONWARNINGS": "ignore",
            "COMBINE_HEALTH_MAINTENANCE_FILE": str(cwd / "maintenance.json"),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


@pytest.mark.slow
def test_the_tests_of_the_page_pass(files):
    (files / "pytest.ini").write_text("[pytest]\n")
    done = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def commands(text):
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            yield shlex.split(line)


def command(words):
    """Return the words of a command for this test. ``combine`` mounts the commands of the module."""
    if words[0] == "combine":
        words = ["python", "-m", "combine_health", *words[1:]]
    return words


@pytest.mark.parametrize("one", of(PLUGINS, "bash"), ids=str)
def test_commands_work(one, tmp_path):
    for words in commands(one.text):
        done = run(*command(words), cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "disk" in done.stdout


# Kubernetes.


def probe(words, healthy, cwd):
    def setup(config):
        config.add_health_check("database", lambda registry: healthy, remedy="Start it.")

    with serving(HealthApp(setup=setup).wsgi) as url:
        port = url.rpartition(":")[2]
        return run(*(w.replace(":8000/", f":{port}/") for w in command(words)), cwd=cwd)


def check_probes(words, cwd):
    assert probe(words, True, cwd).returncode == 0
    down = probe(words, False, cwd)
    assert down.returncode == 1
    assert down.stdout.splitlines()[0].endswith("Start it.")
    assert len(down.stdout.encode()) <= 4096


def probes(tree):
    """Return every probe in the document by its name."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(key, str) and key.endswith("Probe"):
            yield key, value
        elif isinstance(value, dict | list):
            yield from probes(value)


def test_http_probes_use_existing_endpoints():
    yaml = pytest.importorskip("yaml")
    asked = {}
    ready, down = (
        HealthApp(setup=lambda c, v=v: c.add_health_check("database", lambda registry: v))
        for v in (True, False)
    )
    for one in of(KUBERNETES, "yaml", "probes"):
        for name, said in probes(yaml.safe_load(one.text)):
            assert said["timeoutSeconds"] < said["periodSeconds"] or name == "startupProbe"
            if "httpGet" in said:
                asked[name] = path = said["httpGet"]["path"]
                assert ready.get(path)[0] == 200
    assert {name: down.get(path)[0] for name, path in asked.items()} == {
        "livenessProbe": 200,
        "readinessProbe": 503,
        "startupProbe": 200,
    }


def test_the_grace_period_is_longer_than_the_drain():
    yaml = pytest.importorskip("yaml")
    from combine_health.settings import declared

    defaults = {one.name: one.default for one in declared()}
    deployment = yaml.safe_load(of(KUBERNETES, "yaml", "probes")[0].text)
    grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= defaults["drain_seconds"] + defaults["stop_timeout"] + 5


def test_exec_probes_work(tmp_path):
    yaml = pytest.importorskip("yaml")
    found = [
        said["exec"]["command"]
        for one in of(KUBERNETES, "yaml", "probes")
        for _, said in probes(yaml.safe_load(one.text))
        if "exec" in said
    ]
    assert len(found) == 1
    check_probes(found[0], tmp_path)


def test_the_docker_healthcheck_works(tmp_path):
    (one,) = of(KUBERNETES, "dockerfile")
    check_probes(json.loads(one.text.partition("CMD ")[2]), tmp_path)


@pytest.mark.parametrize("one", of(KUBERNETES, "bash", "runs"), ids=str)
def test_commands_for_operators_work(one, tmp_path):
    for words in commands(one.text):
        if "probe" in words:
            check_probes(words, tmp_path)
        else:
            done = run(*command(words), cwd=tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "maintenance" in done.stdout


def test_doctor_works_as_an_init_container(tmp_path):
    yaml = pytest.importorskip("yaml")
    (one,) = of(KUBERNETES, "yaml", "doctor")
    (container,) = yaml.safe_load(one.text)["initContainers"]
    (tmp_path / "initapp.py").write_text(
        textwrap.dedent(
            """
            from combine_health.testing import HealthApp

            def main(global_config, up):
                def setup(config):
                    config.add_health_check("database", lambda registry: up == "yes")
                return HealthApp(setup=setup).wsgi
            """
        )
    )
    for up, status in (("yes", 0), ("no", 1)):
        (tmp_path / "production.ini").write_text(
            f"[app:main]\npaste.app_factory = initapp:main\nup = {up}\n"
        )
        done = run(*command(container["command"]), cwd=tmp_path)
        assert done.returncode == status, done.stdout + done.stderr
