"""Reads vocabulary.yaml: the words and phrases that tell what a sentence is."""

import re
from importlib.resources import files
from typing import Any

import yaml

_LISTS: dict[str, dict[str, Any]] = yaml.safe_load(
    files(__package__).joinpath("vocabulary.yaml").read_text("utf-8")
)


def _word_sets(section: str) -> dict[str, frozenset[str]]:
    return {name: frozenset(words.split()) for name, words in _LISTS[section].items()}


WORDS = _word_sets("words")
LABELS = _word_sets("labels")
NAMES = _word_sets("names")
# These search the words of a text between single spaces, with a space at both ends.
PHRASES = {
    name: re.compile(f" (?:{'|'.join(map(re.escape, phrases))}) ")
    for name, phrases in _LISTS["phrases"].items()
}
CURRENCY_SIGNS = frozenset("€$£¥%‰")
