"""Providers answer completion requests: `extract` offline by rules, the others by a model.

    registry = provider_registry(settings)
    provider, model = registry.resolve("anthropic/claude-sonnet-4-5")
    completion = provider.complete(CompletionRequest(model=model, ...))

A call is one HTTP request at most: nothing here retries. A failure is a `ProviderError` with a
code. An installed package adds a provider by the hook in `combine_core.providers.hookspecs`.
"""

from combine_core.providers.completion import (
    ERROR_CODES,
    Completion,
    CompletionRequest,
    ErrorCode,
    Material,
    Provider,
    ProviderError,
    Usage,
)
from combine_core.providers.hookspecs import ProviderSettings, Unconfigured, hookimpl
from combine_core.providers.registry import (
    ProviderConflict,
    ProviderRegistry,
    ProviderStatus,
    UnknownModel,
    provider_registry,
)

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
]
