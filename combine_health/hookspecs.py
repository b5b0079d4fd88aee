"""The hooks that a plugin may implement, each decorated with `combine_health.hookimpl`."""

from collections.abc import Callable, Mapping
from typing import Any

import pluggy

from combine_health.engine.state import Change, CheckRun

PROJECT = "combine_health"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def combine_health_declare_settings(declare: Callable[..., None]) -> None:
    """Declare the settings of the plugin; called before the checks are registered, and for tables.

    :param declare: ``declare(name, kind, help, default=None, secret=False)``. ``kind`` is ``str``,
        ``int``, ``float``, ``bool``, ``tuple`` (names) or a function that reads a text and raises
        `ValueError`. The setting ``smtp_host`` is ``combine_health.smtp_host`` in the ini and
        ``COMBINE_HEALTH_SMTP_HOST`` in the environment. Begin the name with that of the plugin.
    """


@hookspec(historic=True)
def combine_health_register_checks(
    register: Callable[..., None], settings: Mapping[str, Any]
) -> None:
    """Register checks; called once per application during its configuration.

    :param register: takes what the directive ``config.add_health_check`` takes.
    :param settings: the application's settings, from its ini file, and those that the plugins
        declare, from ini file or environment, typed: ``settings["combine_health.smtp_host"]``.
    """


@hookspec
def combine_health_status_changed(change: Change) -> None:
    """The service or one check changed from one status to another.

    Called afterwards and in order, on a thread of its own for each plugin: it may take its time, and
    an exception is logged and has no other effect. When 1,000 events wait, further ones are dropped
    and counted at /health/detailed.

    :param change: ``check`` (``None``: the service), ``before``, ``after``, ``cause``, ``detail``,
        ``remedy``, ``at``; see `combine_health.Change`.
    """


@hookspec
def combine_health_result(result: CheckRun) -> None:
    """A check ran or passed its deadline; called in the same way.

    :param result: ``check``, ``status``, ``cause``, ``detail``, ``data``, ``duration``, ``at``; see
        `combine_health.CheckRun`.
    """
