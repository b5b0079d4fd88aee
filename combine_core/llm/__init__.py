"""Providers answer completion requests: `extract` offline by rules, the others by a model.

    registry = provider_registry(settings)
    provider, model = registry.resolve("anthropic/claude-sonnet-5-5")
    completion = provider.complete(CompletionRequest(model=model, ...))

A call is one HTTP request at most: nothing here retries. A failure is a `ProviderError` with a
code. An installed package adds a provider by the hook in `combine_core.llm.hookspecs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_core.llm.completion import (
    ERROR_CODES,
    Completion,
    CompletionRequest,
    ErrorCode,
    Material,
    Provider,
    ProviderError,
    Usage,
)
from combine_core.llm.hookspecs import ProviderSettings, Unconfigured, hookimpl
from combine_core.llm.registry import (
    ProviderConflict,
    ProviderRegistry,
    ProviderStatus,
    UnknownModel,
    provider_registry,
)

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry

__all__ = [
    "ERROR_CODES",
    "Completion",
    "CompletionRequest",
    "ErrorCode",
    "Material",
    "Provider",
    "ProviderConflict",
    "ProviderError",
    "ProviderRegistry",
    "ProviderSettings",
    "ProviderStatus",
    "Unconfigured",
    "UnknownModel",
    "Usage",
    "hookimpl",
    "provider_registry",
    "providers_of",
]

_PROVIDERS = "combine_core.llm"


def providers_of(registry: Registry) -> ProviderRegistry:
    """The providers of this application."""
    providers: ProviderRegistry = registry[_PROVIDERS]
    return providers


def includeme(config: Configurator) -> None:
    """Find the providers. Loads plugins, but neither an SDK nor the network."""
    from combine_core.settings.core import CoreSettings

    settings = config.add_addon_settings(CoreSettings)
    config.registry[_PROVIDERS] = provider_registry(settings)
