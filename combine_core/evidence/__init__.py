"""Judges whether sources carry the statements of an answer, by rules alone: no model, no network, no chance.

A statement is an object of an answer with a list ``evidence``. Its verdict is ``supported``, ``repaired``
(supported after a harmless difference was repaired, which is recorded) or ``unsupported``, with reasons as
codes.

1. ``quotes``: the quote is looked for in the source.
2. ``passage``: it is completed to its whole sentence, table row or message
   (``combine_core.readers``).
3. ``rules``: what the statement says (``facts``) has to stand there, with the same negation, condition and so
   on. ``combine_core.language`` has the words of each language.
4. ``judge`` makes a verdict of that, and ``answer`` does so for each statement of an answer.
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
