"""The providers that come with Combine, registered through the same hook as any plugin."""

from combine_core.providers.extract import ExtractProvider
from combine_core.providers.hookspecs import ProviderSettings, Register, hookimpl


@hookimpl
def combine_core_register_providers(register: Register, settings: ProviderSettings) -> None:  # noqa: ARG001
    """Register extract, and anthropic and openai with the keys of `settings`."""
    register(ExtractProvider(), takes_model=False)
