"""Defines the hook with which an installed package adds a provider.

In the package:

    from combine_core.llm import hookimpl

    @hookimpl
    def combine_core_register_providers(register, settings):
        register(MyProvider(...))             # model strings "myprovider/<model>"

The metadata of the package names the module of this function in the entry-point group "combine.llm":

    [project.entry-points."combine.llm"]
    myprovider = "my_package.provider"

A provider with slow imports can have a method `prepare`; see `combine_core.llm.Preparable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pluggy

from combine_core.llm.completion import Provider

if TYPE_CHECKING:
    from pydantic import SecretStr

PROJECT = "combine_core_providers"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class ProviderSettings(Protocol):
    """The settings that providers read."""

    @property
    def anthropic_api_key(self) -> SecretStr | None: ...

    @property
    def openai_api_key(self) -> SecretStr | None: ...

    @property
    def openai_base_url(self) -> str | None: ...

    @property
    def default_model(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Unconfigured:
    """A provider that lacks a required setting. Example of a `remedy`: "set ANTHROPIC_API_KEY"."""

    name: str
    remedy: str


class Register(Protocol):
    """The function that a plugin calls to add a provider."""

    def __call__(self, provider: Provider | Unconfigured, *, takes_model: bool = True) -> None:
        """Register `provider` under its name.

        With `takes_model`, its model strings are "name/model", otherwise only "name".

        Raises:
            ProviderConflict: If the name is already used or malformed.
        """


@hookspec
def combine_core_register_providers(register: Register, settings: ProviderSettings) -> None:
    """Register providers. The service calls this once at start. Do not use the network here."""
