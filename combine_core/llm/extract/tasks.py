"""Tell the sentences that say what is to be done, and by whom."""

import re

from combine_core.language import lowered
from combine_core.llm.extract.clauses import says_so
from combine_core.llm.extract.due import due_date
from combine_core.llm.extract.sentence import (
    NO_ITEM,
    Section,
    Sentence,
    ends_in_number,
    is_option,
    is_question,
)
from combine_core.llm.extract.vocabulary import Vocabulary
from combine_core.readers import BlockKind

_TITLE = r"(?:Mrs?|Ms|Dr|Prof|Herrn?|Frau)\.?"
_CAPITALISED = r"[A-ZÀ-Þ][\w'’.-]*"
_NAME = (
    rf"(?:@[\w-]+|{_TITLE} [^\W\d_]+|{_CAPITALISED}(?: (?:{_CAPITALISED}|de|du|von|van)){{0,3}})"
)
# "ehuss will follow up", behind "Action item:".
_NICKNAME = re.compile(r"(?P<name>[a-z][\w-]+) (?:will|to|is to|should) ")
_OWNER = re.compile(rf"(?P<owner>{_NAME}(?:(?:,| and| und| &|/) ?{_NAME}){{0,3}})\s+")
_TOPIC = re.compile(r"\w[\w /&-]{2,40}(?::| ?[-–]) +")
_HANDLE = re.compile(r"(?<![\w.])@[A-Za-z][\w-]*")
_TITLED = re.compile(rf"{_TITLE} ")
_REQUEST = re.compile(r"\W*(?:please|bitte)\b")
_TODO = re.compile(r"\bTODO\b")


def names_group(sentence: Sentence) -> bool:
    """Check for an entry below "Action items" that only names what the tasks below it are about."""
    words = sentence.words
    return not (
        words.imperative.match(sentence.low)
        or says_so(sentence.text, words)
        or _person_in_charge(sentence, sentence.text, sentence.low, words)
    )


def is_action(sentence: Sentence, said: str, low: str, section: Section, words: Vocabulary) -> bool:
    """Check whether a sentence says what is to be done.

    :param said: its words behind a label such as "Action:"
    :param low: the same in lower case
    """
    block = sentence.block
    if block.done is False:
        return True
    nameless = block.kind is BlockKind.CUE and not block.speaker
    if is_question(said) or block.kind is BlockKind.QUOTATION or nameless:
        return False
    if ends_in_number(sentence):
        return False
    labelled = said != sentence.text
    if section is Section.ACTION and (sentence.first or labelled):
        return not NO_ITEM.fullmatch(said)
    if words.action.match(low) or ("TODO" in said and _TODO.search(said)):
        return True
    if not _calls_for_action(sentence, said, low, section, words):
        return False
    return not words.not_decided.search(low) or words.to_be_done.search(low) is not None


def _calls_for_action(
    sentence: Sentence, said: str, low: str, section: Section, words: Vocabulary
) -> bool:
    block = sentence.block
    # "Open Source Day" is a title. German writes nouns large.
    title = said.istitle() and not words.verb_first
    imperative = words.imperative.match(low) is not None and not title
    if section is Section.ACTION and imperative:
        return True
    if ((block.number and sentence.first) or section is Section.OUTCOME) and imperative:
        return not is_option(sentence)
    if sentence.spoken:
        promises = words.i_will.search(low) or words.opens_promise.match(low)
        return promises is not None and not sentence.language.condition.search(said)
    if block.kind is BlockKind.TABLE_ROW:
        return False
    if words.opens_action.match(low) or (imperative and due_date(said, low, words)):
        return True
    if block.kind is BlockKind.LIST_ITEM and (
        words.opens_promise.match(low) or _ends_with(words.to_be_done, low)
    ):
        return True
    return bool(_person_in_charge(sentence, said, low, words))


def _ends_with(pattern: re.Pattern[str], text: str) -> bool:
    return any(len(text) - match.end() < 25 for match in pattern.finditer(text))


def _person_in_charge(sentence: Sentence, said: str, low: str, words: Vocabulary) -> str:
    """Return the owner in "Tom to ask" or "Mrs Olsen will sign"; empty if there is none."""
    # "Storage: Tom will order the parts".
    topic = _TOPIC.match(said)
    for start in (0, topic.end()) if topic else (0,):
        person = _OWNER.match(said, start)
        if person is None or not words.takes_on.match(low, person.end()):
            continue
        name = person["owner"]
        first = name.split()[0].rstrip(",")
        if words.no_owner.fullmatch(lowered(first)) or words.imperative.match(low):
            continue
        known = (
            name.startswith("@")
            or _TITLED.match(name)
            or first in sentence.people
            or (sentence.section is Section.ACTION and sentence.first)
            or sentence.block.done is False
            or (words.due.search(low, person.end()) and due_date(said, low, words))
        )
        if known:
            return name
    return ""


def owner_of(sentence: Sentence, said: str, low: str, label: re.Match[str] | None) -> str:
    """Return who is to do it: a name of the label or the sentence, or the speaker; empty if unknown."""
    words = sentence.words
    if label is not None and label["owner"]:
        return label["owner"].strip()
    if person := _person_in_charge(sentence, said, low, words):
        return person
    if label is not None and (nickname := _NICKNAME.match(said)):
        name = nickname["name"]
        if not words.no_owner.fullmatch(name) and not words.imperative.match(low):
            return name
    handle = _HANDLE.search(said)
    if handle is None:
        speaker = sentence.block.speaker
        if _REQUEST.match(low):
            return ""  # "Please send me the plan" is for those who are spoken to
        return "" if words.no_owner.fullmatch(lowered(speaker)) else speaker
    before = low[: handle.start()].split()
    # "Contact @anna" says with whom.
    if before and (before[-1] in words.full_verbs or before[-1] in words.prepositions):
        return ""
    return handle[0]
