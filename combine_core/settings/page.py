"""``docs/configuration.md``, written from the declarations."""

import tempfile
from collections.abc import Iterable, Iterator

from combine_core.settings.declare import ANY_NAME, AddonSettings, Declared, shown
from combine_core.settings.environment import Environment
from combine_core.settings.guests import APPLICATION, Guest
from combine_core.settings.guests import Declared as GuestDeclared
from combine_core.settings.installed import Installed

_INTRODUCTION = """\
# Configuration

This page is the output of `combine settings --markdown`; a test keeps the two equal. To see what
counts on a machine, and where each value came from, run `combine settings -c production.ini`.

A value is looked for in this order; the first one found counts:

1. the environment, under the name of the variable;
2. the file `.env` beside the ini file, under the same name;
3. the ini file, section `[app:main]` where no other is given, under the ini key;
4. the default.

- An empty value counts as not set.
- Every variable with a name of its own is also understood under the name made from the ini key:
  `DB_POOL_SIZE` and `COMBINE_CORE_DB_POOL_SIZE` are the same.
- Write values without quotes. The `.env` may have quotes around a whole value; nothing in it is
  replaced, so that `$x` stays `$x`. Docker Compose and the shell, which read the same file, do
  replace it: keep `$` out of values.
- In an ini file a `%` is written `%%`. Secrets belong into the environment or the `.env`.
- The server reads `PORT` and `LISTEN` before there is an application, from the environment and the
  ini file alone.
- A misspelt ini key stops the start; a misspelt variable is named in a warning.
- A start with wrong settings is refused with all of them named at once. In development, what can
  be lived with is a warning.
"""

_HEAD = (
    "| Variable | Ini key | Value | Default | Meaning |",
    "| --- | --- | --- | --- | --- |",
)


def configuration_page(installed: Installed) -> str:
    """The page in Markdown, with a section for each add-on."""
    sections = [_INTRODUCTION]
    for cls in installed.classes:
        about = (cls.__doc__ or "").partition("\n")[0]
        rows = (_row(declared) for declared in cls.extended(_any_name(cls)).declared())
        sections.append(_section(cls.addon, about, rows))
    for addon, guest in installed.guests.items():
        sections.append(_section(addon, "", _guest_rows(guest)))
    return "\n".join(sections)


def _any_name(cls: type[AddonSettings]) -> tuple[str, ...]:
    return (ANY_NAME,) if cls.named_by else ()


def _section(addon: str, about: str, rows: Iterable[str]) -> str:
    lines = [f"## {addon}", ""]
    if about:
        lines += [about, ""]
    return "\n".join([*lines, *_HEAD, *rows, ""])


def _row(declared: Declared) -> str:
    traits = declared.traits
    help_ = traits.help + (" Secret." if traits.secret else "")
    default = declared.default_shown
    if traits.default_shown is None and default:
        default = f"`{default}`"
    required = _required(traits.required_in)
    if required:
        default = f"{required}; else {default}" if default else required
    return _line(f"`{declared.variable}`", f"`{declared.ini_key}`", traits.shape, default, help_)


def _required(environments: frozenset[Environment]) -> str:
    names = " and ".join(e for e in Environment if e in environments)
    return f"required in {names}" if names else ""


def _guest_rows(guest: Guest) -> Iterator[str]:
    for declared in guest.declared():
        key = f"`{declared.name}`"
        if declared.section != APPLICATION:
            key += f" in `[{declared.section}]`"
        yield _line(
            f"`{declared.variable}`", key, declared.type, _guest_default(declared), declared.help
        )


def _guest_default(declared: GuestDeclared) -> str:
    if declared.default in (None, (), ""):
        return ""
    text = shown(declared.default)
    # The page is the same on every machine.
    folder = tempfile.gettempdir()
    if text.startswith(folder):
        return f"`{text.removeprefix(folder).lstrip('/')}` in the folder for temporary files"
    return f"`{text}`"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
