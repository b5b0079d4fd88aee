"""The hook by which an installed package brings a provider of its own.

In the package:

    from combine_core.llm import hookimpl

    @hookimpl
    def combine_core_register_providers(register, settings):
        register(MyProvider(...))             # model strings "myprovider/<model>"

and in its metadata, the module that holds the function, in the entry-point group
"combine.llm":

    [project.entry-points."combine.llm"]
    myprovider = "my_package.provider"
"""

from dataclasses import dataclass
from typing import Protocol

import pluggy
from pydantic import SecretStr

from combine_core.llm.completion import Provider

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
    """A provider that lacks a setting. `remedy` says what to do: "set ANTHROPIC_API_KEY"."""

    name: str
    remedy: str


class Register(Protocol):
    """Takes a provider into the registry."""

    def __call__(self, provider: Provider | Unconfigured, *, takes_model: bool = True) -> None:
        """Register `provider` under its name.

        With `takes_model` its model strings are "name/model", otherwise the bare "name".

        Raises:
            ProviderConflict: the name is taken or malformed.
        """


@hookspec
def combine_core_register_providers(register: Register, settings: ProviderSettings) -> None:
    """Register providers; called once, when the service starts. No network here."""
