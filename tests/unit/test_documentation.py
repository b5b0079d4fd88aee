"""Tests that the links, commands, options and endpoints in the documentation exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from combine_core.cli import main
from combine_core.yaml_files import load_yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# The texts of the service are checked, too.
PACKAGES = ("combine_health", "combine_core", "combine_auth")
OURS = [
    *(one for one in PAGES if one.name != "CHANGES.md"),
    *ROOT.glob("*.ini"),
    ROOT / ".env.example",
    *(one for package in PACKAGES for one in sorted((ROOT / package).rglob("*.*"))),
]
_TEXTS = {".md", ".jinja2", ".toml", ".yaml", ".ini", ".py", ".example"}


def anchors(page: Path) -> set[str]:
    """Return the fragments of the headings, as GitHub generates them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


def test_links_have_targets() -> None:
    broken = []
    for page in PAGES:
        for path, _, fragment in re.findall(r"\]\(([^)#\s]*)(#([^)]*))?\)", page.read_text()):
            if "://" in path:
                continue
            target = (page.parent / path) if path else page
            if not target.exists() or (fragment and fragment not in anchors(target)):
                broken.append(f"{page.relative_to(ROOT)}: {path}#{fragment}")
    assert broken == []


# These are names of our processes in PostgreSQL, not commands.
PROCESSES = {"web", "command"}


def commands_named() -> Iterator[tuple[str, list[str]]]:
    """Return each command in our files, with its place and its words."""
    for file in [one for one in OURS if one.suffix in _TEXTS]:
        text = file.read_text()
        for found in re.finditer(
            r"(?:`|^|/)combine ([a-z][^`|()#;&>\n]*)(?:`|$)", text, re.MULTILINE
        ):
            try:
                words = shlex.split(found[1])
            except ValueError:
                words = found[1].split()
            line = text.count("\n", 0, found.start()) + 1
            if words[0] not in PROCESSES:
                yield f"{file.relative_to(ROOT)}:{line}", words


def missing(words: list[str]) -> str | None:
    """Return the word that is not a command or an option."""
    command: click.Command | None = main
    context = click.Context(main)
    for word in words:
        if isinstance(command, click.Group):
            command = command.get_command(context, word)
            if command is None:
                return word
        elif command is None or command.context_settings.get("ignore_unknown_options"):
            # It passes its arguments on.
            return None
        elif word.startswith("-"):
            known = {name for one in command.params for name in one.opts + one.secondary_opts}
            if word.partition("=")[0] not in known | {"--help"}:
                return word
    return None


def test_commands_exist() -> None:
    named = list(commands_named())
    assert len(named) > 100
    wrong = [(where, word) for where, words in named if (word := missing(words)) is not None]
    assert wrong == []


def test_endpoints_of_the_table_exist() -> None:
    existing = set()
    for description in (one for one in OURS if one.name == "openapi.yaml"):
        for path, operations in load_yaml(description.read_text()).get("paths", {}).items():
            existing |= {(method.upper(), path.removeprefix("/")) for method in operations}
    promised = set()
    for row in re.findall(
        r"^\| (`[A-Z]+[` ].*?) \|", (ROOT / "docs/api.md").read_text(), re.MULTILINE
    ):
        methods: list[str] = []
        for word in re.findall(r"`([^`]*)`", row):
            method, _, path = word.partition(" ")
            methods.append(method)
            if path:
                promised |= {(one, path) for one in methods}
                methods = []
    assert len(promised) > 30
    assert promised - existing == set()


# A docstring that starts like this hints at an answer instead of giving it: "What a quote stands
# in."
_RIDDLE = re.compile(
    r'^ *"""(?:What|Who|Whom|Whose|Which|How|Whether|Of|Nobody|None|If)\b.*', re.MULTILINE
)


# The name of a test says which behaviour it proves: "test_what_is_refused" does not.
_RIDDLING_NAME = re.compile(
    r"^ *def (test_(?:what|who|whom|whose|whoever|which|how|whether|of|nobody|none|odd|it|they)_\w*)",
    re.MULTILINE,
)


def found_in(pattern: re.Pattern[str], folders: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the matches of the pattern in the Python files of these folders, by file."""
    files = {
        str(file.relative_to(ROOT)): pattern.findall(file.read_text())
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
        if "node_modules" not in file.parts
    }
    assert len(files) > 250
    return {name: found for name, found in files.items() if found}


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    assert found_in(_RIDDLE, (*PACKAGES, "tests", "benchmarks")) == {}


def test_names_of_tests_say_the_behaviour() -> None:
    assert found_in(_RIDDLING_NAME, ("tests",)) == {}
