"""The providers of one application: those that people may choose, and why others are not offered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from combine_auth.oidc.client import OidcClient

if TYPE_CHECKING:
    from pyramid.registry import Registry

KEY = "combine_auth.providers"


@dataclass(frozen=True)
class Providers:
    """Whom people can sign in with.

    :ivar clients: by name, in the order of their buttons
    :ivar hidden: by name, why a provider is not offered, with the variable to set
    """

    clients: Mapping[str, OidcClient] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)


def providers_of(registry: Registry) -> Providers:
    """The providers of this application."""
    providers: Providers = registry[KEY]
    return providers
