"""The providers that come with Combine, registered through the same hook as any plugin."""

import threading
from collections.abc import Callable

from pydantic import SecretStr

from combine_core.llm.completion import Completion, CompletionRequest, Provider
from combine_core.llm.extract import ExtractProvider
from combine_core.llm.hookspecs import ProviderSettings, Register, Unconfigured, hookimpl

# The model for runs that do not name one, by the provider whose key is set.
DEFAULT_MODELS = {"anthropic": "anthropic/claude-sonnet-5-5", "openai": "openai/gpt-5-mini"}


@hookimpl
def combine_core_register_providers(register: Register, settings: ProviderSettings) -> None:
    """Register extract, and anthropic and openai with the keys of `settings`."""
    register(ExtractProvider(), takes_model=False)
    register(_anthropic(settings))
    register(_openai(settings))


def _anthropic(settings: ProviderSettings) -> Provider | Unconfigured:
    key = _key(settings.anthropic_api_key)
    if not key:
        return Unconfigured("anthropic", "set ANTHROPIC_API_KEY")
    if not _is_sendable(key):
        return Unconfigured("anthropic", "mend ANTHROPIC_API_KEY: it holds what no key holds")

    def make() -> Provider:
        from combine_core.llm.anthropic_messages import AnthropicProvider

        return AnthropicProvider(key)

    return _OnFirstUse("anthropic", make)


def _openai(settings: ProviderSettings) -> Provider | Unconfigured:
    key, url = _key(settings.openai_api_key), settings.openai_base_url
    if not key and not url:
        return Unconfigured(
            "openai", "set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that needs no key"
        )
    if not _is_sendable(key):
        return Unconfigured("openai", "mend OPENAI_API_KEY: it holds what no key holds")

    def make() -> Provider:
        from combine_core.llm.openai_chat import OpenAIProvider

        return OpenAIProvider(key or None, url or None)

    return _OnFirstUse("openai", make)


def _key(secret: SecretStr | None) -> str:
    return secret.get_secret_value().strip() if secret is not None else ""


def _is_sendable(key: str) -> bool:
    """Whether the key can stand in a header: ASCII without space or control characters."""
    return key.isascii() and key.isprintable() and " " not in key


class _OnFirstUse:
    """A provider made when it is first called: the vendors' modules are large."""

    def __init__(self, name: str, make: Callable[[], Provider]) -> None:
        self.name = name
        self._make = make
        self._made: Provider | None = None
        self._lock = threading.Lock()

    def complete(self, request: CompletionRequest) -> Completion:
        """See `Provider.complete`."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return self._made.complete(request)
