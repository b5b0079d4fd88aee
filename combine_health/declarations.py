"""The table of settings: every name, what it takes, its default, and what it is for."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from combine_health.server.proxies import parse_proxies
from combine_health.setting_values import (
    count,
    file,
    flag,
    names,
    one_of,
    seconds,
    some,
    token,
    wait,
    wait_or_none,
)

PREFIX = "combine_health."
VARIABLE_PREFIX = "COMBINE_HEALTH_"
CHECK = f"{PREFIX}check."
GROUP = f"{PREFIX}group."
SERVER = "server:main"
DETAILS = ("never", "local", "authorized", "always")
METRICS = ("never", "local", "always")


@dataclass(frozen=True, slots=True)
class Declared:
    """One setting: where it is written, what it takes, and why one would."""

    name: str  # the ini key
    variable: str
    type: str  # how the type is shown in tables
    default: Any
    help: str
    read: Callable[[str], Any]
    section: str = "app:main"  # of the ini file
    also: tuple[str, ...] = ()  # further variables, asked after ``variable``
    secret: bool = False


def in_variable(name: str) -> str:
    """``name`` as it stands in the name of an environment variable."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _own(
    name: str,
    type_: str,
    default: Any,
    read: Callable[[str], Any],
    help_: str,
    also: tuple[str, ...] = (),
    secret: bool = False,
) -> Declared:
    variable = VARIABLE_PREFIX + name.upper()
    return Declared(PREFIX + name, variable, type_, default, help_, read, also=also, secret=secret)


OWN = (
    _own(
        "details",
        "never|local|authorized|always",
        "local",
        one_of(*DETAILS),
        "Who sees more than names and statuses at /health/detailed: nobody; clients on loopback or"
        " a private address; those with the permission health:details; everybody.",
    ),
    _own(
        "token",
        "secret",
        None,
        token,
        "Who sends it, as Authorization: Bearer or X-Health-Token, sees the details and the"
        " metrics, unless that is never.",
        secret=True,
    ),
    _own(
        "behind_proxy",
        "bool",
        False,
        flag,
        "Whether all clients come through a proxy. Then a private address is local only as the"
        " proxy names it in X-Forwarded-For, so the server must trust it (trusted_proxy).",
    ),
    _own(
        "metrics",
        "never|local|always",
        "local",
        one_of(*METRICS),
        "Who may read /metrics: nobody (there is no such page); clients on loopback or a private"
        " address; everybody.",
    ),
    _own("status_page", "bool", True, flag, "Whether there is a page for people at /status."),
    _own(
        "background",
        "bool",
        True,
        flag,
        "Run the checks in the background. false runs them at the request, for tests and tiny"
        " applications.",
    ),
    _own("disabled", "names", (), names, "Checks that are not run."),
    _own("disabled_plugins", "names", (), names, "Plugins that are not loaded."),
    _own(
        "load_entry_points",
        "bool",
        True,
        flag,
        "Load the installed plugins of the entry-point group combine_health.",
    ),
    _own("version", "str", None, str.strip, "What /health/detailed shows as the version."),
    _own(
        "environment",
        "str",
        None,
        str.strip,
        "What /health/detailed shows as the environment.",
        also=("ENVIRONMENT",),
    ),
    _own(
        "maintenance_file",
        "path",
        None,
        file,
        "The file that puts the service into maintenance: all processes that share it obey it."
        " Without it combine-health-maintenance.json in the temporary folder; two applications on"
        " one machine need one each.",
    ),
    _own(
        "saturated_after",
        "seconds",
        60.0,
        wait,
        "Not ready once all worker threads of the server have been busy, with requests waiting, for"
        " so long.",
    ),
    _own(
        "stuck_after",
        "seconds",
        600.0,
        wait,
        "Not alive once requests wait and no worker thread has finished one for so long.",
    ),
)

PER_CHECK: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "timeout": ("seconds", seconds, "Time after which a run counts as failed."),
    "interval": ("seconds", seconds, "Time from one run to the next."),
    "fall": ("int", count, "Failures in a row that make the check failing."),
    "rise": ("int", count, "Passes in a row that make a failing check healthy."),
    "critical": ("bool", flag, "Whether the check decides readiness."),
}


SERVER_OWN = (
    Declared(
        "listen",
        "LISTEN",
        "host[:port] ...",
        "127.0.0.1:8000",
        "Addresses that the server listens on.",
        str.strip,
        SERVER,
    ),
    Declared(
        "port",
        "PORT",
        "int",
        8000,
        "Port that the server listens on, wherever LISTEN names none.",
        str.strip,
        SERVER,
    ),
    Declared(
        "drain_seconds",
        VARIABLE_PREFIX + "DRAIN_SECONDS",
        "seconds",
        5.0,
        "After SIGTERM: serve on for so long, not ready, so that balancers look away.",
        wait_or_none,
        SERVER,
    ),
    Declared(
        "stop_timeout",
        VARIABLE_PREFIX + "STOP_TIMEOUT",
        "seconds",
        30.0,
        "After that: the longest time for requests that are being worked on.",
        wait_or_none,
        SERVER,
    ),
    Declared(
        "queue_limit",
        VARIABLE_PREFIX + "QUEUE_LIMIT",
        "int",
        None,
        "Requests that may wait for a worker thread; 100 a thread if not set. Those beyond get 503.",
        some,
        SERVER,
    ),
    Declared(
        "trusted_proxy",
        VARIABLE_PREFIX + "TRUSTED_PROXY",
        "addresses, networks, names",
        (),
        "The balancers whose X-Forwarded-For, -Host and -Proto are believed; from anybody else they"
        " are dropped. * believes everybody.",
        parse_proxies,
        SERVER,
    ),
)


def per_check(name: str, setting: str) -> Declared:
    """The setting ``combine_health.check.<name>.<setting>``."""
    type_, read, help_ = PER_CHECK[setting]
    variable = f"{VARIABLE_PREFIX}CHECK_{in_variable(name)}_{setting.upper()}"
    key = f"{CHECK}{name}.{setting}"
    return Declared(key, variable, type_, None, help_, read)


def group(name: str) -> Declared:
    """The setting ``combine_health.group.<name>``."""
    variable = f"{VARIABLE_PREFIX}GROUP_{in_variable(name)}"
    help_ = (
        "Checks that decide /health/ready/NAME; instead of those that name the group themselves."
    )
    return Declared(f"{GROUP}{name}", variable, "names", None, help_, names)
