"""The settings of all add-ons in the running service."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from combine_core.settings.declaration import MASK, AddonSettings, Setting, shown
from combine_core.settings.sources import Source

UNUSABLE = "(unusable)"
MISSING = "(missing)"

S = TypeVar("S", bound=AddonSettings)


@dataclass(frozen=True, slots=True)
class Row:
    """A row in the table of settings. `value_shown` never contains a secret."""

    addon: str
    variable: str
    ini_key: str
    value_shown: str
    source: str
    help: str
    secret: bool

    @classmethod
    def of(cls, one: Setting, text: str, source: str) -> "Row":
        return cls(one.addon, one.variable, one.ini_key, text, str(source), one.help, one.secret)


class LoadedSettings:
    """The settings of all add-ons, validated and immutable.

    :ivar overlay: keys for the settings of the application, for add-ons with their own loader
    """

    def __init__(
        self,
        instances: Mapping[type[AddonSettings], AddonSettings],
        rows: Iterable[Row],
        overlay: Mapping[str, Any] | None = None,
    ) -> None:
        self._instances = dict(instances)
        self._rows = tuple(rows)
        self.overlay = dict(overlay or {})

    def __repr__(self) -> str:
        return f"<settings of {', '.join(cls.addon for cls in self._instances)}>"

    def __iter__(self) -> Iterator[type[AddonSettings]]:
        return iter(self._instances)

    def __contains__(self, cls: object) -> bool:
        return cls in self._instances

    def get(self, cls: type[S]) -> S:
        """Return the settings of the add-on that declares `cls`.

        :raises LookupError: they were not loaded
        """
        instance = self._instances.get(cls)
        if not isinstance(instance, cls):
            raise LookupError(
                f"The settings of {cls.addon} were not loaded. Add it to pyramid.includes."
            )
        return instance

    def rows(self) -> list[Row]:
        return list(self._rows)

    def secrets(self) -> frozenset[str]:
        return frozenset().union(*(one.secrets() for one in self._instances.values()))

    def joined(self, other: "LoadedSettings") -> "LoadedSettings":
        return LoadedSettings(
            {**self._instances, **{cls: other.get(cls) for cls in other}},
            [*self._rows, *other.rows()],
            {**self.overlay, **other.overlay},
        )

    def replaced(self, cls: type[S], source: str, **values: Any) -> "LoadedSettings":
        """Return the settings with some values of `cls` replaced, such as the embedded database's URL.

        :param source: the source of the values, for the table
        """
        old = self.get(cls)
        new = type(old)(**{**dict(old), **values})
        new.set_faults({one.field: old.faults(one.field) for one in old.declared()})
        replaced = {
            one.ini_key: Row.of(one, value_shown(one, getattr(new, one.field), source), source)
            for one in cls.declared()
            if one.field in values
        }
        rows = (replaced.get(row.ini_key, row) for row in self._rows)
        return LoadedSettings({**self._instances, cls: new}, rows, self.overlay)


def value_shown(setting: Setting, value: Any, source: str) -> str:
    if source == Source.DEFAULT and (setting.secret or value is None):
        return setting.default_text
    if setting.secret:
        return setting.mask(value) if setting.mask else MASK
    return shown(value)
