"""Tests the built-in checks, declared by directive, in the ini file and in the environment."""

import pytest
from pyramid.exceptions import ConfigurationError

from combine_health import HealthEnvironmentError, HealthResult
from combine_health.checks import BUILT_IN, DiskSpace, HttpUrl
from combine_health.checks.network import deadline_of_run
from combine_health.engine.registry import health_of
from combine_health.options import options_of, percent, size
from combine_health.settings import declared, resolve
from combine_health.testing import HealthApp, closed_port, leaks, silent_server

CANARY = "c4n4ry-pw"


def in_ini(**settings):
    return {f"combine_health.check.{key}": value for key, value in settings.items()}


def disk(**options):
    return {"combine_health.check.uploads.use": "disk"} | {
        f"combine_health.check.uploads.{key}": value for key, value in options.items()
    }


def declared_check(app, name):
    return health_of(app.wsgi.registry).checks[name]


def test_a_check_is_declared_in_the_ini_file(tmp_path):
    app = HealthApp(
        settings=disk(
            path=str(tmp_path),
            min_free_bytes="4096G",
            min_free_percent="0",
            interval="7",
            critical="true",
            remedy="Ask Anna.",
            runbook="https://runbook.example/disk",
        )
    )
    seen = app.run("uploads")
    assert (seen.status, seen.cause, seen.data["path"]) == ("failing", "disk_full", str(tmp_path))
    assert "df -h" in seen.remedy
    check = declared_check(app, "uploads")
    assert (check.interval, check.critical, check.remedy) == (7, True, "Ask Anna.")
    assert check.runbook == "https://runbook.example/disk"
    assert app.get("/health/ready")[0] == 503


def test_a_check_is_not_critical_by_default():
    app = HealthApp(settings=disk(path="/not/there"))
    assert app.run("uploads").cause == "path_missing"
    assert app.get("/health/ready") == (200, {"status": "ready"})
    assert declared_check(app, "uploads").interval == DiskSpace.defaults["interval"]


def test_a_check_is_declared_in_the_environment(monkeypatch):
    monkeypatch.setenv("COMBINE_HEALTH_CHECK_UPLOADS_PATH", "/not/there")
    assert HealthApp(settings=disk(path="/")).run("uploads").cause == "path_missing"
    monkeypatch.setenv("COMBINE_HEALTH_CHECK_MEMORY_USE", "memory")
    monkeypatch.setenv("COMBINE_HEALTH_CHECK_MEMORY_KIND", "info")
    app = HealthApp(settings=disk())
    assert declared_check(app, "memory").kind == "info"
    assert app.run("memory").data["limit_bytes"] > 0


def test_a_check_is_declared_by_directive():
    with closed_port() as (host, port):

        def setup(config):
            config.use_health_check("cache", "tcp", host=host, port=port, words=("up", "down"))
            config.add_health_check("scratch", DiskSpace("/not/there"), critical=False)

        app = HealthApp(setup=setup)
        assert app.run("cache").cause == "refused"
    assert app.get("/health/ready") == (200, {"status": "ready", "cache": "down"})
    assert "mount its volume" in app.run("scratch").remedy


def test_the_application_may_replace_remedies():
    def setup(config):
        config.use_health_check(
            "scratch", "disk", path="/not/there", remedies={"path_missing": "Ask Anna."}
        )

    assert HealthApp(setup=setup).run("scratch").remedy == "Ask Anna."


@pytest.mark.parametrize("declared", ["in code", "in the ini"])
def test_the_timeout_of_a_check_is_shorter_than_the_deadline(declared):
    with silent_server() as (host, port):
        url = f"http://{host}:{port}/"
        settings = {"combine_health.check.shop.timeout": "2"}
        if declared == "in the ini":
            settings |= in_ini(**{"shop.use": "http", "shop.url": url})
            app = HealthApp(settings=settings)
        else:
            app = HealthApp(
                settings=settings,
                setup=lambda config: config.add_health_check("shop", HttpUrl(url), timeout=0.01),
            )
        seen = app.run("shop")
    assert (seen.cause, seen.detail) == ("timeout", f"{url}: timed out")
    assert "firewall" in seen.remedy


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 36.0), (7.0, 7.0), (90.0, 36.0)])
def test_the_timeout_of_a_check_follows_the_setting(timeout, seconds):
    def check(_registry):
        return HealthResult.healthy(left=deadline_of_run(timeout).left)

    app = HealthApp(
        settings={"combine_health.check.shop.timeout": "40"},
        setup=lambda config: config.add_health_check("shop", check),
    )
    assert app.run("shop").data["left"] == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"x.use": "dsk"}, ["combine_health.check.x.use", "disk, memory"]),
        ({"x.use": "disk", "x.pth": "/"}, ["x.pth", "did you mean combine_health.check.x.path"]),
        ({"x.use": "disk", "x.min_free_bytes": "lots"}, ["x.min_free_bytes", "500M"]),
        ({"x.use": "disk", "x.warn_free_percent": "200"}, ["x.warn_free_percent", "0 to 100"]),
        ({"x.use": "http"}, ["'x'", "lacks: url"]),
        ({"x.use": "tcp", "x.port": "http"}, ["x.port", "65535"]),
        ({"x.use": "tls"}, ["'x'", "host or file"]),
        ({"x.use": "disk", "x.kind": "redy"}, ["x.kind", "ready"]),
        ({"x.path": "/"}, ["combine_health.check.x.path is not a setting"]),
        ({"x.use": "http", "y.use": "tcp"}, ["'x'", "'y'"]),
        ({"status.use": "disk"}, ["status"]),
    ],
)
def test_an_invalid_option_is_an_error_at_startup(settings, named):
    with pytest.raises(HealthEnvironmentError) as caught:
        HealthApp(settings=in_ini(**settings))
    for words in named:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("use", "options", "named"),
    [
        ("dsk", {}, "not a built-in check"),
        ("disk", {"pth": "/"}, "did you mean path"),
        ("http", {}, "lacks: url"),
        ("tcp", {"host": "h", "port": 0}, "port"),
        ("tcp", {"host": "h", "port": None}, "port|int"),
        ("disk", {"interval": -1}, "interval"),
    ],
)
def test_an_invalid_directive_is_an_error(use, options, named):
    with pytest.raises(ConfigurationError, match=named):
        HealthApp(setup=lambda config: config.use_health_check("x", use, **options))


def test_the_password_of_a_url_is_never_shown():
    url = f"http://me:{CANARY}@127.0.0.1:1/?token={CANARY}"
    app = HealthApp(
        settings=in_ini(**{"shop.use": "http", "shop.url": url})
        | {"combine_health.details": "always"},
        setup=lambda config: config.add_health_check(
            "talkative", lambda registry: (_ for _ in ()).throw(ValueError(CANARY)), critical=False
        ),
    )
    assert leaks(app.run("shop"), [CANARY]) == []
    assert leaks(app.run("talkative"), [CANARY]) == []
    rows = resolve(in_ini(**{"shop.use": "http", "shop.url": url}), {})
    (row,) = (row for row in rows if row.declared.name.endswith(".url"))
    assert row.declared.secret
    with pytest.raises(HealthEnvironmentError) as caught:
        HealthApp(settings=in_ini(**{"shop.use": "http", "shop.url": f"file://{CANARY}"}))
    assert CANARY not in str(caught.value)


def test_every_option_is_declared():
    names = {one.name for one in declared()}
    for check in BUILT_IN.values():
        for option in options_of(check):
            assert f"combine_health.check.NAME.{option.name}" in names


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("512", 512), ("1.5k", 1536), ("2 GiB", 2 * 2**30), ("3MB", 3 * 2**20)],
)
def test_sizes_are_parsed(text, number):
    assert size(text) == number


@pytest.mark.parametrize("text", ["", "k", "-1", "inf", "nan", "1X", "1e400"])
def test_invalid_sizes_are_rejected(text):
    with pytest.raises(ValueError, match="bytes"):
        size(text)


def test_percentages_are_parsed():
    assert percent(" 5 % ") == 5
    for text in ("", "-1", "101", "nan"):
        with pytest.raises(ValueError, match="percentage"):
            percent(text)
