"""The choice of a model on a form: one radio button for each provider that is configured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from combine_core.llm import ProviderRegistry
from combine_core.web.forms import text_of

if TYPE_CHECKING:
    from pyramid.request import Request


@dataclass(frozen=True)
class ModelChoice:
    """A provider as the form offers it.

    :ivar value: of the radio button: ``extract``, or the provider's name
    :ivar takes_model: a field beside it names the model
    :ivar model: what stands in that field at first
    """

    value: str
    takes_model: bool
    model: str
    checked: bool


def model_choices(registry: ProviderRegistry) -> list[ModelChoice]:
    """The configured providers, those without a model name first; the default model is chosen."""
    default, _, default_name = registry.default_model.partition("/")
    choices = [
        ModelChoice(
            value=status.name,
            takes_model=status.model_string != status.name,
            model=default_name if status.name == default else "",
            checked=status.name == default,
        )
        for status in registry.describe()
        if status.configured
    ]
    return sorted(choices, key=lambda choice: choice.takes_model)


def chosen_model(request: Request, registry: ProviderRegistry) -> str:
    """The model string that the form asks for; the default where it names none."""
    provider = text_of(request, "model").strip()
    name = text_of(request, f"{provider}-model").strip()
    return f"{provider}/{name}" if name else provider or registry.default_model
