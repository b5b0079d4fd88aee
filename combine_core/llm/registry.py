"""Which providers exist, and which one a model string ("anthropic/claude-sonnet-5-5") names."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from combine_core.llm import hookspecs
from combine_core.llm.completion import Provider
from combine_core.llm.hookspecs import PROJECT, ProviderSettings, Unconfigured

log = logging.getLogger(__name__)

# The second is the name of before 0.2, which installed plugins go on using.
ENTRY_POINT_GROUPS = ("combine.llm", "combine.providers")
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


class UnknownModel(LookupError):
    """No provider answers to this model string; `remedy` says what to write or to set."""

    def __init__(self, model: str, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.model = model
        self.remedy = remedy


class ProviderConflict(ValueError):
    """A provider's name is malformed or registered twice."""


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """A provider as it is shown to people: `why` is empty for a configured one."""

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

    def accepts(self, name: str) -> bool:
        """Whether a provider of this name can be registered."""
        return _NAME.fullmatch(name) is not None and name not in self._entries

    def register(self, provider: Provider | Unconfigured, *, takes_model: bool = True) -> None:
        """Take a provider in; see `hookspecs.Register`."""
        name = provider.name
        if not _NAME.fullmatch(name):
            raise ProviderConflict(
                f"{name!r} cannot be a provider's name: write lower-case letters, digits, . _ -"
            )
        if name in self._entries:
            raise ProviderConflict(
                f"two providers are called {name!r}: uninstall one of the plugins or rename it"
            )
        self._entries[name] = _Entry(provider, takes_model)

    def resolve(self, model: str) -> tuple[Provider, str]:
        """The provider that `model` names, and the model without the provider's prefix.

        Raises:
            UnknownModel: no such provider, no model behind the prefix, or the provider lacks its
                key.
        """
        name, _, rest = model.partition("/")
        entry = self._entries.get(name)
        if entry is None:
            raise UnknownModel(
                model, f"No provider is called {_short(name)}.", f"Write {self._choices()}."
            )
        if isinstance(entry.provider, Unconfigured):
            raise UnknownModel(
                model,
                f"The provider {name} is not configured:",
                f"{entry.provider.remedy}, or choose another model: {self._choices()}.",
            )
        if entry.takes_model != bool(rest) or model.endswith("/") or rest != rest.strip():
            raise UnknownModel(
                model, f"{_short(model)} is no model string.", f"Write {entry.model_string}."
            )
        return entry.provider, rest or name

    def describe(self) -> list[ProviderStatus]:
        """All providers, by name, configured or not and why not."""
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
        return " or ".join(s.model_string for s in self.describe() if s.configured)


def provider_registry(
    settings: ProviderSettings, plugins: Iterable[object] | None = None
) -> ProviderRegistry:
    """The registry of one application: the built-in providers and those of installed plugins.

    `plugins` replaces the installed ones (entry-point group "combine.llm"). A plugin that
    cannot be imported is logged and listed as not configured, so that it hides no other; one that
    implements a hook that does not exist stops the start.

    Raises:
        ProviderConflict: two providers share a name.
        pluggy.PluginValidationError: a hook is misspelt or has a wrong signature.
    """
    from combine_core.llm import shipped

    registry = ProviderRegistry(settings.default_model)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(shipped, "combine_core")
    if plugins is None:
        points = [point for group in ENTRY_POINT_GROUPS for point in entry_points(group=group)]
        # A plugin may name its module in both groups, for older releases.
        installed = sorted({(point.name, point.value): point for point in points}.items())
        broken = [each for _, point in installed if (each := _load(manager, point)) is not None]
    else:
        broken = []
        for plugin in plugins:
            manager.register(plugin)
    manager.check_pending()
    manager.hook.combine_core_register_providers(register=registry.register, settings=settings)
    for unloaded in broken:
        if registry.accepts(unloaded.name):
            registry.register(unloaded)
    return registry


def _load(manager: pluggy.PluginManager, entry: EntryPoint) -> Unconfigured | None:
    """Load a plugin; if that fails, log it and return what to list in its place."""
    try:
        plugin: Any = entry.load()
    except Exception as error:
        log.exception("provider plugin %s (%s) cannot be loaded", entry.name, entry.value)
        why = f"mend or uninstall the plugin {entry.value} ({type(error).__name__} when loading it)"
        return Unconfigured(entry.name, why)
    manager.register(plugin, entry.name)
    return None


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
