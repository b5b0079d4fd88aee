"""The public names of :mod:`combine_core.llm`, for plugins that import this module's former name."""

from combine_core.llm import (
    Completion,
    CompletionRequest,
    Material,
    Provider,
    ProviderError,
    ProviderSettings,
    Unconfigured,
    Usage,
    hookimpl,
)

__all__ = [
    "Completion",
    "CompletionRequest",
    "Material",
    "Provider",
    "ProviderError",
    "ProviderSettings",
    "Unconfigured",
    "Usage",
    "hookimpl",
]
