"""A health check for Redis.

Install this distribution and set in the ini file of the application::

    combine_health_redis.url = redis://:password@cache:6379/0
    combine_health_redis.critical = true

``REDIS_URL`` in the environment takes precedence. The settings of every check apply too::

    combine_health.check.redis.timeout = 2
    combine_health.disabled_plugins = redis
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from combine_health import hookimpl

from .check import RedisCheck

__all__ = ["combine_health_register_checks"]

TIMEOUT = 1.0  # seconds


@hookimpl
def combine_health_register_checks(
    register: Callable[..., None], settings: Mapping[str, Any]
) -> None:
    """Register the check ``redis``.

    Raises `ValueError` without a URL; combine_health then shows the plugin as a failing check.
    """
    url = os.environ.get("REDIS_URL") or settings.get("combine_health_redis.url", "")
    if not url:
        raise ValueError("combine_health_redis.url is not set: write redis://host:6379/0")
    register(
        "redis",
        RedisCheck(url, timeout=TIMEOUT),
        critical=settings.get("combine_health_redis.critical", "false").strip().lower() == "true",
        timeout=TIMEOUT,
        interval=2.0,
        words=("connected", "disconnected"),
    )
