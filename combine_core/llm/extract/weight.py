"""Weigh sentences: how much they say, and how well they are understood alone."""

import re
from operator import itemgetter

from combine_core.language import plain_text
from combine_core.llm.extract.sentence import NUMBERED_TITLE, Section, Sentence, stands_alone
from combine_core.readers import Block, BlockKind

_WORD = re.compile(r"[^\W\d_]\w+")
_first_letter = itemgetter(0)
# With fewer words, a line without a full stop is a fragment: "The weekly call".
_FRAGMENT = 6
_DIGIT = re.compile(r"\d")
_PLANS = re.compile(
    r"(?:\S+ ){1,4}(?:will|to|should|must|shall|soll|sollen|wird|werden|muss|müssen) "
)


def discount_of(text: str, block: Block, following: Block | None) -> int:
    """By how much a block counts less, because it names what stands below it."""
    words = text[block.body : block.end].strip()
    if following is None:
        return 1
    if block.kind is BlockKind.PARAGRAPH:
        below = following.kind in (BlockKind.LIST_ITEM, BlockKind.HEADING)
        title = below and words[-1:] not in ".!?:…" and len(words) < 80
        return 3 if title or words[:1].islower() else 1
    if "#" in words and NUMBERED_TITLE.search(words):
        return 3
    named = len(following.headings) > len(block.headings) and (
        following.headings[-1] == plain_text(words).rstrip(":")
    )
    return 2 if named else 1


def weight_of(sentence: Sentence) -> float:
    """Return the weight of a sentence: 0.0 if it should not be shown, about 1.0 if it is a good one."""
    text, block = sentence.text, sentence.block
    # "This alert" below "Meaning" is what the text is about.
    about_itself = sentence.section is Section.SUMMARY and sentence.first and len(text.split()) > 2
    if not about_itself and not stands_alone(sentence):
        return 0.0
    if block.done and (sentence.words.imperative.match(sentence.low) or _PLANS.match(text)):
        return 0.0  # a task, which is done
    words = _WORD.findall(text)
    weight = 1.0 if 6 <= len(words) <= 70 else 0.6 if len(words) >= 3 else 0.0
    padded = f" {sentence.low} "
    if not block.speaker and any(map(padded.__contains__, sentence.words.speaks)):
        weight -= 1.0  # "I" without a speaker
    if text[-1:] not in ".!…。)":
        weight -= 0.1 if len(words) >= _FRAGMENT or block.done is not None else 0.3
    capitals = 0 if text[1:].islower() else sum(map(str.isupper, map(_first_letter, words[1:])))
    weight += 0.15 * min(capitals + (_DIGIT.search(text) is not None), 3)
    if sentence.spoken:
        weight -= 0.6 if block.kind is BlockKind.MESSAGE else 0.9
        if text.partition(":")[0] in sentence.people:
            return 0.0  # an answer to somebody
        if sentence.words.agrees.search(sentence.low):
            weight += 0.8
    if block.kind in (BlockKind.TABLE_ROW, BlockKind.QUOTATION):
        weight -= 0.2 if block.columns else 0.4
    if sentence.section is Section.SUMMARY:
        weight += 1.2 if sentence.first else 0.8
    elif sentence.section is Section.OUTCOME:
        weight += 0.5
    if sentence.first:
        weight += 0.1
    return max(weight, 0.0)
