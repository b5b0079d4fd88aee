"""How an add-on declares its settings: one frozen class, one line per setting."""

import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import unquote

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from combine_core.settings.environment import Environment, Place
from combine_core.settings.problems import Finding, Problem

# Stands for any name in the documentation of settings that exist for each name in a list.
ANY_NAME = "NAME"
_KEY = "combine"


class Kind(Enum):
    """How a text is judged before it is read as a value."""

    WORD = "written by a program or for one: quotes and placeholders are mistakes"
    KEY = "random: a placeholder anywhere in it is a mistake"
    PROSE = "for people: quotes and words are the writer's business"


@dataclass(frozen=True, slots=True)
class Given:
    """What was set for one add-on, as far as it is known while its rules are judged.

    :ivar usable: the values that were set and are values of their types, by field
    :ivar unusable: the fields that were set to something else, or to a placeholder
    """

    usable: Mapping[str, Any]
    unusable: AbstractSet[str]
    place: Place

    def __contains__(self, field: str) -> bool:
        return field in self.usable

    def lacks(self, field: str) -> bool:
        """Whether the field was not set at all."""
        return field not in self.usable and field not in self.unusable


@dataclass(frozen=True, slots=True)
class Traits:
    """What a setting says about itself beside its type and default."""

    variable: str | None
    key: str | None
    secret: bool
    tolerated: bool
    required_in: frozenset[Environment]
    help: str
    write: str
    shape: str
    default_shown: str | None
    kind: Kind
    mask: Callable[[Any], str] | None


@dataclass(frozen=True, slots=True)
class Declared:
    """A setting as the table and the loader see it.

    :ivar names: its environment variables; the first is the one that messages use
    :ivar ini_keys: its keys in ``[app:main]``; the first is the one that is documented
    """

    addon: str
    field: str
    names: tuple[str, ...]
    ini_keys: tuple[str, ...]
    default: Any
    traits: Traits

    @property
    def variable(self) -> str:
        """The environment variable that messages name."""
        return self.names[0]

    @property
    def ini_key(self) -> str:
        """The ini key that people are told of."""
        return self.ini_keys[0]

    @property
    def default_shown(self) -> str:
        """The default as people read it; empty for none."""
        if self.traits.default_shown is not None:
            return self.traits.default_shown
        return "" if self.default is None else shown(self.default)


def setting(
    default: Any = None,
    *,
    variable: str | None = None,
    key: str | None = None,
    secret: bool = False,
    tolerated: bool = False,
    required_in: Iterable[Environment] = frozenset(),
    help: str,  # noqa: A002
    write: str = "",
    shape: str = "text",
    default_shown: str | None = None,
    kind: Kind = Kind.WORD,
    mask: Callable[[Any], str] | None = None,
) -> Any:
    """A field of an :class:`AddonSettings`.

    :param variable: its environment variable; ``ADDON_FIELD`` is understood always
    :param key: its ini key without the add-on's name, such as ``google.client_id``; that of the
        field is understood always
    :param secret: its value is never shown
    :param tolerated: whatever is wrong with it, the service starts as if it were not set; the
        add-on says so itself, from :meth:`AddonSettings.faults`
    :param required_in: environments that do not start without it
    :param help: one or two sentences for the table and docs/configuration.md
    :param write: the remedy: what to write where it is missing or a placeholder
    :param shape: what a value looks like, for the documentation: "whole number, 1 to 500"
    :param default_shown: the default in words where it is worked out
    :param kind: what counts as a mistake in its text
    :param mask: how a secret value may be shown; default: not at all
    """
    traits = Traits(
        variable=variable,
        key=key,
        secret=secret,
        tolerated=tolerated,
        required_in=frozenset(required_in),
        help=help,
        write=write,
        shape=shape,
        default_shown=default_shown,
        kind=kind,
        mask=mask,
    )
    return Field(default, description=help, json_schema_extra={_KEY: traits})  # type: ignore[dict-item]


def parsed(parse: Callable[[str], Any]) -> BeforeValidator:
    """For ``Annotated``: texts go through `parse`, which raises ``Unusable``; values pass."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


class AddonSettings(BaseSettings):
    """The settings of one add-on: subclass it once, with `addon` and a :func:`setting` per field.

    Constructing it reads nothing but its arguments; ``load_all`` finds the values.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        # An exception of pydantic's would otherwise show the value.
        hide_input_in_errors=True,
    )

    addon: ClassVar[str]
    # Regular expressions of ini keys, without the add-on's prefix, that are no fields but belong to
    # the add-on all the same: r"[a-z]+\.issuer". The add-on reads and judges them itself.
    further_keys: ClassVar[tuple[str, ...]] = ()
    # The field whose value, a list of names, calls for settings of each name (`of_name`); "" for none.
    named_by: ClassVar[str] = ""

    _faults: dict[str, tuple[Problem, ...]] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The loader alone reads the environment: it knows where each value came from."""
        return (init_settings,)

    @classmethod
    def declared(cls) -> tuple[Declared, ...]:
        """Its settings, in the order of their declaration."""
        return tuple(_declared(cls.addon, name, info) for name, info in cls.model_fields.items())

    @classmethod
    def of_name(cls, name: str) -> Mapping[str, tuple[Any, Any]]:  # noqa: ARG003
        """The settings of one of the names in `named_by`: annotation and :func:`setting` by field."""
        return {}

    @classmethod
    def extended(cls, names: Iterable[str]) -> type[Self]:
        """This class with the settings of these names; fields that it has already stay."""
        fields = {
            field: definition
            for name in names
            for field, definition in cls.of_name(name).items()
            if field not in cls.model_fields
        }
        if not fields:
            return cls
        definitions: Any = fields
        return create_model(cls.__name__, __base__=cls, __doc__=cls.__doc__, **definitions)

    def tell_faults(self, faults: Mapping[str, tuple[Problem, ...]]) -> None:
        """For the loader: what is wrong with tolerated settings, by field."""
        self._faults.update(faults)

    def faults(self, field: str) -> tuple[Problem, ...]:
        """Why a tolerated setting that was given counts as not set."""
        return self._faults.get(field, ())

    def secrets(self) -> frozenset[str]:
        """The secret values themselves, for those who must keep them out of texts."""
        held = ((getattr(self, d.field), d.default) for d in self.declared() if d.traits.secret)
        # A default stands in the code, for everyone to read.
        own = (value for value, default in held if value != default)
        each = (part for value in own for part in (value if isinstance(value, tuple) else (value,)))
        values = (one.get_secret_value() for one in each if isinstance(one, SecretStr))
        return frozenset(form for value in values for form in _forms(value))

    @classmethod
    def worked_out(cls, given: Given) -> Mapping[str, Any]:  # noqa: ARG003
        """Values, by field, that follow from what was given or from the place: derived defaults."""
        return {}

    def findings(self, given: Given) -> Iterable[tuple[str, Finding]]:  # noqa: ARG002
        """What is wrong with a usable value, or between settings, as (field, finding).

        A field that was not given holds its default here.
        """
        return ()


def keys_of(addon: str, field: str, info: FieldInfo) -> tuple[str, ...]:
    """The ini keys of a field, the documented one first."""
    key = _traits(addon, field, info).key
    return tuple(dict.fromkeys(f"{addon}.{one}" for one in (key, field) if one))


def _traits(addon: str, field: str, info: FieldInfo) -> Traits:
    extra: Any = info.json_schema_extra
    if not isinstance(extra, dict) or not isinstance(extra.get(_KEY), Traits):
        raise TypeError(f"{addon}.{field} is not declared with setting()")
    traits: Traits = extra[_KEY]
    return traits


def _declared(addon: str, name: str, info: FieldInfo) -> Declared:
    traits = _traits(addon, name, info)
    keys = keys_of(addon, name, info)
    own = [key.replace(".", "_").upper() for key in keys]
    names = tuple(dict.fromkeys(one for one in (traits.variable, *own) if one))
    return Declared(addon, name, names, keys, info.default, traits)


def shown(value: Any) -> str:
    """A value as the table shows it and as it could be written. Secrets must not come here."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return " ".join(shown(part) for part in value)
    return str(value) if isinstance(value, str | int | float | Path) else repr(value)


def _forms(secret: str) -> set[str]:
    """A secret and, of a URL, the passwords in it, as written and as meant."""
    _, separator, rest = secret.partition("://")
    passwords = [rest.rpartition("@")[0].partition(":")[2]] if separator else []
    passwords += re.findall(r"password=([^&]+)", rest)
    return {form for password in (secret, *passwords) for form in (password, unquote(password))} - {
        ""
    }
