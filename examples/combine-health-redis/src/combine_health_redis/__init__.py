"""Adds a health check for Redis.

Install this distribution and set in the ini file of the application::

    combine_health.redis_url = redis://:password@cache:6379/0
    combine_health.redis_critical = true

``REDIS_URL`` or ``COMBINE_HEALTH_REDIS_URL`` in the environment takes precedence. The settings of
every check apply too::

    combine_health.check.redis.timeout = 2
    combine_health.disabled_plugins = redis
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from combine_health import hookimpl

from .check import RedisCheck

__all__ = ["combine_health_declare_settings", "combine_health_register_checks"]


@hookimpl
def combine_health_declare_settings(declare: Callable[..., None]) -> None:
    """Declare the settings, which combine_health reads from the ini file and the environment."""
    declare("redis_url", str, "The server: redis://host:6379/0.", secret=True)
    declare("redis_critical", bool, "Whether the service is not ready without Redis.", False)


@hookimpl
def combine_health_register_checks(
    register: Callable[..., None], settings: Mapping[str, Any]
) -> None:
    """Register the check ``redis``.

    Raises `ValueError` without a URL; combine_health then shows the plugin as a failing check.
    """
    # combine_health_redis.* are the names of the first version, which an ini file may still contain.
    old_critical = settings.get("combine_health_redis.critical", "").strip().lower() == "true"
    url = (
        os.environ.get("REDIS_URL")
        or settings["combine_health.redis_url"]
        or settings.get("combine_health_redis.url")
    )
    if not url:
        raise ValueError(
            "combine_health.redis_url is not set: write a URL such as redis://host:6379/0"
        )
    register(
        "redis",
        RedisCheck(url),
        critical=settings["combine_health.redis_critical"] or old_critical,
        timeout=1.0,
        interval=2.0,
        words=("connected", "disconnected"),
    )
