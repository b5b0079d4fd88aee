"""The words by which the rules recognise negation, conditions and the like, from `words/`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from math import ceil
from typing import TYPE_CHECKING

from combine_core.yaml_files import load_yaml

if TYPE_CHECKING:
    import Stemmer  # type: ignore[import-not-found]

# How much of a text is looked at to find its language, and the least share of function words in it.
_SAMPLE = 20_000
_LEAST_SIGNS = 0.02

_NOTHING = re.compile(r"(?!)")
_AS_WRITTEN = """% ° °C °F USD EUR GBP CHF ms s min h km m cm mm kg g t kB MB GB TB KiB MiB GiB TiB
kW MW kWh l ml Hz MHz GHz"""
_SYMBOLS = {"$": "USD", "us$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"} | {
    unit.lower(): unit for unit in _AS_WRITTEN.split()
}

_WORD_LISTS = frozenset(
    {
        "stop_words",
        "labels",
        "articles",
        "prepositions",
        "titles",
        "light",
        "directed",
        "auxiliary",
        "pronouns",
    }
)
# Words with this share of their letters in common, from the first on, are forms of one word.
_ALIKE = 0.65
_BEGINNING = 4

# For the stem of a word, those that mean the same and those that exclude it; several pairs if it has
# several meanings.
Opposites = dict[str, tuple[tuple[frozenset[str], frozenset[str]], ...]]


@dataclass(frozen=True)
class Language:
    """The words and patterns of one language. Each pattern is searched in a clause, in any case.

    :ivar signs: frequent function words, by which the language is recognised
    :ivar labels: what stands before a colon and is no speaker, such as "Decision"
    :ivar articles: say nothing of the role of a noun. Empty where they do, and the order of words does not
    :ivar prepositions: what stands before a noun; "to" stands before a verb as well
    :ivar near_negation: denies only the words right behind it, as "no" does
    :ivar exclusion: denies only the phrase right behind it, as "instead of" does
    :ivar refusal: a verb that denies as "not" does: "rejected", "forbidden"
    :ivar irregular: for a form of a verb that no ending shows, its first form: "buy" for "bought"
    :ivar opposites: words that exclude each other: "rise" and "fall"
    :ivar synonyms: for a word, another one that stands for it
    :ivar phrases: patterns of several words, each with the words that stand for it: "fell" for "went down"
    :ivar restriction: says which ones of a kind "all" means: "all tenants over 70"
    :ivar advice: says what should be, and need not
    :ivar duty: says what must be
    :ivar part: says that only a part is meant, and of what: "half of the"
    :ivar portion: stands between a part and its whole, both figures: "of the"
    :ivar difference: says that two amounts are compared: "longer", "by"
    :ivar difference_behind: what follows a figure that is a difference: " minutes longer than"
    :ivar asked: in a statement, says that something was asked for
    :ivar asking: a verb of wishing to get something, which does not say that it was given
    :ivar stages: words for different stages of one matter: "proposed", "adopted" and "postponed"
    :ivar opposed_prepositions: say the opposite of the same noun: "before" and "after"
    :ivar circumstance: in a statement, may stand for a condition: "in case of"
    :ivar pivots: tell two sides apart, such as the cause and what it led to: "because", "than", "then"
    :ivar order: "before" and "after"
    :ivar we: the first person as a subject
    :ivar comparative: says which way a comparison goes: "more", "cheaper"
    :ivar permission: says what may be, and need not
    :ivar possessive: "my" and "our": what belongs to who speaks
    :ivar absolutes: words that leave no exception, such as "all", each with those by which a source says so
    :ivar denied_equivalents: pairs that mean the same, the second of them with a "not": "at the earliest" and
        "not before"
    :ivar rate: a unit, or the noun, behind "per"
    :ivar rates: words for "per year" and the like
    :ivar exception: takes something out of "all"
    :ivar contrast: at its beginning, a clause that says what is not meant: ", not by the vendor"
    :ivar alternative: one of two, and which one is open
    :ivar choice: says that there is an alternative
    :ivar partial: says that not all are meant
    :ivar none_or_all: says that all are meant
    :ivar agreement: how a proposal is accepted
    :ivar no_negation: looks like a negation and is none: "not only"
    :ivar conjunction: what stands between two clauses
    :ivar continuation: a part of a sentence that belongs to the one before it
    :ivar compounds: whether nouns are joined to one word
    :ivar relative_days: "yesterday" and the like, as the distance to today
    :ivar weekdays: from Monday, which is 0
    :ivar titles: what stands before a name and is none
    :ivar document: what a source calls itself, in "the annex says"
    :ivar reporting: in a statement, says that it is reported, as ``attribution`` does
    :ivar change: a change from an old value to a new one
    :ivar formerly: in a statement, says that a value is the old one
    :ivar light: verbs of little meaning, such as "take place", and words for times
    :ivar times: words for times of day, in minutes since midnight
    :ivar tasks: in a heading, announces tasks
    :ivar directed: prepositions that tell who gives from who gets
    :ivar infinitive: "to" before a verb, which does not say that the thing is done
    :ivar effected: words before an infinitive which do say so: "managed to"
    :ivar infix: what a form of a verb has inside it, as "einzuladen" and "eingeladen" have
    :ivar reported_future: "would", which says what was said to be
    :ivar no: stands for the prefix of "unclear"
    :ivar passive: the auxiliary verbs of the passive voice
    :ivar pronouns: those that may be a subject, except the first person
    :ivar auxiliary: verbs right behind a subject
    :ivar numbers: number words. "One" is left out: it is an article as well
    """

    code: str = ""
    stemmer: str = ""
    signs: re.Pattern[str] = _NOTHING
    labels: frozenset[str] = frozenset()
    stop_words: frozenset[str] = frozenset()
    articles: frozenset[str] = frozenset()
    prepositions: frozenset[str] = frozenset()
    negation: re.Pattern[str] = _NOTHING
    refusal: re.Pattern[str] = _NOTHING
    near_negation: re.Pattern[str] = _NOTHING
    exclusion: re.Pattern[str] = _NOTHING
    exception: re.Pattern[str] = _NOTHING
    contrast: re.Pattern[str] = _NOTHING
    alternative: re.Pattern[str] = _NOTHING
    choice: re.Pattern[str] = _NOTHING
    partial: re.Pattern[str] = _NOTHING
    none_or_all: re.Pattern[str] = _NOTHING
    no_negation: re.Pattern[str] = _NOTHING
    condition: re.Pattern[str] = _NOTHING
    hedge: re.Pattern[str] = _NOTHING
    proposal: re.Pattern[str] = _NOTHING
    agreement: re.Pattern[str] = _NOTHING
    obligation: re.Pattern[str] = _NOTHING
    future: re.Pattern[str] = _NOTHING
    request: re.Pattern[str] = _NOTHING
    past: re.Pattern[str] = _NOTHING
    attribution: re.Pattern[str] = _NOTHING
    continuation: re.Pattern[str] = _NOTHING
    titles: frozenset[str] = frozenset()
    document: re.Pattern[str] = _NOTHING
    reporting: re.Pattern[str] = _NOTHING
    change: re.Pattern[str] = _NOTHING
    formerly: re.Pattern[str] = _NOTHING
    light: frozenset[str] = frozenset()
    times: dict[str, int] = field(default_factory=dict)
    tasks: re.Pattern[str] = _NOTHING
    directed: frozenset[str] = frozenset()
    infinitive: re.Pattern[str] = _NOTHING
    effected: re.Pattern[str] = _NOTHING
    infix: re.Pattern[str] = _NOTHING
    reported_future: re.Pattern[str] = _NOTHING
    no: str = ""
    passive: re.Pattern[str] = _NOTHING
    pronouns: frozenset[str] = frozenset()
    auxiliary: frozenset[str] = frozenset()
    rate: re.Pattern[str] = _NOTHING
    open_question: re.Pattern[str] = _NOTHING
    circumstance: re.Pattern[str] = _NOTHING
    we: re.Pattern[str] = _NOTHING
    first_person: re.Pattern[str] = _NOTHING
    possessive: re.Pattern[str] = _NOTHING
    comparative: re.Pattern[str] = _NOTHING
    permission: re.Pattern[str] = _NOTHING
    pivots: tuple[re.Pattern[str], ...] = ()
    order: tuple[re.Pattern[str], ...] = ()
    more_than: re.Pattern[str] = _NOTHING
    less_than: re.Pattern[str] = _NOTHING
    conjunction: re.Pattern[str] = re.compile(r"[;,]\s+")
    negating_prefixes: tuple[str, ...] = ()
    irregular: dict[str, str] = field(default_factory=dict)
    synonyms: dict[str, str] = field(default_factory=dict)
    phrases: tuple[tuple[re.Pattern[str], str], ...] = ()
    restriction: re.Pattern[str] = _NOTHING
    advice: re.Pattern[str] = _NOTHING
    duty: re.Pattern[str] = _NOTHING
    part: re.Pattern[str] = _NOTHING
    portion: re.Pattern[str] = _NOTHING
    difference: re.Pattern[str] = _NOTHING
    difference_behind: re.Pattern[str] = _NOTHING
    asking: re.Pattern[str] = _NOTHING
    asked: re.Pattern[str] = _NOTHING
    opposites: Opposites = field(default_factory=dict)
    stages: Opposites = field(default_factory=dict)
    opposed_prepositions: Opposites = field(default_factory=dict)
    absolutes: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = ()
    compounds: bool = False
    relative_days: dict[str, int] = field(default_factory=dict)
    weekdays: dict[str, int] = field(default_factory=dict)
    denied_equivalents: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = ()
    months: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    magnitudes: dict[str, int] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    rates: dict[str, str] = field(default_factory=dict)

    @cached_property
    def month(self) -> re.Pattern[str]:
        """The name of a month in :func:`lowered` text, perhaps within a word."""
        return re.compile("|".join(self.months)) if self.months else _NOTHING

    @cached_property
    def month_date(self) -> re.Pattern[str]:
        """A date with the name of a month in :func:`lowered` text: "3 may 2026", "may 3rd", "may 2026"."""
        if not self.months:
            return _NOTHING
        names = "|".join(sorted(self.months, key=len, reverse=True))
        day = r"\d{1,2}"
        return re.compile(
            rf"(?<!\w)(?:(?P<day>{day})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?)(?P<month>{names})\b\.?"
            r"(?:,?\s+(?P<year>\d{4}))?"
            rf"|(?<!\w)(?P<month2>{names})\b\.?(?:\s+(?P<day2>{day})(?:st|nd|rd|th)?(?!\d|:|[.,]\d))?"
            r"(?:,?\s+(?P<year2>\d{4}))?"
        )

    @cached_property
    def number_word(self) -> re.Pattern[str]:
        """A number word, and the word behind it, in :func:`lowered` text."""
        if not self.numbers:
            return _NOTHING
        names = "|".join(self.numbers)
        return re.compile(rf"(?<!\w)({names})(?:[\s-]+([^\W\d_]+))?(?!\w)")

    @cached_property
    def light_stems(self) -> frozenset[str]:
        return self.stems(self.light)

    @cached_property
    def equivalents_in(self) -> Callable[[str], frozenset[int]]:
        """Returns the numbers of ``denied_equivalents`` in a sentence, below 0 for those with a "not"."""

        def numbers_in(sentence: str) -> frozenset[int]:
            return frozenset(
                sign * number
                for number, pair in enumerate(self.denied_equivalents, 1)
                for sign, pattern in zip((1, -1), pair, strict=True)
                if pattern.search(sentence)
            )

        # A long sentence has many clauses, and each is compared.
        return lru_cache(maxsize=64)(numbers_in)

    @cached_property
    def stem(self) -> Callable[[str], str]:
        """Returns the stem of a word in lower case."""
        if not self.stemmer:
            return str
        # A source and the statements about it share most of their words.
        stemmed: Callable[[str], str] = _stemmer(self.stemmer).stemWord
        first = {stemmed(word): stemmed(synonym) for word, synonym in self.synonyms.items()}

        def stem_of(word: str) -> str:
            stem = stemmed(self.irregular.get(word, word))
            return first.get(stem, stem)

        return lru_cache(maxsize=10_000)(stem_of)

    def _without_infix(self, stem: str) -> str:
        return self.infix.sub(lambda match: match[1] or "", stem)

    def with_plain_verbs(self, text: str) -> str:
        """Return the text with one word for phrases that mean the same: "fell" for "went down"."""
        for phrase, words in self.phrases:
            text = phrase.sub(words, text)
        return text

    def alike(self, one: str, other: str) -> bool:
        """Check whether two stems are forms of one word: "decid" and "decis"."""
        one, other = self._without_infix(one), self._without_infix(other)
        shared = max(_BEGINNING, ceil(_ALIKE * max(len(one), len(other))))
        return one == other or (len(one) >= shared and one[:shared] == other[:shared])

    def stems(self, words: Collection[str]) -> frozenset[str]:
        return frozenset(map(self.stem, words))

    def unit(self, written: str) -> str | None:
        """The canonical unit of a symbol or a word, or ``None``."""
        return _SYMBOLS.get(written) or self.units.get(written)


# Numbers, dates of digits, names and the quote itself are compared in every language.
OTHER = Language()


def language_of(*texts: str) -> Language:
    """The language of texts by their function words; :data:`OTHER` where none shows."""
    counts = [_signs_in(text[:_SAMPLE]) for text in texts]
    words = sum(count for count, _ in counts)
    signs = [sum(found) for found in zip(*(found for _, found in counts), strict=True)]
    most, language = max(zip(signs, _languages(), strict=True), key=lambda count: count[0])
    return language if most / (words or 1) > _LEAST_SIGNS else OTHER


# The beginning of a source is looked at again with each statement about it.
@lru_cache(maxsize=256)
def _signs_in(text: str) -> tuple[int, tuple[int, ...]]:
    """The number of words, and of the function words of each language."""
    signs = tuple(len(language.signs.findall(text)) for language in _languages())
    return len(text.split()), signs


def lowered(text: str) -> str:
    """The text in lower case, each letter in its place. A pattern for any case would take twice the time."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(one if len(one := letter.lower()) == 1 else letter for letter in text)


def language_named(code: str) -> Language:
    """The language with this code, such as ``en``."""
    return next(language for language in _languages() if language.code == code)


@cache
def labels() -> frozenset[str]:
    """Return the words before a colon that name no speaker, in any language."""
    months = month_names() - {"april", "may", "mai", "june", "august", "jan"}  # first names
    return months.union(*(language.labels for language in _languages()))


@cache
def month_names() -> frozenset[str]:
    """Return the names of months and their short forms, in lower case, in any language."""
    return frozenset(month for language in _languages() for month in language.months)


@cache
def _languages() -> tuple[Language, ...]:
    folder = files(__package__) / "words"
    return tuple(
        _read(load_yaml(entry.read_text("utf-8")))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    )


def _read(data: dict[str, object]) -> Language:
    values: dict[str, object] = {}
    for attribute in fields(Language):
        name = attribute.name
        value = data[name]
        match value:
            case list() if name == "conjunction":
                between = "|".join(value)
                values[name] = re.compile(
                    rf"\s+(?:{between})\s+|[;:,]\s+|\s+[-–—]\s+",
                    re.IGNORECASE,
                )
            case list() if name in ("pivots", "order"):
                values[name] = tuple(_any_of([pivot]) for pivot in value)
            case list() if name == "phrases":
                values[name] = tuple((_any_of([phrase]), words) for phrase, words in value)
            case list() if name == "difference_behind":
                values[name] = re.compile("|".join(value), re.IGNORECASE)
            case list() if name == "negating_prefixes":
                values[name] = tuple(value)
            case list() if name in ("irregular", "synonyms"):
                values[name] = {
                    form: first for first, *forms in map(str.split, value) for form in forms
                }
            case list() if name in ("opposites", "stages", "opposed_prepositions"):
                forms = Language(
                    stemmer=str(data["stemmer"]),
                    irregular=values["irregular"],  # type: ignore[arg-type]
                    synonyms=values["synonyms"],  # type: ignore[arg-type]
                )
                values[name] = _opposites_in(value, forms)
            case list() if name in ("absolutes", "denied_equivalents"):
                values[name] = tuple((_any_of(said), _any_of(there)) for said, there in value)
            case list():
                values[name] = _any_of(value)
            case str() if name == "infix":
                values[name] = re.compile(value) if value else _NOTHING
            case str() if name in _WORD_LISTS:
                values[name] = frozenset(value.split())
            case _:
                values[name] = value
    return Language(**values)  # type: ignore[arg-type]


def _any_of(patterns: list[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)


def _opposites_in(rows: list[str], language: Language) -> Opposites:
    """Return for each word of rows such as "rise rose / fall fell" its group and those opposed to it."""
    opposites: Opposites = {}
    for row in rows:
        groups = [language.stems(group.split()) for group in row.split("/")]
        for group in groups:
            others = frozenset().union(*groups) - group
            for stem in group:
                opposites[stem] = (*opposites.get(stem, ()), (group, others))
    return opposites


@cache
def _stemmer(name: str) -> Stemmer.Stemmer:
    # Here, because most web processes never compare words.
    import Stemmer

    return Stemmer.Stemmer(name)
