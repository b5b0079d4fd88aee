"""How an add-on declares its settings, and how a fault in one is described."""

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

# Stands for any name in the documentation of settings that exist once per name in a list.
ANY_NAME = "NAME"
MASK = "********"
_EXTRA = "combine"


class Environment(StrEnum):
    """Where the service runs. What stops a start depends on it."""

    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


EVERYWHERE = frozenset(Environment)
NOWHERE: frozenset[Environment] = frozenset()
# Where other people depend on the service.
DEPLOYED = frozenset({Environment.STAGING, Environment.PRODUCTION})
# Development warns where the others refuse to start.
NOT_DEVELOPMENT = EVERYWHERE - {Environment.DEVELOPMENT}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to fix: the variable, what is wrong with it, what to write. Never its value."""

    variable: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.variable} {self.what}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a setting, before it is known whether that stops the start.

    :ivar what: continues a sentence that begins with the variable
    :ivar remedy: what to write; if empty, the remedy that the setting declares
    :ivar refused_in: the environments that refuse to start; the others log a warning
    """

    what: str
    remedy: str = ""
    refused_in: frozenset[Environment] = EVERYWHERE


class Unusable(ValueError):
    """A text that cannot be read as a value, with everything that is wrong with it."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("; ".join(finding.what for finding in findings))
        self.findings = findings


class ConfigurationEnvironmentError(Exception):
    """The service cannot start with these settings. Names every problem at once, and no secret."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"  {problem}" for problem in self.problems)])

    @property
    def headline(self) -> str:
        """The number of settings to fix, as a sentence."""
        count = len({problem.variable for problem in self.problems})
        return f"{count} setting{'s' if count > 1 else ''} to fix before the service can start"

    @property
    def one_line(self) -> str:
        """The message for the log: one line that contains the word EnvironmentError."""
        numbered = (f"({n}) {problem}" for n, problem in enumerate(self.problems, 1))
        return f"{type(self).__name__}: {self.headline}: {' '.join(numbered)}"


class Kind(Enum):
    """How strictly a text is examined before it is read as a value."""

    WORD = "written by or for a program: quotes and placeholders are mistakes"
    KEY = "random: a placeholder anywhere in it is a mistake"
    PROSE = "written for people: quotes and ordinary words are allowed"


@dataclass(frozen=True, slots=True)
class Place:
    """The circumstances that settings may depend on.

    :ivar environment: the environment whose rules apply
    :ivar here: the folder of the ini file; relative paths start there
    :ivar port: the port that the server will listen on
    """

    environment: Environment
    here: Path
    port: int


@dataclass(frozen=True, slots=True)
class Given:
    """What was set for one add-on.

    :ivar usable: the values that could be read, by field
    :ivar unusable: the fields whose text could not be read, or is a placeholder
    """

    usable: Mapping[str, Any]
    unusable: AbstractSet[str]
    place: Place

    def __contains__(self, field: str) -> bool:
        return field in self.usable

    def lacks(self, field: str) -> bool:
        """Whether the field was not set at all."""
        return field not in self.usable and field not in self.unusable


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One declared setting. The keyword arguments of :func:`setting` are its attributes.

    :ivar help: one or two sentences for the table and docs/configuration.md
    :ivar variable: its environment variable; ``ADDON_FIELD`` is always understood, too
    :ivar key: its ini key without the add-on's name, such as ``google.client_id``; the field's name
        is always understood, too
    :ivar secret: its value is never shown
    :ivar tolerated: the service starts without it if it is wrong; the add-on reports that itself,
        from :meth:`AddonSettings.faults`
    :ivar required_in: the environments that do not start without it
    :ivar write: the remedy: what to write if it is missing or a placeholder
    :ivar shape: what a value looks like, for the documentation: "whole number, 1 to 500"
    :ivar default_shown: the default in words, if it is worked out
    :ivar kind: how strictly its text is examined
    :ivar mask: shows a secret value in part; without it, nothing is shown
    :ivar names: all its environment variables; messages use the first
    :ivar ini_keys: all its keys in ``[app:main]``; the documentation uses the first
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
        """The ini key that the documentation names."""
        return self.ini_keys[0]

    @property
    def default_text(self) -> str:
        """The default as people read it; empty for none."""
        return shown(self.default) if self.default_shown is None else self.default_shown

    def of(self, addon: str, field: str) -> "Setting":
        """The same setting as a field of an add-on, with the names that follow from that."""
        keys = tuple(dict.fromkeys(f"{addon}.{one}" for one in (self.key, field) if one))
        derived = (key.replace(".", "_").upper() for key in keys)
        names = tuple(dict.fromkeys(name for name in (self.variable, *derived) if name))
        return replace(
            self, variable=names[0], addon=addon, field=field, names=names, ini_keys=keys
        )


def setting(default: Any = None, **attributes: Any) -> Any:
    """A field of an :class:`AddonSettings`; the attributes are those of :class:`Setting`."""
    declared = Setting(default=default, **attributes)
    return Field(default, description=declared.help, json_schema_extra={_EXTRA: declared})  # type: ignore[dict-item]


def parsed(parse: Callable[[str], Any]) -> BeforeValidator:
    """For ``Annotated``: `parse` reads texts, or raises ``Unusable``; other values pass."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


class AddonSettings(BaseSettings):
    """The settings of one add-on: a subclass has an `addon` and a :func:`setting` per field.

    An instance holds what its constructor is given; ``load_all`` reads the values from the sources.
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
        # An exception of pydantic's would otherwise show the value.
        hide_input_in_errors=True,
    )

    addon: ClassVar[str]
    # The field that lists names, each of which has settings of its own (`of_name`); "" for none.
    named_by: ClassVar[str] = ""

    _faults: dict[str, tuple[Problem, ...]] = PrivateAttr(default_factory=dict)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        # The variables' names follow from the add-on's name, which is known only now.
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
        """``load_all`` asks the sources field by field, to tell where each value came from."""
        return (init_settings,)

    @classmethod
    @functools.cache
    def declared(cls) -> tuple[Setting, ...]:
        """Its settings, in the order of their declaration."""
        fields = cls.model_fields.items()
        return tuple(declared_setting(cls.addon, name, info) for name, info in fields)

    @classmethod
    def of_name(cls, name: str) -> Mapping[str, tuple[Any, Any]]:  # noqa: ARG003
        """The settings of one name in `named_by`: annotation and :func:`setting`, by field."""
        return {}

    @classmethod
    def extended(cls, names: Iterable[str]) -> type[Self]:
        """Return this class with the settings of these names; existing fields stay."""
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

    def tell_faults(self, faults: Mapping[str, tuple[Problem, ...]]) -> None:
        """Used by the loader: what is wrong with tolerated settings, by field."""
        self._faults.update(faults)

    def faults(self, field: str) -> tuple[Problem, ...]:
        """Why a tolerated setting that was given counts as not set."""
        return self._faults.get(field, ())

    def secrets(self) -> frozenset[str]:
        """The secret values themselves, to keep them out of texts."""
        held = ((getattr(self, one.field), one.default) for one in self.declared() if one.secret)
        # A default stands in the code, for everyone to read.
        own = (value for value, default in held if value != default)
        each = (part for value in own for part in (value if isinstance(value, tuple) else (value,)))
        values = (one.get_secret_value() for one in each if isinstance(one, SecretStr))
        return frozenset(form for value in values for form in _forms(value))

    @classmethod
    def worked_out(cls, given: Given) -> Mapping[str, Any]:  # noqa: ARG003
        """Values, by field, that follow from what was given or from the place."""
        return {}

    def findings(self, given: Given) -> Iterable[tuple[str, Finding]]:  # noqa: ARG002
        """What is wrong with a value, or between settings, as (field, finding).

        A field that was not given holds its default here.
        """
        return ()


def declared_setting(addon: str, field: str, info: FieldInfo) -> Setting:
    """The setting that a field declares. Raises TypeError without :func:`setting`."""
    extra: Any = info.json_schema_extra
    declared = extra.get(_EXTRA) if isinstance(extra, dict) else None
    if not isinstance(declared, Setting):
        raise TypeError(f"{addon}.{field} is not declared with setting()")
    return declared.of(addon, field)


def shown(value: Any) -> str:
    """A value as the table shows it and as it could be written. Never call it with a secret."""
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
    """What of a secret to mask, percent-encoded and decoded: of a URL only the passwords in it."""
    _, separator, rest = secret.partition("://")
    hidden = [rest.rpartition("@")[0].partition(":")[2]] if separator else [secret]
    hidden += re.findall(r"(?:password|secret|token|key)=([^&]+)", rest)
    return {form for one in hidden for form in (one, unquote(one))} - {""}
