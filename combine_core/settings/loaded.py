"""The settings of all add-ons as the running service holds them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from combine_core.settings.declare import AddonSettings, Declared, shown
from combine_core.settings.sources import Source

MASK = "********"
UNUSABLE = "(unusable)"
MISSING = "(missing)"

S = TypeVar("S", bound=AddonSettings)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting in the table; `value_shown` never shows a secret."""

    addon: str
    variable: str
    ini_key: str
    value_shown: str
    source: str
    help: str
    secret: bool


def row(declared: Declared, value: Any, source: str) -> Row:
    """The row of a setting that has this value from this source."""
    traits = declared.traits
    if source == Source.DEFAULT and (traits.secret or value is None):
        text = declared.default_shown
    elif traits.secret:
        text = traits.mask(value) if traits.mask else MASK
    else:
        text = shown(value)
    return _row(declared, text, source)


def valueless_row(declared: Declared, why: str, source: str) -> Row:
    """The row of a setting without a value: missing, or a text that is not repeated."""
    return _row(declared, why, source)


def _row(declared: Declared, text: str, source: str) -> Row:
    return Row(
        addon=declared.addon,
        variable=declared.variable,
        ini_key=declared.ini_key,
        value_shown=text,
        source=str(source),
        help=declared.traits.help,
        secret=declared.traits.secret,
    )


class LoadedSettings:
    """The settings of all add-ons, judged and frozen.

    :ivar overlay: ini keys with values from the ``.env``, for add-ons that read the ini and the
        environment themselves and know of no ``.env``
    """

    def __init__(
        self,
        instances: Mapping[type[AddonSettings], AddonSettings],
        rows: Iterable[Row],
        overlay: Mapping[str, str] | None = None,
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
        """The settings of the add-on that declares `cls`.

        Raises LookupError where that add-on was not loaded.
        """
        instance = self._instances.get(cls)
        if not isinstance(instance, cls):
            raise LookupError(
                f"the settings of {cls.addon} were not loaded: name it in pyramid.includes"
            )
        return instance

    def rows(self) -> list[Row]:
        """All settings, by add-on, in the order of their declaration."""
        return list(self._rows)

    def secrets(self) -> frozenset[str]:
        """The secret values themselves, for those who must keep them out of texts."""
        return frozenset().union(*(one.secrets() for one in self._instances.values()))

    def joined(self, other: "LoadedSettings") -> "LoadedSettings":
        """These and those."""
        instances = {cls: other.get(cls) for cls in other}
        return LoadedSettings(
            {**self._instances, **instances},
            [*self._rows, *other.rows()],
            {**self.overlay, **other.overlay},
        )

    def replaced(self, cls: type[S], source: str, **values: Any) -> "LoadedSettings":
        """The same with some values of `cls` replaced, such as the embedded database's URL.

        :param source: what the table says about where they came from
        """
        old = self.get(cls)
        new = type(old)(**{**dict(old), **values})
        new.tell_faults({d.field: old.faults(d.field) for d in old.declared()})
        fields = {d.ini_key: d for d in cls.declared() if d.field in values}
        rows = [
            row(fields[one.ini_key], getattr(new, fields[one.ini_key].field), source)
            if one.ini_key in fields
            else one
            for one in self._rows
        ]
        return LoadedSettings({**self._instances, cls: new}, rows, self.overlay)
