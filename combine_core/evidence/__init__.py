"""Judges by rules whether sources support the statements of an answer. It calls no model and no network.

A statement is an object of an answer with a list ``evidence``. Its verdict is ``supported``, ``repaired``
(supported after a harmless difference in the quote was repaired and recorded) or ``unsupported``, with the
codes of the reasons.

1. ``quotes`` finds the quote in the source.
2. ``passage`` extends it to its whole sentence, table row or message (``combine_core.readers``).
3. ``facts`` parses words, names, numbers, dates and times, ``case`` splits sentences into clauses, and
   ``rules`` compares the statement with the passage, with the word lists of ``combine_core.language``.
4. ``judge`` gives one statement its verdict, and ``answer`` each statement of an answer.
"""

from combine_core.evidence.answer import (
    Support,
    can_hold_statements,
    count_verdicts,
    judge_answer,
    statements_of,
)
from combine_core.evidence.judge import Verdict
from combine_core.evidence.quotes import SourceText
from combine_core.evidence.reasons import reason_in_words, repair_in_words

__all__ = [
    "SourceText",
    "Support",
    "Verdict",
    "can_hold_statements",
    "count_verdicts",
    "judge_answer",
    "reason_in_words",
    "repair_in_words",
    "statements_of",
]
