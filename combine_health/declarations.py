"""Declares every setting of the add-on: its name, parser, default and help."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from combine_health.engine.maintenance import default_file
from combine_health.options import (
    Option,
    Secret,
    address,
    file,
    flag,
    names,
    one_of,
    option,
    options_of,
    path_prefix,
    positive,
    size,
    token,
    wait,
    wait_or_none,
)
from combine_health.server.proxies import parse_proxies

PREFIX = "combine_health."
VARIABLE_PREFIX = "COMBINE_HEALTH_"
CHECK = f"{PREFIX}check."
GROUP = f"{PREFIX}group."
SERVER = "server:main"


@dataclass(frozen=True, slots=True)
class DeclaredSetting:
    """A setting: its names in the ini file and the environment, its parser and its help."""

    name: str  # the ini key
    variable: str
    type: str  # how the type is shown in tables
    default: Any
    help: str
    read: Callable[[str], Any]
    section: str = "app:main"  # of the ini file
    also: tuple[str, ...] = ()  # further variables, read if ``variable`` is not set
    secret: bool = False


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """The settings of one application, typed."""

    route_prefix: str = option(
        "path",
        path_prefix,
        "The path prefix of the endpoints, such as internal for /internal/health.",
        "",
    )
    details: str = option(
        "never|local|authorized|always",
        one_of("never", "local", "authorized", "always"),
        "Who sees more than names and statuses at /health/detailed: no client; clients on loopback or"
        " a private address; those with the permission health:details; all clients.",
        "local",
    )
    details_principals: tuple[str, ...] = option(
        "names",
        names,
        "Principals or user ids, one of which a client needs if details is authorized. Without it, the"
        " client needs the permission health:details in the root context of the application.",
        (),
    )
    token: Secret | None = option(  # noqa: RUF009 - makes a field
        "secret",
        token,
        "A client that sends this token, as Authorization: Bearer or X-Health-Token, sees the details"
        " and the metrics, unless their setting is never.",
        None,
        secret=True,
    )
    behind_proxy: bool = option(
        "bool",
        flag,
        "Whether all clients come through a proxy. Then a client counts as local only by the address"
        " in X-Forwarded-For, so the server must trust the proxy (trusted_proxy).",
        False,
    )
    metrics: str = option(
        "never|local|always",
        one_of("never", "local", "always"),
        "Who may read /metrics: no client (the page does not exist); clients on loopback or a private"
        " address; all clients.",
        "local",
    )
    status_page: bool = option("bool", flag, "Whether there is a page for people at /status.", True)
    home: str | None = option(
        "path or URL",
        address,
        "The target of the link back on the page /status, such as / for the application's home page.",
        None,
    )
    background: bool = option(
        "bool",
        flag,
        "Run the checks in the background. false runs them during each request, for tests and tiny"
        " applications.",
        True,
    )
    disabled: tuple[str, ...] = option("names", names, "Checks that are not run.", ())
    disabled_plugins: tuple[str, ...] = option("names", names, "Plugins that are not loaded.", ())
    load_entry_points: bool = option(
        "bool", flag, "Load the installed plugins of the entry-point group combine_health.", True
    )
    version: str | None = option("str", str.strip, "The version that /health/detailed shows.", None)
    environment: str | None = option(
        "str", str.strip, "The environment that /health/detailed shows.", None
    )
    maintenance_file: Path | None = option(  # noqa: RUF009 - makes a field
        "path",
        file,
        "The file that puts the service into maintenance, for all processes that can read it. The"
        " default is combine-health-maintenance.json in the temporary folder; two applications on one"
        " machine need a file each.",
        None,
    )
    saturated_after: float = option(
        "seconds",
        wait,
        "The service is not ready after all worker threads have been busy, with requests waiting, for"
        " this time.",
        60.0,
    )
    stuck_after: float = option(
        "seconds",
        wait,
        "The process is not alive after requests have waited for this time and none has finished.",
        600.0,
    )
    overrides: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    """The values of ``combine_health.check.NAME.timeout`` and others, by ``(NAME, "timeout")``."""
    built_in: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The values of ``combine_health.check.NAME.use`` and its options, by ``NAME``."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The values of ``combine_health.group.NAME``, by ``NAME``."""

    @property
    def maintenance_path(self) -> Path:
        return self.maintenance_file or default_file()

    def overrides_of(self, name: str) -> dict[str, Any]:
        """Return the overrides for the check ``name``: timeout, interval, fall, rise, critical."""
        return {
            setting: value
            for (check, setting), value in self.overrides.items()
            if check == to_variable(name)
        }


@dataclass(frozen=True, slots=True)
class CheckOverrides:
    """The settings of a check that an operator may override: ``combine_health.check.NAME.timeout``, ..."""

    timeout: float = option("seconds", wait, "Time after which a run counts as failed.")
    interval: float = option("seconds", wait, "Time from the start of one run to the next.")
    fall: int = option("int", positive, "Failures in a row that make the check failing.")
    rise: int = option("int", positive, "Passes in a row that make a failing check healthy.")
    critical: bool = option("bool", flag, "Whether the check decides readiness.")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The settings that the server has in the section ``[server:main]`` besides those of waitress."""

    listen: str = option(
        "host[:port] ...", str.strip, "Addresses that the server listens on.", "127.0.0.1:8000"
    )
    port: int = option(
        "int", str.strip, "Port that the server listens on if LISTEN contains no port.", 8000
    )
    drain_seconds: float = option(
        "seconds",
        wait_or_none,
        "After SIGTERM, the server keeps serving for this time but reports that it is not ready, so that"
        " load balancers notice.",
        5.0,
    )
    stop_timeout: float = option(
        "seconds",
        wait_or_none,
        "The time that requests in progress may take after drain_seconds.",
        30.0,
    )
    queue_limit: int | None = option(
        "int",
        positive,
        "Requests that may wait for a worker thread (default: 100 per thread); the server rejects further"
        " requests with 503.",
        None,
    )
    bodies_limit: int | None = option(
        "bytes",
        size,
        "The bytes of request bodies that the server may hold at once (default: a quarter of the memory of"
        " the container or machine); the server rejects a request that exceeds them with 503.",
        None,
    )
    trusted_proxy: tuple[str, ...] = option(
        "addresses, networks, names",
        parse_proxies,
        "The proxies whose X-Forwarded-For, -Host and -Proto are trusted; from other clients these"
        " headers are dropped. * trusts every client.",
        (),
    )


def to_variable(name: str) -> str:
    """Return ``name`` in the form that environment variables use."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


OWN = tuple(
    DeclaredSetting(
        PREFIX + option.name,
        VARIABLE_PREFIX + option.name.upper(),
        option.type,
        option.default,
        option.help,
        option.read,
        also=("ENVIRONMENT",) if option.name == "environment" else (),
        secret=option.secret,
    )
    for option in options_of(HealthSettings)
)
PER_CHECK = {option.name: option for option in options_of(CheckOverrides)}

SERVER_OWN = tuple(
    DeclaredSetting(
        option.name,
        ("" if option.name in {"listen", "port"} else VARIABLE_PREFIX) + option.name.upper(),
        option.type,
        option.default,
        option.help,
        option.read,
        SERVER,
    )
    for option in options_of(ServerSettings)
)


def check_setting(name: str, option: Option) -> DeclaredSetting:
    variable = f"{VARIABLE_PREFIX}CHECK_{to_variable(name)}_{option.name.upper()}"
    key = f"{CHECK}{name}.{option.name}"
    return DeclaredSetting(
        key, variable, option.type, None, option.help, option.read, secret=option.secret
    )


def group_setting(name: str) -> DeclaredSetting:
    variable = f"{VARIABLE_PREFIX}GROUP_{to_variable(name)}"
    help_ = "Checks that decide /health/ready/NAME; they replace the checks that declare the group."
    return DeclaredSetting(f"{GROUP}{name}", variable, "names", None, help_, names)
