"""What the plugins of vendors share. It imports nothing large, since every start loads them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from combine_core.llm.completion import Completion, CompletionRequest, Provider


@dataclass(frozen=True, slots=True)
class Vendor:
    """Names a vendor in messages. `key_variable` and `url_variable` are the settings to check."""

    title: str
    key_variable: str
    url_variable: str | None
    key: str
    request_id_header: str


class OnFirstUse:
    """Makes the provider at its first call, because the vendors' SDKs take seconds to import."""

    def __init__(self, name: str, api_url: str, make: Callable[[], Provider]) -> None:
        self.name = name
        self.api_url = api_url
        self._make = make
        self._made: Provider | None = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        self._provider()

    def complete(self, request: CompletionRequest) -> Completion:
        return self._provider().complete(request)

    def _provider(self) -> Provider:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


def read_key(secret: SecretStr | None) -> str:
    """The key without spaces around it; empty if it is not set."""
    return secret.get_secret_value().strip() if secret is not None else ""


def is_sendable(key: str) -> bool:
    """Whether an HTTP header can carry the key: ASCII without spaces or control characters."""
    return key.isascii() and key.isprintable() and " " not in key
