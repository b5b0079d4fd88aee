"""Providers answer completion requests: `extract` uses rules and works offline, the others call a model.

    registry = provider_registry(settings)
    provider, model = registry.resolve("anthropic/claude-sonnet-5-5")
    completion = provider.complete(CompletionRequest(model=model, ...))

A call sends at most one HTTP request and does not retry. A failure raises `ProviderError` with a code.

All providers are plugins in the entry-point group "combine.llm"; see `combine_core.llm.hookspecs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_core.llm.completion import (
    Completion,
    CompletionRequest,
    Material,
    Offline,
    Preparable,
    Provider,
    ProviderError,
    Usage,
)
from combine_core.llm.hookspecs import ProviderSettings, Unconfigured, hookimpl
from combine_core.llm.registry import (
    ProviderConflict,
    ProviderRegistry,
    UnknownModel,
    provider_registry,
)

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry

__all__ = [
    "Completion",
    "CompletionRequest",
    "Material",
    "Offline",
    "Preparable",
    "Provider",
    "ProviderConflict",
    "ProviderError",
    "ProviderRegistry",
    "ProviderSettings",
    "Unconfigured",
    "UnknownModel",
    "Usage",
    "hookimpl",
    "provider_registry",
    "providers_of",
]

_PROVIDERS = "combine_core.llm"


def providers_of(registry: Registry) -> ProviderRegistry:
    providers: ProviderRegistry = registry[_PROVIDERS]
    return providers


def includeme(config: Configurator) -> None:
    """Load the provider plugins, without their SDKs and without using the network."""
    from combine_core.settings.core import CoreSettings

    settings = config.add_addon_settings(CoreSettings)
    config.registry[_PROVIDERS] = provider_registry(settings)
