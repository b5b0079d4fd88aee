"""Declarations of settings, and the description of their problems."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import unquote

from pydantic import AliasChoices, BeforeValidator, Field, PrivateAttr, SecretStr, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

# The placeholder for a name in the documentation of settings that exist once per name in a list.
ANY_NAME = "NAME"
MASK = "********"
_EXTRA = "combine"


class Environment(StrEnum):
    """The environment in which the service runs. It determines which problems prevent the start."""

    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


EVERYWHERE = frozenset(Environment)
NOWHERE: frozenset[Environment] = frozenset()
# The environments in which other people depend on the service.
DEPLOYED = frozenset({Environment.STAGING, Environment.PRODUCTION})
# Development only logs a warning for many problems that prevent the start elsewhere.
NOT_DEVELOPMENT = EVERYWHERE - {Environment.DEVELOPMENT}


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a setting: the variable, the fault and the remedy, but never the value."""

    variable: str
    fault: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.variable} {self.fault}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of a setting, which may or may not prevent the start.

    :ivar fault: the fault, as the rest of a sentence that begins with the variable
    :ivar remedy: the remedy; if empty, the one that the setting declares
    :ivar refused_in: the environments that refuse to start; the others log a warning
    """

    fault: str
    remedy: str = ""
    refused_in: frozenset[Environment] = EVERYWHERE


class Unusable(ValueError):
    """The error for a text that cannot be parsed, with all its faults."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("; ".join(finding.fault for finding in findings))
        self.findings = findings


class ConfigurationEnvironmentError(Exception):
    """An error of settings that prevent the start. It lists all problems, and no secret."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"  {problem}" for problem in self.problems)])

    @property
    def headline(self) -> str:
        count = len({problem.variable for problem in self.problems})
        return f"{count} setting{'s' if count > 1 else ''} to fix before the service can start"

    @property
    def one_line(self) -> str:
        """The message for the log, in one line that contains the word EnvironmentError."""
        numbered = (f"({n}) {problem}" for n, problem in enumerate(self.problems, 1))
        return f"{type(self).__name__}: {self.headline}: {' '.join(numbered)}"


class Kind(Enum):
    """The kind of text in a setting, which determines how strictly it is examined before it is parsed."""

    WORD = "written by or for a program: quotes and placeholders are mistakes"
    KEY = "random: a placeholder anywhere in it is a mistake"
    PROSE = "written for people: quotes and ordinary words are allowed"


@dataclass(frozen=True, slots=True)
class Place:
    """The circumstances that settings may depend on.

    :ivar environment: the environment whose rules apply
    :ivar here: the folder of the ini file, to which paths are relative
    :ivar port: the port that the server will listen on
    """

    environment: Environment
    here: Path
    port: int


@dataclass(frozen=True, slots=True)
class Given:
    """The values that were set for one add-on.

    :ivar usable: the values that could be parsed, by field
    :ivar unusable: the fields whose text could not be parsed or is a placeholder
    """

    usable: Mapping[str, Any]
    unusable: AbstractSet[str]
    place: Place

    def __contains__(self, field: str) -> bool:
        return field in self.usable

    def lacks(self, field: str) -> bool:
        """Check whether the field was not set at all."""
        return field not in self.usable and field not in self.unusable


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A declared setting. The keyword arguments of :func:`setting` are its attributes.

    :ivar help: one or two sentences for the table and docs/configuration.md
    :ivar variable: the environment variable; ``ADDON_FIELD`` is always accepted, too
    :ivar key: the ini key without the name of the add-on, such as ``google.client_id``; the name of the
        field is always accepted, too
    :ivar secret: whether the value is never shown
    :ivar tolerated: whether the service starts without the setting if it is not valid; the add-on reports
        that itself, from :meth:`AddonSettings.faults`
    :ivar required_in: the environments that do not start without the setting
    :ivar write: the remedy if the setting is missing or a placeholder
    :ivar shape: the form of a value, for the documentation: "whole number, 1 to 500"
    :ivar default_shown: the default in words, if it is derived
    :ivar kind: the kind of the text
    :ivar mask: shows a secret value in part; without it, nothing is shown
    :ivar names: all environment variables; messages use the first
    :ivar ini_keys: all keys in ``[app:main]``; the documentation uses the first
    """

    default: Any
    help: str
    variable: str = ""
    key: str = ""
    secret: bool = False
    tolerated: bool = False
    required_in: frozenset[Environment] = NOWHERE
    write: str = ""
    shape: str = "text"
    default_shown: str | None = None
    kind: Kind = Kind.WORD
    mask: Callable[[Any], str] | None = None
    addon: str = ""
    field: str = ""
    names: tuple[str, ...] = ()
    ini_keys: tuple[str, ...] = ()

    @property
    def ini_key(self) -> str:
        return self.ini_keys[0]

    @property
    def default_text(self) -> str:
        """The default as shown to people; empty if there is none."""
        return shown(self.default) if self.default_shown is None else self.default_shown

    def of(self, addon: str, field: str) -> "Setting":
        """Return this setting as a field of an add-on, with its derived names."""
        keys = tuple(dict.fromkeys(f"{addon}.{one}" for one in (self.key, field) if one))
        derived = (key.replace(".", "_").upper() for key in keys)
        names = tuple(dict.fromkeys(name for name in (self.variable, *derived) if name))
        return replace(
            self, variable=names[0], addon=addon, field=field, names=names, ini_keys=keys
        )


def setting(default: Any = None, **attributes: Any) -> Any:
    """Declare a field of an :class:`AddonSettings`. The attributes are those of :class:`Setting`."""
    declared = Setting(default=default, **attributes)
    return Field(default, description=declared.help, json_schema_extra={_EXTRA: declared})  # type: ignore[dict-item]


def parsed(parse: Callable[[str], Any]) -> BeforeValidator:
    """Return a validator for ``Annotated``. `parse` gets texts and raises ``Unusable``; other values pass."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


class AddonSettings(BaseSettings):
    """The settings of one add-on. A subclass defines `addon`, and a :func:`setting` for each field.

    ``load_all`` reads the values from the sources and passes them to the constructor.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        case_sensitive=True,
        env_ignore_empty=True,
        # Lists are separated by commas or spaces; they are not JSON.
        enable_decoding=False,
        validate_by_name=True,
        loc_by_alias=False,
        # Otherwise an exception of pydantic would show the value.
        hide_input_in_errors=True,
    )

    addon: ClassVar[str]
    # The field that lists names, each of which has its own settings (`of_name`); empty for none.
    named_by: ClassVar[str] = ""

    _faults: dict[str, tuple[Problem, ...]] = PrivateAttr(default_factory=dict)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        # The names of the variables depend on the name of the add-on, which is known only now.
        for name, info in cls.model_fields.items():
            info.validation_alias = AliasChoices(*declared_setting(cls.addon, name, info).names)
        cls.model_rebuild(force=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: Any,  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Disable all sources, because ``load_all`` queries them by field to record where a value is from."""
        return (init_settings,)

    @classmethod
    @functools.cache
    def declared(cls) -> tuple[Setting, ...]:
        """Return the settings in the order of their declaration."""
        fields = cls.model_fields.items()
        return tuple(declared_setting(cls.addon, name, info) for name, info in fields)

    @classmethod
    def of_name(cls, name: str) -> Mapping[str, tuple[Any, Any]]:  # noqa: ARG003
        """Return the settings of one name in `named_by`: annotation and :func:`setting`, by field."""
        return {}

    @classmethod
    def extended(cls, names: Iterable[str]) -> type[Self]:
        """Return this class with the settings of these names. Existing fields are kept."""
        return cls._extended(tuple(names))

    @classmethod
    @functools.cache
    def _extended(cls, names: tuple[str, ...]) -> type[Self]:
        definitions: dict[str, Any] = {
            field: definition
            for name in names
            for field, definition in cls.of_name(name).items()
            if field not in cls.model_fields
        }
        if not definitions:
            return cls
        return create_model(cls.__name__, __base__=cls, __doc__=cls.__doc__, **definitions)

    def set_faults(self, faults: Mapping[str, tuple[Problem, ...]]) -> None:
        """Store the problems of tolerated settings by field. For the loader."""
        self._faults.update(faults)

    def faults(self, field: str) -> tuple[Problem, ...]:
        """Return the problems because of which a tolerated setting counts as not set."""
        return self._faults.get(field, ())

    def secrets(self) -> frozenset[str]:
        """Return the secret values, to mask them in texts."""
        pairs = ((getattr(self, one.field), one.default) for one in self.declared() if one.secret)
        # A default is no secret, because the code contains it.
        own = (value for value, default in pairs if value != default)
        each = (part for value in own for part in (value if isinstance(value, tuple) else (value,)))
        values = (one.get_secret_value() for one in each if isinstance(one, SecretStr))
        return frozenset(form for value in values for form in _forms(value))

    @classmethod
    def derived_values(cls, given: Given) -> Mapping[str, Any]:  # noqa: ARG003
        """Return values that depend on other settings or on the place, by field."""
        return {}

    def findings(self, given: Given) -> Iterable[tuple[str, Finding]]:  # noqa: ARG002
        """Return the faults of values and of combinations of settings, as (field, finding).

        A field that was not set has its default value here.
        """
        return ()


def declared_setting(addon: str, field: str, info: FieldInfo) -> Setting:
    """Return the setting that a field declares.

    :raises TypeError: the field is not declared with :func:`setting`
    """
    extra: Any = info.json_schema_extra
    declared = extra.get(_EXTRA) if isinstance(extra, dict) else None
    if not isinstance(declared, Setting):
        raise TypeError(f"{addon}.{field} is not declared with setting(). Declare it so.")
    return declared.of(addon, field)


def shown(value: Any) -> str:
    """Format a value for the table, in a form that could be written in a file. Not for secrets."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return " ".join(shown(part) for part in value)
    return str(value) if isinstance(value, str | int | float | Path) else repr(value)


def _forms(secret: str) -> set[str]:
    """Return the forms of a secret to mask, encoded and decoded. Of a URL, only the passwords are masked."""
    _, separator, rest = secret.partition("://")
    parts = [rest.rpartition("@")[0].partition(":")[2]] if separator else [secret]
    parts += re.findall(r"(?:password|secret|token|key)=([^&]+)", rest)
    return {form for part in parts for form in (part, unquote(part))} - {""}
