"""Classify a sentence as a decision, an action, an open question, a number, a statement, or nothing.

Rather none than a wrong one: what is denied, asked, conditional, quoted or reported is no decision, and a
question that somebody may have answered is not open.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from combine_core.language import Language, lowered
from combine_core.llm.extract.clauses import is_order, reports, rests_on_more, says_so
from combine_core.llm.extract.due import due_date
from combine_core.llm.extract.quantities import has_quantity
from combine_core.llm.extract.vocabulary import Vocabulary, vocabulary_of
from combine_core.readers import Block, BlockKind


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


# Most sentences are one of these.
_STATEMENTS = {figures: Reading(Kind.STATEMENT, figures=figures) for figures in (False, True)}
# Of a sentence; "2: if it rains" is a part of one.
_BEGINNING = re.compile(
    r"(?:\([A-Z]{2,3}\) )?[^\W_](?!\d?[:)] )"
    r"|\"[^\"]+\"|'[^']+'(?!\w)|“[^”]+”|„[^“”]+[“”]|«[^»]+»"
)
_WHOLE_DECISION = 5
# Of a decision that does not tell its matter, in letters.
_LONGEST_BARE = 100
# The fewest words of a row that is a record, whose columns have no names.
_RECORD = 5
# A question with its answer.
_ANSWERED = re.compile(r"[^?(]{20,}\?\W* \w")
_TWO_WORDS = re.compile(r"\W*\w++(?:[-'’]\w++)*+\W+\w")
_LETTER = re.compile(r"[^\W\d_]")
# Little more than an address.
_ADDRESS = re.compile(r"(?:.*:|(?:\S+ ){0,4}\S+) <?https?://\S+\W*")
# "Self-serve model [#1747](...)" is the title of a discussion.
NUMBERED_TITLE = re.compile(r"\[?#\d+\]?(?:\([^()\s]*\))?\s*\Z")
# Scripts without spaces between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u2e80-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]")
_LABEL = re.compile(
    r"\W*(?P<label>[^\W\d_][\w /-]{0,30}?)(?: ?\((?P<owner>[^()]{2,40})\))?\W{0,2}:\s+"
)
# How a robot on IRC is told what to note: "#agreed We buy the pump".
_COMMAND = re.compile(r"#(?P<label>[a-z]+)(?P<owner>) +")
_URL = re.compile(r"https?://\S+")
# "Time to recovery: 5 minutes", "Impact: 38 minutes without sign-in".
_LABELLED_FIGURE = re.compile(
    r"(?:\A|; )[^\W\d_][^:;?]{2,40}: (?:about )?[€$£~]?\d[\d.,]*(?: ?[^\W\d_]+| ?[%€$£])?"
    r"(?=;|\W*\Z|,? (?:\(|without|with|during|for|from|between|of|per|ohne|mit|während|von|pro) ?)"
)
# "Price: 900", in a row that names its columns.
_CELL_OF_FIGURES = re.compile(r": [€$£]?\d[\d.,]* ?(?:%|[€$£])?(?:;|$)")
# So many spaces at least. "Rate limiting?" asks nothing without the text around.
_SHORTEST_QUESTION = 2
_QUESTION_MARK = re.compile(r"\?[\"'”’»)\]*_`\s]*$")
_QUOTED = re.compile(r"[“\"„«][^“”\"„«»]*[”\"“»]")
_NUMBERING = re.compile(r"^\W*(?:(?:TOP|§|Top)?\s*\d+(?:\.\d+)*[.):]?\s+)?")
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
_NONE = re.compile(
    r"\W*(?:none|n/?a|nothing|keine[rs]?|nichts|"
    r"no (?:actions?|decisions?|items?|open|questions?|updates?|news|new|further|objections?)(?: \w+){0,3}|"
    r"keine (?:aufgaben|beschl[üu]sse|fragen|offenen|weiteren)(?: \w+){0,3})\W*",
    re.IGNORECASE,
)
_TODO = re.compile(r"\bTODO\b")
# How an agenda begins or ends an entry: "10 min - Discussion of the draft", "Accessibility (10 minutes)".
_SLOT = re.compile(
    r"[\d+–-]+ ?min\w*(?: [-–]|(?: total| left)?\W*\Z)|expected time\b|.*\([^()]*\d+ ?min\w*\)\W*\Z",
    re.IGNORECASE,
)
# The last line of minutes: "Rodenbach, den 20. Juni 2020".
_SIGNED = re.compile(r"[^\W\d][\w -]{1,40}, (?:de[nr] |am )?\d{1,2}\. ?[\w]{1,9}\.? ?\d{4}")
# Before a word of decision these make a clause that only tells which thing is meant.
_SUBORDINATE = re.compile(
    r"\b(?:that|which|who|when|after|as|since|because|once|until|if|whether|what|where|how|before|dass|"
    r"nachdem|als|weil|ob|wenn|bevor)\b",
    re.IGNORECASE,
)
# "The first" before "motion".
_LEAD_IN = re.compile(r"(?<!\w)(?:the )?(?:\w+[- ]){0,3}\Z", re.IGNORECASE)
# "anna - could we wait?", in notes of a talk.
_SAID = re.compile(r"[\w@-]+ [-–] ")
# A word that no title writes large.
_SMALL = re.compile(r"\s[^\W\d_A-ZÄÖÜ]")
# Arrows, commands and traces.
_CODE = re.compile(r"[-=]>|→|\s--?[a-z][\w-]*\s|\s[<>|]\s|\AFile \"|\$\(")
_DASH = re.compile(r" (?:->?|[–—→]) ")
# "EC decided to".
_ACRONYM = re.compile(r"\b[A-Z]{2,6}\s+")
_PRONOUN = re.compile(r"\s+(?:that|it|this|them|das|dies|es)\W*", re.IGNORECASE)
# In a requirement, "is open" is a state.
_SHALL = re.compile(r"\bshall\b")
_REFERS = re.compile(r"\s+(?:this|it|her|his|their|these|those|them)\b")
_PROPOSAL = re.compile(r"\bproposals?\b|\A\W*(?:the )?proposed\b", re.IGNORECASE)
_DENIED_CONTENT = re.compile(r"\b(?:not to|no longer|that no\w*)\s*$", re.IGNORECASE)


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
            return _section_named(name)
    return Section.OTHER


def _section_named(name: str) -> Section:
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
    if sentence.block.done is not True and _is_action(sentence, said, low, section, words):
        owner = _owner(sentence, said, low, label if labelled else None)
        return Reading(Kind.ACTION, owner, due_date(said, low, words))
    if _is_question(text):
        return Reading(Kind.QUESTION) if _is_open_question(sentence, section) else None
    thought = words.aloud.search(low) or words.commits.match(low)
    if section is Section.QUESTION and sentence.first and not _NONE.fullmatch(said) and not thought:
        clear = (
            _BEGINNING.match(text) and not words.vague.search(low) and not rests_on_more(low, words)
        )
        return Reading(Kind.QUESTION) if clear else None
    signs = any(map(sentence.low.__contains__, words.signs))
    if (
        signs
        and not sentence.spoken
        and words.open.search(sentence.low)
        and not _restricted(text, sentence.language)
        and not _SHALL.search(sentence.low)
        and not rests_on_more(sentence.low, words)
    ):
        return Reading(Kind.QUESTION)
    if (signs or section is Section.DECISION) and _is_decision(sentence, said, low, section, words):
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
    return _BEGINNING.match(sentence.text) is not None and _is_sentence(sentence)


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


def stands_alone(sentence: Sentence) -> bool:
    """Check whether a sentence can be understood without the one before."""
    words = sentence.words
    if "? " in sentence.text and not sentence.spoken and _ANSWERED.match(sentence.text):
        return True
    if words.depends.match(sentence.low) or not _BEGINNING.match(sentence.text):
        return False
    if "://" in sentence.text and _ADDRESS.fullmatch(sentence.text):
        return False
    if sentence.text.startswith("http") or ends_in_number(sentence) or _CODE.search(sentence.text):
        return False
    if rests_on_more(sentence.low, words) or not _is_sentence(sentence):
        return False
    return not (sentence.spoken and words.speech.search(sentence.low))


def _is_sentence(sentence: Sentence) -> bool:
    """Check that the words state something, and do not only name it: "Michael Guzman, District C"."""
    text, block = sentence.text, sentence.block
    if block.kind is BlockKind.TABLE_ROW and len(text.split()) >= _RECORD:
        return True
    if sentence.words.next_meeting.match(sentence.low) and any(map(str.isdecimal, text)):
        return True
    if block.columns or _LABELLED_FIGURE.search(text) or _UNSPACED.search(text):
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
    if not _TWO_WORDS.match(text) or not _BEGINNING.match(text):
        return False
    if _CODE.search(text) or _ADDRESS.fullmatch(text):
        return False
    return any(map(str.isdecimal, text)) or says_so(text, words, speaker=True)


def goes_on(sentence: Sentence) -> bool:
    """Check whether a sentence is understood with the one before: "This took an hour." """
    words = sentence.words
    return words.goes_on.match(sentence.low) is not None and _is_sentence(sentence)


def ends_in_number(sentence: Sentence) -> bool:
    """Check whether a line is the title of an issue: "Subpath patterns #535"."""
    return "#" in sentence.text and NUMBERED_TITLE.search(sentence.text) is not None


def moves(sentence: Sentence) -> bool:
    """Check whether the sentence puts a motion, which the next ones may settle."""
    words = sentence.words
    return any(map(sentence.low.__contains__, words.motion_signs)) and (
        words.moves.search(sentence.low) is not None
    )


def is_bare(sentence: Sentence) -> bool:
    """Check for a decision that does not tell its matter: "Motion passed"."""
    short = len(sentence.low) <= _LONGEST_BARE
    return short and sentence.words.bare.fullmatch(sentence.low.strip(" .!*")) is not None


def names_group(sentence: Sentence) -> bool:
    """Check for an entry below "Action items" that only names what the tasks below it are about."""
    words = sentence.words
    return not (
        words.imperative.match(sentence.low)
        or says_so(sentence.text, words)
        or _person_in_charge(sentence, sentence.text, sentence.low, words)
    )


def needs_title(sentence: Sentence, title: str) -> bool:
    """Check for a bare decision that the title above completes: "Postponed" below "Roof"."""
    words, headings = sentence.words, sentence.block.headings
    if not title or words.by_title.match(sentence.low) or words.procedure.fullmatch(lowered(title)):
        return False
    return not words.states.fullmatch(lowered(headings[-1]))


def seconds(sentence: Sentence) -> bool:
    """Check whether the sentence supports a motion and does not settle it yet."""
    return sentence.words.seconds.search(sentence.low) is not None


def records_more(sentence: Sentence) -> bool:
    """Check whether a sentence continues the decision of the sentence before."""
    return stands_alone(sentence) and not sentence.language.obligation.search(sentence.text)


def is_labelled_decision(sentence: Sentence) -> bool:
    """Check whether a sentence begins with a label such as "Decision:"."""
    label = _LABEL.match(sentence.text) if ":" in sentence.text else None
    return _section_of_label(label, sentence.words) is Section.DECISION


def settles(sentence: Sentence) -> Kind | None:
    """Return the kind that an answer gives to the pending question: a decision, or a count of votes."""
    words = sentence.words
    answer = sentence.low.strip(" .!*")
    if words.settles.fullmatch(answer) or words.carries.search(answer):
        return Kind.DECISION
    return Kind.STATEMENT if words.tally.fullmatch(answer) else None


def needs_more(sentence: Sentence) -> bool:
    """Check whether a decision needs the sentence before to be understood."""
    words = sentence.words
    if sentence.spoken:
        return False
    if any(
        pattern.match(sentence.low)
        for pattern in (words.depends, words.opens_decision, words.by_title)
    ):
        return True
    deed = words.decides.search(sentence.low)
    return deed is not None and _REFERS.match(sentence.low, deed.end()) is not None


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
    if " " not in text and not _UNSPACED.search(text):
        return False  # a name
    if _TWO_WORDS.match(_URL.sub("", text) if "://" in text else text):
        return _LETTER.search(text) is not None
    return len(text) >= 4 and _UNSPACED.search(text) is not None


_LABELLED = frozenset({"decision", "action", "question", "silent", "attendance"})


def _section_of_label(label: re.Match[str] | None, words: Vocabulary) -> Section | None:
    if label is None:
        return None
    title = label["label"].strip().casefold()
    for name, pattern in words.sections.items():
        if name in _LABELLED and pattern.fullmatch(title):
            return _section_named(name)
    return None


def _is_question(text: str) -> bool:
    return "?" in text and _QUESTION_MARK.search(text) is not None


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


def _restricted(text: str, language: Language) -> bool:
    return language.hedge.search(text) is not None or language.condition.match(text) is not None


def _is_decision(
    sentence: Sentence, said: str, low: str, section: Section, words: Vocabulary
) -> bool:
    language = sentence.language
    if _is_question(said) or sentence.block.kind is BlockKind.QUOTATION or _NONE.fullmatch(said):
        return False
    if section is Section.DECISION:
        if _offers(sentence):
            return False
        # "Tom said that …" is what somebody said.
        return not (
            words.not_decided.search(low)
            or (_restricted(said, language) and not words.decides.search(low))
            or language.attribution.search(said)
            or (sentence.spoken and words.speech.search(low))
        )
    found = _performative(sentence, low, words)
    if found is None:
        return moves(sentence) and words.carries.search(low) is not None
    start, end = found
    if _PRONOUN.fullmatch(said[end:]):
        return False  # "we adopted that": long ago, or what was said before
    up_to = _DENIED_CONTENT.sub("", said[:end])
    return not (
        words.not_decided.search(low)
        or language.negation.search(up_to)
        or language.hedge.search(_PROPOSAL.sub("", up_to))
        or language.condition.search(up_to)
        or language.attribution.search(said[:start])
        or _SUBORDINATE.search(said[max(0, start - 12) : start])
        or any(quoted.start() < start < quoted.end() for quoted in _QUOTED.finditer(said))
        or (sentence.spoken and words.speech.search(low))
    )


def _performative(sentence: Sentence, low: str, words: Vocabulary) -> tuple[int, int] | None:
    """Where the sentence says that something is decided."""
    if not sentence.spoken:
        # "Two names are in use - agreed to keep the first".
        starts = [0, *(dash.end() for dash in _DASH.finditer(low))]
        for start in starts:
            if opening := words.opens_decision.match(low, start):
                return opening.span()
    # Deeds are rare, groups are not.
    deeds = words.decides.search(low) is not None
    for group in words.group.finditer(low) if deeds else ():
        if _SUBORDINATE.search(group[0]):
            continue
        deed = re.compile(r"\s+").match(low, group.end())
        decides = words.decides.match(low, deed.end()) if deed else None
        if decides is not None:
            return group.start(), decides.end()
    for acronym in (
        _ACRONYM.finditer(sentence.text) if deeds and len(low) == len(sentence.text) else ()
    ):
        if decides := words.decides.match(low, acronym.end()):
            return acronym.start(), decides.end()
    outcome = words.outcome.search(low) if not sentence.spoken else None
    if outcome is None:
        return None
    start = outcome.start()
    if outcome.lastgroup == "matter":
        lead_in = _LEAD_IN.search(low, 0, start)
        assert lead_in is not None
        start = lead_in.start()
    return start, outcome.end()


def _is_action(
    sentence: Sentence, said: str, low: str, section: Section, words: Vocabulary
) -> bool:
    block = sentence.block
    if block.done is False:
        return True
    nameless = block.kind is BlockKind.CUE and not block.speaker
    if _is_question(said) or block.kind is BlockKind.QUOTATION or nameless:
        return False
    if ends_in_number(sentence):
        return False
    labelled = said != sentence.text
    if section is Section.ACTION and (sentence.first or labelled):
        return not _NONE.fullmatch(said)
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
        return not _offers(sentence)
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


def _offers(sentence: Sentence) -> bool:
    """Check whether the sentence is one of the options that its title announces."""
    headings = sentence.block.headings
    return bool(headings) and sentence.words.options.fullmatch(lowered(headings[-1])) is not None


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


def _owner(sentence: Sentence, said: str, low: str, label: re.Match[str] | None) -> str:
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
        if words.depends.match(low) and words.imperative.match(low):
            return ""  # "Please send me the plan" is for those who are spoken to
        return "" if words.no_owner.fullmatch(lowered(speaker)) else speaker
    before = low[: handle.start()].split()
    # "Contact @anna" says with whom.
    if before and (before[-1] in words.full_verbs or before[-1] in words.prepositions):
        return ""
    return handle[0]
