"""Reads vocabulary.yaml: the words that tell what a sentence, a section or a list is."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from combine_core.language import Language
from combine_core.yaml_files import load_yaml

# Plain texts to look for, no regular expressions.
_PARTS = ("signs", "motion_signs", "formality_signs", "speaks")
# Plain words.
_WORDS = frozenset(
    (
        "verbs",
        "full_verbs",
        "nouns",
        "subordinates",
        "relatives",
        "subjects",
        "persons",
        "no_subjects",
        "function_words",
        "prepositions",
    )
)


@dataclass(frozen=True)
class Vocabulary:
    """The patterns of one language, for ``lowered`` text.

    :ivar signs: parts of words; without one, nothing is decided in a sentence, and nothing called open
    :ivar sections: for titles and labels, by what stands below them; each fits a whole title
    :ivar group: who decides
    :ivar decides: what a group does when it decides
    :ivar opens_decision: how an entry of minutes begins that records a decision
    :ivar outcome: what becomes of a motion
    :ivar not_decided: what looks like a decision and is none
    :ivar takes_on: stands between a person and what the person is to do
    :ivar depends: how a sentence begins that rests on the one before
    :ivar speech: words of people who think aloud
    :ivar options: a title above what may be chosen
    :ivar agrees: words of people who talk about what they will do
    :ivar settles: a whole answer that makes a decision of what was asked
    :ivar procedure: a title that says how something is decided, and not what
    :ivar tally: a whole answer that counts votes
    :ivar motion_signs: parts of words; without one, a sentence puts no motion
    :ivar moves: how a motion is put
    :ivar seconds: how a motion is supported
    :ivar carries: says that a motion is approved
    :ivar bare: a whole sentence that approves, and does not tell what
    :ivar next_meeting: announces the next meeting
    :ivar states: a whole title above what has become of the text itself: "Status"
    :ivar points: begins an entry that only points elsewhere: "see"
    :ivar addresses: speaks to the reader
    :ivar formality_signs: parts of words; without one, a sentence is no formality
    :ivar formality: stands in sentences about the meeting itself: who opened it, who was there
    :ivar asks: begins a question, or a clause that asks
    :ivar unanswered: stands right behind a question that stays open
    :ivar vague: a question with it means nothing without the sentence before
    :ivar one_decision: a title above one decision and its reasons
    :ivar speaks: parts of sentences in which somebody speaks of themselves
    :ivar commits: how a sentence that decides begins among reasons
    :ivar gist: stands in sentences that say what a thing is or is for
    :ivar refers: points at something outside of the sentence
    :ivar pronouns: stand for something that was named before
    :ivar personal: those of them that stand for a person or a thing, and for no sentence: "it"
    :ivar by_title: a decision begins so if the title above it says what it is about
    :ivar verbs: forms that only a verb has: "is", "took"
    :ivar full_verbs: first forms of further verbs
    :ivar nouns: those of them that are nouns as well: "plan"
    :ivar subordinates: begin a clause that says nothing alone: "which"
    :ivar relatives: the same behind a comma
    :ivar subjects: words that may be a subject although they name nothing: "we"
    :ivar persons: those of them right behind which a verb stands
    :ivar no_subjects: words before a noun, so that what follows is no verb: "the"
    :ivar function_words: name nothing
    :ivar prepositions: behind a participle, these say that it is none of a subject: "covered in"
    :ivar unfinished: how half of a sentence ends
    :ivar goes_on: begins a sentence that is understood with the one before
    :ivar agenda: a whole title above what is to be talked about
    :ivar aloud: signs of people who think while they write
    :ivar task_column: a whole name of a column that says what is to be done
    :ivar owner_column: of one that says who does it
    :ivar due_column: of one that says until when
    :ivar state_column: of one that says whether it is done
    :ivar done: begins a cell that says so
    :ivar verb_first: whether a verb may stand before its subject
    """

    signs: tuple[str, ...]
    sections: dict[str, re.Pattern[str]]
    group: re.Pattern[str]
    decides: re.Pattern[str]
    opens_decision: re.Pattern[str]
    outcome: re.Pattern[str]
    not_decided: re.Pattern[str]
    action: re.Pattern[str]
    takes_on: re.Pattern[str]
    opens_action: re.Pattern[str]
    opens_promise: re.Pattern[str]
    imperative: re.Pattern[str]
    i_will: re.Pattern[str]
    to_be_done: re.Pattern[str]
    no_owner: re.Pattern[str]
    open: re.Pattern[str]
    due: re.Pattern[str]
    day: re.Pattern[str]
    depends: re.Pattern[str]
    speech: re.Pattern[str]
    options: re.Pattern[str]
    agrees: re.Pattern[str]
    settles: re.Pattern[str]
    procedure: re.Pattern[str]
    tally: re.Pattern[str]
    motion_signs: tuple[str, ...]
    moves: re.Pattern[str]
    seconds: re.Pattern[str]
    carries: re.Pattern[str]
    bare: re.Pattern[str]
    next_meeting: re.Pattern[str]
    states: re.Pattern[str]
    points: re.Pattern[str]
    addresses: re.Pattern[str]
    formality_signs: tuple[str, ...]
    formality: re.Pattern[str]
    asks: re.Pattern[str]
    unanswered: re.Pattern[str]
    vague: re.Pattern[str]
    one_decision: re.Pattern[str]
    speaks: tuple[str, ...]
    commits: re.Pattern[str]
    gist: re.Pattern[str]
    refers: re.Pattern[str]
    pronouns: re.Pattern[str]
    personal: re.Pattern[str]
    by_title: re.Pattern[str]
    verbs: frozenset[str]
    full_verbs: frozenset[str]
    nouns: frozenset[str]
    subordinates: frozenset[str]
    relatives: frozenset[str]
    subjects: frozenset[str]
    persons: frozenset[str]
    no_subjects: frozenset[str]
    function_words: frozenset[str]
    prepositions: frozenset[str]
    unfinished: re.Pattern[str]
    goes_on: re.Pattern[str]
    agenda: re.Pattern[str]
    aloud: re.Pattern[str]
    task_column: re.Pattern[str]
    owner_column: re.Pattern[str]
    due_column: re.Pattern[str]
    state_column: re.Pattern[str]
    done: re.Pattern[str]
    verb_first: bool

    def stem_of_verb(self, word: str) -> str | None:
        """The first form of a verb in the present tense; ``None`` if it is not known as a verb."""
        endings = ("", "s", "es", "ies") if word.endswith("s") else ("",)
        for ending in endings:
            stem = word.removesuffix(ending) + ("y" if ending == "ies" else "")
            if stem in self.full_verbs:
                return stem
        return None


def vocabulary_of(language: Language) -> Vocabulary:
    """The vocabulary of a language; that of English for one without its own."""
    return _vocabulary(language.code)


@cache
def _vocabulary(code: str) -> Vocabulary:
    found = _vocabularies()
    return found.get(code, found["en"])


def names() -> dict[str, frozenset[str]]:
    """The words of a list's name, by the kind of what it contains."""
    return {kind: frozenset(words.split()) for kind, words in _file()["names"].items()}


@cache
def _file() -> dict[str, Any]:
    content: dict[str, Any] = load_yaml(
        files(__package__).joinpath("vocabulary.yaml").read_text("utf-8")
    )
    return content


@cache
def _vocabularies() -> dict[str, Vocabulary]:
    return {code: _read(words) for code, words in _file().items() if code != "names"}


def _read(words: dict[str, Any]) -> Vocabulary:
    values = {name: _read_one(name, value) for name, value in words.items() if name != "sections"}
    sections = {
        kind: re.compile(rf"(?:{'|'.join(titles)})", re.IGNORECASE)
        for kind, titles in words["sections"].items()
    }
    return Vocabulary(sections=sections, **values)


def _read_one(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if name in _WORDS:
        return frozenset(value.split())
    if name in _PARTS:
        return tuple(value)
    return re.compile(rf"(?<!\w)(?:{'|'.join(value)})(?!\w)")
