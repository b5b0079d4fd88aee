"""Shared code of the vendor plugins. Each start of the service loads it, so it imports no large modules."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from combine_core.llm.completion import Completion, CompletionRequest, Provider


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor as error messages name it. `key_variable` and `url_variable` are the settings to check."""

    title: str
    key_variable: str
    url_variable: str | None
    key: str
    request_id_header: str


class LazyProvider:
    """A provider that is created on its first call, because the vendors' SDKs take seconds to import."""

    def __init__(self, name: str, api_url: str, make: Callable[[], Provider]) -> None:
        self.name = name
        self.api_url = api_url
        self._make = make
        self._provider: Provider | None = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        self._get_provider()

    def complete(self, request: CompletionRequest) -> Completion:
        return self._get_provider().complete(request)

    def _get_provider(self) -> Provider:
        with self._lock:
            if self._provider is None:
                self._provider = self._make()
            return self._provider


def read_key(secret: SecretStr | None) -> str:
    """Return the key without surrounding spaces, or an empty string if it is not set."""
    return secret.get_secret_value().strip() if secret is not None else ""


def is_sendable(key: str) -> bool:
    """Check whether an HTTP header can contain the key: ASCII without spaces or control characters."""
    return key.isascii() and key.isprintable() and " " not in key
