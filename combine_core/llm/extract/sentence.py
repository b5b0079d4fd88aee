"""A sentence of a source with its block, and whether it can be understood alone."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from combine_core.language import Language, lowered
from combine_core.llm.extract.clauses import is_order, reports, rests_on_more, says_so
from combine_core.llm.extract.vocabulary import Vocabulary, vocabulary_of
from combine_core.readers import Block, BlockKind

# Of a sentence; "2: if it rains" is a part of one.
BEGINNING = re.compile(
    r"(?:\([A-Z]{2,3}\) )?[^\W_](?!\d?[:)] )"
    r"|\"[^\"]+\"|'[^']+'(?!\w)|“[^”]+”|„[^“”]+[“”]|«[^»]+»"
)
# The fewest words of a row that is a record, whose columns have no names.
_RECORD = 5
# A question with its answer.
_ANSWERED = re.compile(r"[^?(]{20,}\?\W* \w")
TWO_WORDS = re.compile(r"\W*\w++(?:[-'’]\w++)*+\W+\w")
# Little more than an address.
_ADDRESS = re.compile(r"(?:.*:|(?:\S+ ){0,4}\S+) <?https?://\S+\W*")
# "Self-serve model [#1747](...)" is the title of a discussion.
NUMBERED_TITLE = re.compile(r"\[?#\d+\]?(?:\([^()\s]*\))?\s*\Z")
# Scripts without spaces between words.
UNSPACED = re.compile("[\u0e00-\u0eff\u2e80-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]")
# "Time to recovery: 5 minutes", "Impact: 38 minutes without sign-in".
_LABELLED_FIGURE = re.compile(
    r"(?:\A|; )[^\W\d_][^:;?]{2,40}: (?:(?:[Aa]bout|[Cc]a\.|[Rr]und|[Ee]twa|[Aa]pprox\.) )?"
    r"[€$£~]?\d[\d.,]*(?: ?[^\W\d_]+| ?[%€$£])?"
    r"(?=;|\W*\Z|,? (?:\(|without|with|during|for|from|between|of|per|ohne|mit|während|von|pro) ?)"
)
_QUESTION_MARK = re.compile(r"\?[\"'”’»)\]*_`\s]*$")
_NUMBERING = re.compile(r"^\W*(?:(?:TOP|§|Top)?\s*\d+(?:\.\d+)*[.):]?\s+)?")
NO_ITEM = re.compile(
    r"\W*(?:none|n/?a|nothing|keine[rs]?|nichts|"
    r"no (?:actions?|decisions?|items?|open|questions?|updates?|news|new|further|objections?)(?: \w+){0,3}|"
    r"keine (?:aufgaben|beschl[üu]sse|fragen|offenen|weiteren)(?: \w+){0,3})\W*",
    re.IGNORECASE,
)
# Arrows, commands and traces.
_CODE = re.compile(r"[-=]>|→|\s--?[a-z][\w-]*\s|\s[<>|]\s|\AFile \"|\$\(")


class Kind(StrEnum):
    """The kind of a sentence."""

    STATEMENT = "statement"
    DECISION = "decision"
    ACTION = "action"
    QUESTION = "question"
    NUMBER = "number"


class Section(StrEnum):
    """The content below a title. ``SILENT``: nothing that a document needs, such as names of attendees."""

    DECISION = "decision"
    OUTCOME = "outcome"
    ACTION = "action"
    QUESTION = "question"
    SUMMARY = "summary"
    SILENT = "silent"
    OTHER = ""


@dataclass(slots=True)
class Sentence:
    """A sentence within its block.

    :ivar text: its words, without marks
    :ivar low: the same in lower case, as the vocabulary is
    :ivar first: whether it is the first of its block
    :ivar last: whether nothing follows that may answer it
    :ivar people: the names of those who take part
    :ivar codes: numbers that the source uses as names, such as 8037 of "EIP-8037"
    """

    text: str
    block: Block
    section: Section
    language: Language
    first: bool
    last: bool
    people: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    low: str = field(init=False)
    spoken: bool = field(init=False)
    words: Vocabulary = field(init=False)

    def __post_init__(self) -> None:
        self.words = vocabulary_of(self.language)
        self.low = lowered(self.text)
        self.spoken = self.block.kind in (BlockKind.MESSAGE, BlockKind.CUE)


@dataclass(frozen=True, slots=True)
class Reading:
    """The kind of a sentence, and the owner and due date of an action, in the words of the source.

    :ivar figures: whether a statement is a number if it holds one: see :func:`kind_of`
    """

    kind: Kind
    owner: str = ""
    due: str = ""
    figures: bool = False


def section_of(headings: tuple[str, ...], language: Language) -> Section:
    """Return the section that the nearest known title above a block announces."""
    vocabulary = vocabulary_of(language)
    for distance, heading in enumerate(reversed(headings)):
        title = _NUMBERING.sub("", heading, count=1).strip(" :*_.!–-").casefold()
        for name, pattern in vocabulary.sections.items():
            if not pattern.fullmatch(title) or (name == "silent" and distance):
                continue
            if name == "decision" and distance and vocabulary.one_decision.fullmatch(title):
                return Section.OTHER  # further titles below one decision are about its details
            return section_named(name)
    return Section.OTHER


def section_named(name: str) -> Section:
    """Return the section of a name in the vocabulary."""
    # "attendance" is silent below further titles too, where `section_of` ends other silent sections.
    return Section.SILENT if name == "attendance" else Section(name)


def matter_of(headings: tuple[str, ...], language: Language) -> str:
    """The nearest title above a decision that says what it is about."""
    procedure = vocabulary_of(language).procedure
    for heading in reversed(headings):
        decides = section_of((heading,), language) in (Section.DECISION, Section.OUTCOME)
        if not decides and not procedure.fullmatch(lowered(heading)):
            return heading
    return headings[-1] if headings else ""


def stands_alone(sentence: Sentence) -> bool:
    """Check whether a sentence can be understood without the one before."""
    words = sentence.words
    if "? " in sentence.text and not sentence.spoken and _ANSWERED.match(sentence.text):
        return True
    if words.depends.match(sentence.low) or not BEGINNING.match(sentence.text):
        return False
    if "://" in sentence.text and _ADDRESS.fullmatch(sentence.text):
        return False
    if sentence.text.startswith("http") or ends_in_number(sentence) or _CODE.search(sentence.text):
        return False
    if rests_on_more(sentence.low, words) or not is_sentence(sentence):
        return False
    if (
        not (sentence.first or sentence.spoken)
        and sentence.low.split(" ", 1)[0] in words.prepositions
    ):
        return not sentence.text[
            0
        ].islower()  # the rest of a sentence: "at Paris and talk to others"
    return not (sentence.spoken and words.speech.search(sentence.low))


def is_sentence(sentence: Sentence) -> bool:
    """Check that the words state something, and do not only name it: "Michael Guzman, District C"."""
    text, block = sentence.text, sentence.block
    if block.kind is BlockKind.TABLE_ROW and len(text.split()) >= _RECORD:
        return True
    if sentence.words.next_meeting.match(sentence.low) and any(map(str.isdecimal, text)):
        return True
    if block.columns or _LABELLED_FIGURE.search(text) or UNSPACED.search(text):
        return True
    listed = block.kind is BlockKind.LIST_ITEM and sentence.first
    if (listed or block.kind is BlockKind.PARAGRAPH) and is_order(
        text, sentence.words, listed=listed
    ):
        return True
    if listed and reports(text, sentence.words):
        return True
    return says_so(text, sentence.words, speaker=bool(block.speaker))


def completes(sentence: Sentence) -> bool:
    """Check whether a part of a sentence says something of the label above it: "Met on Friday"."""
    text, words = sentence.text, sentence.words
    if "?" in text or text[-1:] == ":" or words.points.match(sentence.low):
        return False
    if not TWO_WORDS.match(text) or not BEGINNING.match(text):
        return False
    if _CODE.search(text) or _ADDRESS.fullmatch(text):
        return False
    return any(map(str.isdecimal, text)) or says_so(text, words, speaker=True)


def goes_on(sentence: Sentence) -> bool:
    """Check whether a sentence is understood with the one before: "This took an hour." """
    words = sentence.words
    return words.goes_on.match(sentence.low) is not None and is_sentence(sentence)


def ends_in_number(sentence: Sentence) -> bool:
    """Check whether a line is the title of an issue: "Subpath patterns #535"."""
    return "#" in sentence.text and NUMBERED_TITLE.search(sentence.text) is not None


def is_question(text: str) -> bool:
    """Check whether the words end with a question mark."""
    return "?" in text and _QUESTION_MARK.search(text) is not None


def is_restricted(text: str, language: Language) -> bool:
    """Check for a guess or a condition, such as "probably" or "if approved"."""
    return language.hedge.search(text) is not None or language.condition.match(text) is not None


def is_option(sentence: Sentence) -> bool:
    """Check whether the sentence is one of the options that its title announces."""
    headings = sentence.block.headings
    return bool(headings) and sentence.words.options.fullmatch(lowered(headings[-1])) is not None
