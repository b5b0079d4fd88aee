"""Find, judge and freeze the settings of all add-ons at once."""

import configparser
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from combine_core.settings.core import CoreSettings
from combine_core.settings.declare import AddonSettings
from combine_core.settings.envfile import NAME as ENV_FILE_NAME
from combine_core.settings.envfile import EnvFile, read_env_file
from combine_core.settings.environment import Place, probable_environment
from combine_core.settings.guests import host
from combine_core.settings.installed import Installed, included, installed, names_of
from combine_core.settings.judge import judge
from combine_core.settings.loaded import LoadedSettings
from combine_core.settings.problems import ConfigurationEnvironmentError, Problem
from combine_core.settings.sources import Sources
from combine_core.settings.unknown import unknown_keys, unknown_variables, unprefixed_keys
from combine_core.settings.urls import is_port

log = logging.getLogger(__name__)

SERVER = "server:main"
DEFAULT_PORT = 8000


@dataclass(frozen=True)
class Outcome:
    """What loading came to, before anyone is told.

    :ivar loaded: the settings; with problems, unusable values are defaults in it
    :ivar faults: what add-ons go without, and say themselves when they are included
    """

    loaded: LoadedSettings
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    faults: tuple[Problem, ...] = ()


def load_all(
    ini: Mapping[str, Any],
    ini_path: Path | None,
    environ: Mapping[str, str] = os.environ,
    classes: Iterable[type[AddonSettings]] | None = None,
) -> LoadedSettings:
    """Load the settings of all add-ons, log what is odd, and refuse what is wrong.

    :param ini: the keys of ``[app:main]``
    :param ini_path: the ini file; its folder may hold a ``.env``
    :param classes: the settings to load; default: those of the add-ons in ``pyramid.includes``
    :raises ConfigurationEnvironmentError: with every problem, after one log line that names them
    """
    used = None if classes is None else Installed(tuple(classes), {})
    outcome = judge_all(ini, ini_path, environ, used)
    for warning in outcome.warnings:
        log.warning("%s", warning)
    if outcome.problems:
        error = ConfigurationEnvironmentError(outcome.problems)
        log.critical("%s", error.one_line)
        raise error
    return outcome.loaded


def judge_all(
    ini: Mapping[str, Any],
    ini_path: Path | None,
    environ: Mapping[str, str] = os.environ,
    used: Installed | None = None,
) -> Outcome:
    """The same without a log line or an exception.

    :param used: what declares settings; default: the add-ons in ``pyramid.includes``
    """
    here = ini_path.resolve().parent if ini_path else Path.cwd()
    env_file = read_env_file(here / ENV_FILE_NAME) if ini_path else EnvFile()
    server = _server_section(ini_path)
    sources = Sources(environ, env_file.values, ini)
    place = _place(sources, here, server)
    everything = installed()
    used = everything.only(included(ini)) if used is None else used
    declaring = used.classes
    used, everything = used.with_names(sources), everything.with_names(sources)
    names = names_of(used, everything)
    present = {*environ, *env_file.values}

    judged = [
        judge(cls, sources, place, lambda name: names.resembling(name, present))
        for cls in used.classes
    ]
    hosted = [host(addon, guest, sources, server) for addon, guest in used.guests.items()]
    loaded = LoadedSettings(
        {cls: part.instance for cls, part in zip(declaring, judged, strict=True)},
        [*(row for one in judged for row in one.rows), *(row for g in hosted for row in g.rows)],
        {key: value for guest in hosted for key, value in guest.overlay.items()},
    )
    problems = [
        *env_file.problems,
        *used.problems,
        *(problem for one in judged for problem in one.problems),
        *(problem for guest in hosted for problem in guest.problems),
        *unknown_keys(ini, names),
    ]
    warnings = [
        *env_file.warnings,
        *(warning for one in judged for warning in one.warnings),
        *unprefixed_keys(ini, names),
        *unknown_variables(environ, env_file.values, names),
    ]
    faults = [fault for one in judged for fault in one.faults]
    return Outcome(loaded, tuple(problems), tuple(warnings), tuple(faults))


def _place(sources: Sources, here: Path, server: Mapping[str, str]) -> Place:
    declared = {d.field: d for d in CoreSettings.declared()}
    found = sources.find(declared["environment"])
    port = _port(sources.environ, server)
    return Place(
        environment=probable_environment(str(found.value) if found else None),
        here=here,
        port=int(port) if is_port(port) else DEFAULT_PORT,
    )


def _port(environ: Mapping[str, str], server: Mapping[str, str]) -> str:
    """The port as the server will find it: it reads these itself, before an application exists."""
    for text in (
        environ.get("PORT", ""),
        environ.get("LISTEN", "").partition(" ")[0].rpartition(":")[2],
        server.get("listen", "").strip().partition(" ")[0].rpartition(":")[2],
        server.get("port", ""),
    ):
        if is_port(text.strip()):
            return text.strip()
    return ""


def _server_section(ini_path: Path | None) -> dict[str, str]:
    """The keys of ``[server:main]`` as they stand; interpolation is the server's business."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read(ini_path or [], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # Whoever loads the application from this file says what is wrong with it.
        return {}
    return dict(parser[SERVER]) if parser.has_section(SERVER) else {}
