"""Every setting of the add-on: its name, its reader, its default, and what it is for."""

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
    count,
    file,
    flag,
    names,
    one_of,
    option,
    options_of,
    path_prefix,
    positive,
    seconds,
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
    """One setting: where it is written, what it takes, and why one would set it."""

    name: str  # the ini key
    variable: str
    type: str  # how the type is shown in tables
    default: Any
    help: str
    read: Callable[[str], Any]
    section: str = "app:main"  # of the ini file
    also: tuple[str, ...] = ()  # further variables, asked after ``variable``
    secret: bool = False


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """The settings of one application, typed."""

    route_prefix: str = option(
        "path",
        path_prefix,
        "The path below which the endpoints are, such as internal for /internal/health.",
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
        "Principals or user ids, one of which a client needs where details is authorized. Without it"
        " the permission is asked for, in the root context of the application.",
        (),
    )
    token: Secret | None = option(  # noqa: RUF009 - makes a field
        "secret",
        token,
        "A client that sends it, as Authorization: Bearer or X-Health-Token, sees the details and"
        " the metrics, unless that is never.",
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
        "Where the page at /status leads back to, such as / for the front page of the application.",
        None,
    )
    background: bool = option(
        "bool",
        flag,
        "Run the checks in the background. false runs them at the request, for tests and tiny"
        " applications.",
        True,
    )
    disabled: tuple[str, ...] = option("names", names, "Checks that are not run.", ())
    disabled_plugins: tuple[str, ...] = option("names", names, "Plugins that are not loaded.", ())
    load_entry_points: bool = option(
        "bool", flag, "Load the installed plugins of the entry-point group combine_health.", True
    )
    version: str | None = option(
        "str", str.strip, "What /health/detailed shows as the version.", None
    )
    environment: str | None = option(
        "str", str.strip, "What /health/detailed shows as the environment.", None
    )
    maintenance_file: Path | None = option(  # noqa: RUF009 - makes a field
        "path",
        file,
        "The file that puts the service into maintenance: all processes that share it obey it."
        " Without it combine-health-maintenance.json in the temporary folder; two applications on"
        " one machine need one each.",
        None,
    )
    saturated_after: float = option(
        "seconds",
        wait,
        "Not ready after all worker threads have been busy, with requests waiting, for this time.",
        60.0,
    )
    stuck_after: float = option(
        "seconds",
        wait,
        "Not alive after requests have waited for this time without any being finished.",
        600.0,
    )
    overrides: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    """The values of ``combine_health.check.NAME.timeout`` etc., by ``(NAME, "timeout")``."""
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
            if check == in_variable(name)
        }


@dataclass(frozen=True, slots=True)
class CheckOverrides:
    """What an operator may change in any check: ``combine_health.check.NAME.timeout``, ..."""

    timeout: float = option("seconds", seconds, "Time after which a run counts as failed.")
    interval: float = option("seconds", seconds, "Time from one run to the next.")
    fall: int = option("int", count, "Failures in a row that make the check failing.")
    rise: int = option("int", count, "Passes in a row that make a failing check healthy.")
    critical: bool = option("bool", flag, "Whether the check decides readiness.")


def in_variable(name: str) -> str:
    """Return ``name`` in the form that environment variables use."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


OWN = tuple(
    DeclaredSetting(
        PREFIX + one.name,
        VARIABLE_PREFIX + one.name.upper(),
        one.type,
        one.default,
        one.help,
        one.read,
        also=("ENVIRONMENT",) if one.name == "environment" else (),
        secret=one.secret,
    )
    for one in options_of(HealthSettings)
)
PER_CHECK = {one.name: one for one in options_of(CheckOverrides)}

SERVER_OWN = (
    DeclaredSetting(
        "listen",
        "LISTEN",
        "host[:port] ...",
        "127.0.0.1:8000",
        "Addresses that the server listens on.",
        str.strip,
        SERVER,
    ),
    DeclaredSetting(
        "port",
        "PORT",
        "int",
        8000,
        "Port that the server listens on if LISTEN names none.",
        str.strip,
        SERVER,
    ),
    DeclaredSetting(
        "drain_seconds",
        VARIABLE_PREFIX + "DRAIN_SECONDS",
        "seconds",
        5.0,
        "After SIGTERM, the server stays up but not ready for this time, so that balancers notice.",
        wait_or_none,
        SERVER,
    ),
    DeclaredSetting(
        "stop_timeout",
        VARIABLE_PREFIX + "STOP_TIMEOUT",
        "seconds",
        30.0,
        "After that, the longest time that requests in progress may take.",
        wait_or_none,
        SERVER,
    ),
    DeclaredSetting(
        "queue_limit",
        VARIABLE_PREFIX + "QUEUE_LIMIT",
        "int",
        None,
        "Requests that may wait for a worker thread (default: 100 per thread); further ones get 503.",
        positive,
        SERVER,
    ),
    DeclaredSetting(
        "bodies_limit",
        VARIABLE_PREFIX + "BODIES_LIMIT",
        "bytes",
        None,
        "The bytes of request bodies that the server may hold at once (default: a quarter of the memory of"
        " the container or machine); a request beyond them gets 503.",
        size,
        SERVER,
    ),
    DeclaredSetting(
        "trusted_proxy",
        VARIABLE_PREFIX + "TRUSTED_PROXY",
        "addresses, networks, names",
        (),
        "The proxies whose X-Forwarded-For, -Host and -Proto are trusted; from other clients these"
        " headers are dropped. * trusts every client.",
        parse_proxies,
        SERVER,
    ),
)


def of_check(name: str, one: Option) -> DeclaredSetting:
    variable = f"{VARIABLE_PREFIX}CHECK_{in_variable(name)}_{one.name.upper()}"
    key = f"{CHECK}{name}.{one.name}"
    return DeclaredSetting(key, variable, one.type, None, one.help, one.read, secret=one.secret)


def of_group(name: str) -> DeclaredSetting:
    variable = f"{VARIABLE_PREFIX}GROUP_{in_variable(name)}"
    help_ = (
        "Checks that decide /health/ready/NAME; instead of those that name the group themselves."
    )
    return DeclaredSetting(f"{GROUP}{name}", variable, "names", None, help_, names)
