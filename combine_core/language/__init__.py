"""Knowledge of languages: the words in `words/`, one file for each, and a sentence splitter."""

from combine_core.language.language import (
    OTHER,
    Language,
    labels,
    language_named,
    language_of,
    lowered,
    month_names,
)
from combine_core.language.sentences import plain_text, sentence_spans, silenced_at

__all__ = [
    "OTHER",
    "Language",
    "labels",
    "language_named",
    "language_of",
    "lowered",
    "month_names",
    "plain_text",
    "sentence_spans",
    "silenced_at",
]
