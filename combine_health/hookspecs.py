"""The hooks that a plugin may implement, each decorated with `combine_health.hookimpl`."""

from collections.abc import Callable, Mapping
from typing import Any

import pluggy

PROJECT = "combine_health"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec(historic=True)
def combine_health_register_checks(
    register: Callable[..., None], settings: Mapping[str, Any]
) -> None:
    """Register checks; called once per application, while it is put together.

    :param register: takes what the directive ``config.add_health_check`` takes.
    :param settings: the application's settings, from its ini file.
    """
