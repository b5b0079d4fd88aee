"""How often a client may sign in, ask for a token, type a code: a flood is answered 429.

Counted is the address that the server gives, ``request.remote_addr``: with a trusted proxy the one
that this proxy names, never what the client claims. In memory (the default of ``RATE_LIMIT_STORAGE``)
each process counts for itself, so that a service of four replicas lets through four times as much;
with ``redis://...`` all of them count together. While Redis is away, nothing is limited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyramid.exceptions import ConfigurationError

from combine_auth.limits.limiter import Limiter, RateLimited, client_of, make_storage
from combine_auth.limits.rules import RULES
from combine_auth.settings import AuthSettings

if TYPE_CHECKING:
    from pyramid.config import Configurator

__all__ = ["RULES", "Limiter", "RateLimited", "check_limit", "client_of", "hit_limit"]

_LIMITER = "combine_auth.limiter"


def check_limit(request: Any, name: str) -> None:
    """Count this request among those of its kind from its client, and from all clients.

    :param name: a key of :data:`combine_auth.limits.rules.RULES`
    :raises RateLimited: there are too many
    """
    limiter: Limiter | None = request.registry.get(_LIMITER)
    if limiter is not None:
        limiter.check(name, request.remote_addr)


def hit_limit(request: Any, name: str, key: str) -> None:
    """Count this request under a key as well, such as a client id. Call :func:`check_limit` first.

    :raises RateLimited: there are too many
    """
    limiter: Limiter | None = request.registry.get(_LIMITER)
    if limiter is not None:
        limiter.hit(name, key)


def includeme(config: Configurator) -> None:
    """Set up the counters, unless ``combine_auth.rate_limits = false``. Connects at first use.

    :raises ConfigurationError: RATE_LIMIT_STORAGE names what cannot be used
    """
    settings = config.add_addon_settings(AuthSettings)
    if settings.rate_limits:
        url = settings.rate_limit_storage.get_secret_value()
        config.registry[_LIMITER] = Limiter(_storage(url))
    config.add_exception_view("combine_auth.limits.view.too_many_requests", context=RateLimited)


def _storage(url: str) -> Any:
    from limits.errors import ConfigurationError as UnknownStorage

    try:
        return make_storage(url)
    except (UnknownStorage, ImportError, ValueError) as error:
        # Not the error's text: it may repeat the URL with its password.
        message = (
            "RATE_LIMIT_STORAGE cannot be used. Write memory://, or redis://host:6379/0 and run:"
            " pip install '.[redis]' in the checkout, or pip install 'WHEEL[redis]' with the path"
            " of the wheel"
        )
        raise ConfigurationError(message) from error
