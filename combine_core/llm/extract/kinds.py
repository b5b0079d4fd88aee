"""Classify a sentence as a decision, an action, an open question, a number, a statement, or nothing.

A question that somebody may have answered is not open.
"""

import re

from combine_core.language import lowered
from combine_core.llm.extract.clauses import rests_on_more
from combine_core.llm.extract.decisions import (
    is_decision,
)
from combine_core.llm.extract.due import due_date
from combine_core.llm.extract.quantities import has_quantity
from combine_core.llm.extract.sentence import (
    BEGINNING,
    NO_ITEM,
    TWO_WORDS,
    UNSPACED,
    Kind,
    Reading,
    Section,
    Sentence,
    is_question,
    is_restricted,
    is_sentence,
    matter_of,
    section_named,
    section_of,
    stands_alone,
)
from combine_core.llm.extract.tasks import is_action, owner_of
from combine_core.llm.extract.vocabulary import Vocabulary
from combine_core.readers import BlockKind

# Most sentences are one of these.
_STATEMENTS = {figures: Reading(Kind.STATEMENT, figures=figures) for figures in (False, True)}
_WHOLE_DECISION = 5
_LETTER = re.compile(r"[^\W\d_]")
_LABEL = re.compile(
    r"\W*(?P<label>[^\W\d_][\w /-]{0,30}?)(?: ?\((?P<owner>[^()]{2,40})\))?\W{0,2}:\s+"
)
# How a robot on IRC is told what to note: "#agreed We buy the pump".
_COMMAND = re.compile(r"#(?P<label>[a-z]+)(?P<owner>) +")
_URL = re.compile(r"https?://\S+")
# "Price: 900", in a row that names its columns.
_CELL_OF_FIGURES = re.compile(r": [€$£]?\d[\d.,]* ?(?:%|[€$£])?(?:;|$)")
# So many spaces at least. "Rate limiting?" asks nothing without the text around.
_SHORTEST_QUESTION = 2
# How an agenda begins or ends an entry: "10 min - Discussion of the draft", "Accessibility (10 minutes)".
_SLOT = re.compile(
    r"[\d+–-]+ ?min\w*(?: [-–]|(?: total| left)?\W*\Z)|expected time\b|.*\([^()]*\d+ ?min\w*\)\W*\Z",
    re.IGNORECASE,
)
# The last line of minutes: "Rodenbach, den 20. Juni 2020".
_SIGNED = re.compile(r"[^\W\d][\w -]{1,40}, (?:de[nr] |am )?\d{1,2}\. ?[\w]{1,9}\.? ?\d{4}")
# "anna - could we wait?", in notes of a talk.
_SAID = re.compile(r"[\w@-]+ [-–] ")
# A word that no title writes large.
_SMALL = re.compile(r"\s[^\W\d_A-ZÄÖÜ]")
# In a requirement, "is open" is a state.
_SHALL = re.compile(r"\bshall\b")
_LABELLED = frozenset({"decision", "action", "question", "silent", "attendance"})


def read_sentence(sentence: Sentence) -> Reading | None:
    """Classify a sentence; ``None`` if it states nothing on its own."""
    text = sentence.text
    if text[:1] == ".":
        return None  # "...or the other one"
    if sentence.section is Section.SILENT or not _says_something(sentence):
        return None
    if ("min" in sentence.low or "time" in sentence.low) and _SLOT.match(text):
        return None
    words = sentence.words
    formal = any(map(sentence.low.__contains__, words.formality_signs))
    if _SIGNED.fullmatch(text) or (formal and words.formality.search(sentence.low)):
        return None
    label = _LABEL.match(text) if ":" in text else _COMMAND.match(text)
    labelled = _section_of_label(label, words)
    if labelled is Section.SILENT:
        return None
    section = labelled or sentence.section
    said, low = text, sentence.low
    if label is not None and labelled:
        said, low = said[label.end() :], low[label.end() :]
    if sentence.block.done is not True and is_action(sentence, said, low, section, words):
        owner = owner_of(sentence, said, low, label if labelled else None)
        return Reading(Kind.ACTION, owner, due_date(said, low, words))
    if is_question(text):
        return Reading(Kind.QUESTION) if _is_open_question(sentence, section) else None
    thought = words.aloud.search(low) or words.commits.match(low)
    if (
        section is Section.QUESTION
        and sentence.first
        and not NO_ITEM.fullmatch(said)
        and not thought
    ):
        clear = (
            BEGINNING.match(text) and not words.vague.search(low) and not rests_on_more(low, words)
        )
        return Reading(Kind.QUESTION) if clear else None
    signs = any(map(sentence.low.__contains__, words.signs))
    if (
        signs
        and not sentence.spoken
        and words.open.search(sentence.low)
        and not is_restricted(text, sentence.language)
        and not _SHALL.search(sentence.low)
        and not rests_on_more(sentence.low, words)
    ):
        return Reading(Kind.QUESTION)
    if (signs or section is Section.DECISION) and is_decision(sentence, said, low, section, words):
        return Reading(Kind.DECISION)
    # Below further titles of one decision, most sentences are about its details.
    if words.commits.match(low) and any(
        map(words.one_decision.fullmatch, map(lowered, sentence.block.headings))
    ):
        return Reading(Kind.DECISION)
    return _STATEMENTS[section is not Section.SUMMARY]


def is_clear(sentence: Sentence, kind: Kind) -> bool:
    """Check that a decision or a task tells what it is about. The title right above it may tell it."""
    words, headings = sentence.words, sentence.block.headings
    if kind is Kind.ACTION:
        return not rests_on_more(sentence.low, words)
    if words.by_title.match(sentence.low):
        matter = matter_of(headings, sentence.language)
        return bool(matter) and not words.procedure.fullmatch(lowered(matter))
    # "Agreed to paint the hall" is whole.
    opens = (
        words.opens_decision.match(sentence.low) and len(sentence.low.split()) >= _WHOLE_DECISION
    )
    depends = words.depends.match(sentence.low) and not opens
    if sentence.first and (rests_on_more(sentence.low, words) or depends):
        return False
    titled = section_of(headings[-1:], sentence.language) is Section.DECISION
    if titled or sentence.section is not Section.DECISION:
        return True
    return BEGINNING.match(sentence.text) is not None and is_sentence(sentence)


def kind_of(sentence: Sentence, reading: Reading) -> Kind:
    """The kind of what was read. A statement may be a number, which takes time to find out."""
    if reading.kind is not Kind.STATEMENT:
        return reading.kind
    row = sentence.block.kind is BlockKind.TABLE_ROW
    figures = (row and _CELL_OF_FIGURES.search(sentence.text)) or (
        reading.figures
        and _is_for_the_record(sentence)
        and has_quantity(
            sentence.text, sentence.low, sentence.language, sentence.codes, spoken=sentence.spoken
        )
    )
    return Kind.NUMBER if figures else Kind.STATEMENT


def is_labelled_decision(sentence: Sentence) -> bool:
    """Check whether a sentence begins with a label such as "Decision:"."""
    label = _LABEL.match(sentence.text) if ":" in sentence.text else None
    return _section_of_label(label, sentence.words) is Section.DECISION


def _is_for_the_record(sentence: Sentence) -> bool:
    """Check that a number is no small talk, such as "we have five minutes left"."""
    return not sentence.spoken or (
        any(map(str.isdecimal, sentence.text))
        and sentence.text.count(" ") > 2
        and stands_alone(sentence)
    )


def _says_something(sentence: Sentence) -> bool:
    text = sentence.text
    if text.rstrip("*_ ").endswith((":", ",")):
        return False  # it announces what follows
    if text[-1:].isalpha() and sentence.words.unfinished.search(sentence.low, len(text) - 12):
        return False
    if " " not in text and not UNSPACED.search(text):
        return False  # a name
    if TWO_WORDS.match(_URL.sub("", text) if "://" in text else text):
        return _LETTER.search(text) is not None
    return len(text) >= 4 and UNSPACED.search(text) is not None


def _section_of_label(label: re.Match[str] | None, words: Vocabulary) -> Section | None:
    if label is None:
        return None
    title = label["label"].strip().casefold()
    for name, pattern in words.sections.items():
        if name in _LABELLED and pattern.fullmatch(title):
            return section_named(name)
    return None


def _is_open_question(sentence: Sentence, section: Section) -> bool:
    words = sentence.words
    if words.vague.search(sentence.low) or rests_on_more(sentence.low, words):
        return False  # it means nothing without the sentence before
    if not sentence.block.speaker and words.aloud.search(sentence.low):
        return False
    if section is Section.QUESTION:
        return True
    mail = bool(sentence.block.speaker) and not sentence.spoken
    instructs = sentence.block.number and not mail
    if instructs or sentence.text[0] == "(" or not words.asks.search(sentence.low):
        return False  # an instruction that asks the reader, or a fragment
    if (not mail and words.addresses.search(sentence.low)) or not _SMALL.search(sentence.text):
        return False
    # What follows may answer it.
    return (
        (sentence.last or mail)
        and sentence.text.count(" ") >= _SHORTEST_QUESTION
        and not sentence.spoken
        and sentence.block.kind is not BlockKind.QUOTATION
        and not _LABEL.match(sentence.text)
        and not _SAID.match(sentence.text)
    )
