"""Registers providers by name and resolves model strings such as "anthropic/claude-sonnet-5-5"."""

import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import entry_points

import pluggy

from combine_core.llm import hookspecs
from combine_core.llm.completion import PriceListed, Provider, Usage
from combine_core.llm.hookspecs import PROJECT, ProviderSettings, Unconfigured
from combine_core.text import shorten

log = logging.getLogger(__name__)

# Plugins for versions before 0.2 use the second group.
ENTRY_POINT_GROUPS = ("combine.llm", "combine.providers")
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


class UnknownModel(LookupError):
    """A model string without a usable provider. `remedy` names valid model strings or the missing setting."""

    def __init__(self, model: str, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.model = model
        self.remedy = remedy


class ProviderConflict(ValueError):
    """A provider name that is malformed or registered twice."""


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """The state of a provider, for display. `why` is empty if the provider is configured."""

    name: str
    configured: bool
    why: str
    model_string: str


@dataclass(frozen=True, slots=True)
class _Entry:
    provider: Provider | Unconfigured
    takes_model: bool

    @property
    def model_string(self) -> str:
        return f"{self.provider.name}/<model>" if self.takes_model else self.provider.name


class ProviderRegistry:
    """The providers of one application, by name."""

    def __init__(self, default_model: str = "extract") -> None:
        self.default_model = default_model
        self._entries: dict[str, _Entry] = {}

    def register(self, provider: Provider | Unconfigured, *, takes_model: bool = True) -> None:
        """See `hookspecs.Register`."""
        name = provider.name
        if not _NAME.fullmatch(name):
            raise ProviderConflict(
                f"{name!r} is not a valid provider name. Use lower-case letters, digits and . _ -"
            )
        if name in self._entries:
            raise ProviderConflict(
                f"two providers are named {name!r}: uninstall one of the plugins or rename it"
            )
        self._entries[name] = _Entry(provider, takes_model)

    def resolve(self, model: str) -> tuple[Provider, str]:
        """Return the provider of a model string, and the model without the provider's prefix.

        Raises:
            UnknownModel: If the provider does not exist or is not configured, or the string is malformed.
        """
        name, _, rest = model.partition("/")
        entry = self._entries.get(name)
        if entry is None:
            raise UnknownModel(
                model, f"There is no provider {shorten(name, 80)!r}.", f"Write {self._choices()}."
            )
        if isinstance(entry.provider, Unconfigured):
            raise UnknownModel(
                model,
                f"The provider {name} is not configured:",
                f"{entry.provider.remedy}, or choose another model: {self._choices()}.",
            )
        is_written_well = rest == rest.strip() and rest.isprintable() and not model.endswith("/")
        if entry.takes_model != bool(rest) or not is_written_well:
            raise UnknownModel(
                model,
                f"{shorten(model, 80)!r} is not a model string.",
                f"Write {entry.model_string}.",
            )
        return entry.provider, rest or name

    def warn_of_default_model(self) -> None:
        """Log a warning if no provider takes the default model. The settings warn of a missing key."""
        entry = self._entries.get(self.default_model.partition("/")[0])
        if entry is not None and isinstance(entry.provider, Unconfigured):
            return
        try:
            self.resolve(self.default_model)
        except UnknownModel as error:
            log.warning(
                "DEFAULT_MODEL is %s. %s Runs that name no model fail.", self.default_model, error
            )

    def price_of(self, model: str, usage: Usage) -> Decimal | None:
        """Return the price of `usage` in US dollars, or None if it is unknown. Raise UnknownModel."""
        from combine_core.llm.prices import price_of

        provider, name = self.resolve(model)
        if not isinstance(provider, PriceListed):
            return None
        return price_of(usage, [name], api_url=provider.api_url)

    def context_of(self, model: str) -> int | None:
        """Return the context size of the model in tokens, or None if it is unknown. Raise UnknownModel."""
        from combine_core.llm.prices import context_of

        provider, name = self.resolve(model)
        if not isinstance(provider, PriceListed):
            return None
        return context_of(name, api_url=provider.api_url)

    def describe(self) -> list[ProviderStatus]:
        return [
            ProviderStatus(
                name=name,
                configured=not isinstance(entry.provider, Unconfigured),
                why=f"not configured: {entry.provider.remedy}"
                if isinstance(entry.provider, Unconfigured)
                else "",
                model_string=entry.model_string,
            )
            for name, entry in sorted(self._entries.items())
        ]

    def _choices(self) -> str:
        configured = [s.model_string for s in self.describe() if s.configured]
        return (
            " or ".join(configured)
            or "a model after you reinstall the package, because its plugins are missing"
        )


def provider_registry(
    settings: ProviderSettings, plugins: Iterable[object] = ()
) -> ProviderRegistry:
    """Register the providers of all installed plugins (entry-point group "combine.llm") and of `plugins`.

    A plugin that cannot be imported is logged and listed as not configured. The others still work.

    Raises:
        ProviderConflict: If two providers have the same name.
        pluggy.PluginValidationError: If a hook is misspelled or has a wrong signature.
    """
    registry = ProviderRegistry(settings.default_model)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    broken: list[Unconfigured] = []
    # A plugin that also supports older releases names its module in both groups.
    points = {
        (p.name, p.value): p for group in ENTRY_POINT_GROUPS for p in entry_points(group=group)
    }
    for (name, value), point in sorted(points.items()):
        try:
            plugin = point.load()
        except Exception as error:
            log.exception("provider plugin %s (%s) cannot be loaded", name, value)
            remedy = (
                f"correct or uninstall the plugin {value} ({type(error).__name__} when loading it)"
            )
            broken.append(Unconfigured(name, remedy))
        else:
            manager.register(plugin, f"{name} = {value}")
    for plugin in plugins:
        manager.register(plugin)
    manager.check_pending()
    manager.hook.combine_core_register_providers(register=registry.register, settings=settings)
    for unloaded in broken:
        with suppress(ProviderConflict):
            registry.register(unloaded)
    registry.warn_of_default_model()
    return registry
