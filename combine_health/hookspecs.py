"""Declares the hooks that a plugin may implement, each decorated with `combine_health.hookimpl`."""

from collections.abc import Callable, Mapping
from typing import Any

import pluggy

from combine_health.engine.state import Change, CheckRun

PROJECT = "combine_health"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def combine_health_declare_settings(declare: Callable[..., None]) -> None:
    """Declare the settings of the plugin.

    Called before the checks are registered, and when a command lists the settings.

    :param declare: ``declare(name, kind, help, default=None, secret=False)``. ``kind`` is ``str``,
        ``int``, ``float``, ``bool``, ``tuple`` (names) or a function that parses a string and raises
        `ValueError`. The setting ``smtp_host`` is ``combine_health.smtp_host`` in the ini and
        ``COMBINE_HEALTH_SMTP_HOST`` in the environment. Begin the name with that of the plugin.
    """


@hookspec(historic=True)
def combine_health_register_checks(
    register: Callable[..., None], settings: Mapping[str, Any]
) -> None:
    """Register checks. Called once per application, during its configuration.

    :param register: takes what the directive ``config.add_health_check`` takes.
    :param settings: the application's settings, from its ini file, and those that the plugins
        declare, from ini file or environment, typed: ``settings["combine_health.smtp_host"]``.
    """


@hookspec
def combine_health_status_changed(change: Change) -> None:
    """Handle a change of the status of the service or of one check.

    Each plugin is called in the order of the changes on its own thread, so it may block. An exception
    is logged and has no other effect. While 1,000 events wait, further events are dropped and counted
    at /health/detailed.

    :param change: ``check`` (``None``: the service), ``before``, ``after``, ``cause``, ``detail``,
        ``remedy``, ``at``; see `combine_health.Change`.
    """


@hookspec
def combine_health_result(result: CheckRun) -> None:
    """Handle a run of a check that ended or passed its deadline.

    Called in the same way as `combine_health_status_changed`.

    :param result: ``check``, ``status``, ``cause``, ``detail``, ``data``, ``duration``, ``at``; see
        `combine_health.CheckRun`.
    """
