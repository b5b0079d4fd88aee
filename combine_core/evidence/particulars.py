"""Rules on the numbers with units, dates, times, names and quoted terms of a statement.

Each rule returns whether the statement breaks it. An example such as "9 to 5" for "5 to 9" gives the words of
the statement first, then those of the source.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import dropwhile, groupby, islice, pairwise, permutations, takewhile

from combine_core.evidence.case import Case, Clause, Ground, figures_of
from combine_core.evidence.facts import Date, Facts, Number, Word, facts_of
from combine_core.evidence.stitching import terms_of
from combine_core.language import Language

# The number of letters that tell a German noun from others.
_PART = 6
# Fewer letters than these match a part of any word by chance.
_FEW_LETTERS = 4
# The text between the ends of a range.
_RANGE = re.compile(r"-|–|to|and|bis|und")
# Each unit as a multiple of the smallest one. Months have no fixed number of days.
_SCALES = {
    unit: (Decimal(count), smallest)
    for smallest, units in {
        "s": {"s": 1, "min": 60, "h": 3600, "day": 86_400, "week": 604_800},
        "month": {"month": 1, "quarter": 3, "year": 12},
        "mm": {"mm": 1, "cm": 10, "m": 1000, "km": 1_000_000},
        "g": {"g": 1, "kg": 1000, "t": 1_000_000},
    }.items()
    for unit, count in units.items()
}
_SPANS = {unit for unit, (_, smallest) in _SCALES.items() if smallest in ("s", "month")}
# Fewer figures cannot be exchanged.
_PAIRS = 2
# A number in this range without a unit is a year.
_YEARS = range(1900, 2101)
# The name of the subject is among this number of words: "the tug Elva".
_LEADING = 2
# A sentence with more clauses is a list.
_LIST = 30
_QUOTED = re.compile(r"[“\"„«]([^“”\"„«»]{2,80})[”\"“»]")
_BEFORE = re.compile(r"(?:\b(from|to|by|von|auf|um|zu|nach)\s+(?:the\s+)?)?$", re.IGNORECASE)
# Bounds that may stand after the figure: "9 degrees at most".
_AFTER_FIGURES = ("at ", "max", "min", "höchst", "wenigst")
# The number of characters before a figure in which its preposition stands.
_NEAR = 30
# The most words from the subject to its verb.
_TO_VERB = 4


def another_number(case: Case) -> bool:
    return not all(_number_stands(number, case.claim, case.ground) for number in case.claim.numbers)


def _number_stands(number: Number, claim: Facts, ground: Ground) -> bool:
    years = {date.year for facts in (ground.facts, ground.known) for date in facts.dates}
    if not number.known_unit and number.value in years:
        return True
    candidates = [*ground.facts.numbers, *ground.known.numbers]
    same = [
        other for other in candidates if other.value == number.value or _same_amount(other, number)
    ]
    return any(
        _units_agree(number, other, candidates)
        and _bounds_agree(number, claim, other, ground)
        and not _in_another_cell(number, other, ground)
        for other in same
    )


def _same_amount(one: Number, other: Number) -> bool:
    """Check whether two numbers are the same amount: "2 weeks" and "14 days"."""
    scale, other_scale = _SCALES.get(one.unit), _SCALES.get(other.unit)
    if scale is None or other_scale is None or scale[1] != other_scale[1]:
        return False
    return one.value * scale[0] == other.value * other_scale[0]


def _in_another_cell(number: Number, other: Number, ground: Ground) -> bool:
    """Check whether the claimed unit is in another cell of the table row than the number."""
    if not number.known_unit or other.unit or other not in ground.facts.numbers:
        return False
    if any(ground.language.unit(word.text.lower()) == number.unit for word in ground.known.words):
        return False
    return any(
        third.unit == number.unit
        and ";" in ground.text[min(other.end, third.end) : max(other.start, third.start)]
        for third in ground.facts.numbers
    )


def _units_agree(number: Number, other: Number, candidates: Sequence[Number]) -> bool:
    if number.known_unit and other.known_unit:
        same = number.unit == other.unit or {number.unit[:1], other.unit[:1]} == {"°"}
        return same or _same_amount(number, other)
    if number.known_unit or other.known_unit:
        return not number.unit or not other.unit
    if number.unit == other.unit or not number.unit:
        return True
    # In "15 engineers and 20 designers", only 20 counts designers.
    return not any(number.unit == third.unit for third in candidates)


def _bounds_agree(number: Number, claim: Facts, other: Number, ground: Ground) -> bool:
    if other not in ground.facts.numbers:
        return True
    language = ground.language

    claimed = _bound(claim.text, number.start, language)
    there = _bound(ground.facts.text, other.start, language)
    # The bound may be in the name of the column: "maximum".
    named = {"more": language.more_than, "less": language.less_than}
    return claimed == there or (bool(claimed) and not there and ground.known.says(named[claimed]))


def _bound(text: str, start: int, language: Language) -> str:
    """Return "more" or "less" if the number at ``start`` is a lower or upper bound, else an empty text."""
    before = text[max(0, start - 20) : start].rstrip(" $€£-−")
    behind = text[start : start + 30]
    bounds: list[tuple[int, str]] = []
    for name, pattern in (("more", language.more_than), ("less", language.less_than)):
        # "No more than five" contains "more than five", so the first match counts.
        bounds += (
            (match.start(), name)
            for match in pattern.finditer(before)
            if match.end() == len(before)
        )
        # "Five days or more".
        bounds += (
            (len(text), name)
            for match in pattern.finditer(behind)
            if language.choice.match(match[0])
            or (match[0].lower().startswith(_AFTER_FIGURES) and behind[match.end() :][:1] in ".,;")
        )
    return min(bounds, default=(0, ""))[1]


def another_date(case: Case) -> bool:
    if not case.claim.dates:
        return False
    known, written = case.ground.known.dates, case.ground.facts.dates
    years = {one.year for one in known if one.year}
    # "4 May" in minutes of 2026 is 4 May 2026.
    dates = [
        *written,
        *(replace(one, year=year) for one in written if not one.year for year in years),
    ]
    relative = _relative_days(case)
    # "Yesterday" in minutes of 5 March is not 5 March.
    dates += relative or known
    return not all(any(one.covers(claimed) for one in dates) for claimed in case.claim.dates)


def _relative_days(case: Case) -> list[Date]:
    """Return the dates of words such as "yesterday" and "Monday", if a heading dates the source."""
    language = case.language
    said = {word.text.lower() for word in case.claim.words}
    named = {word.text.lower() for word in case.ground.facts.words} - said
    distances = [language.relative_days[word] for word in named if word in language.relative_days]
    weekdays = [language.weekdays[word] for word in named if word in language.weekdays]
    days: list[Date] = []
    for one in case.ground.known.dates if distances or weekdays else ():
        with suppress(ValueError, OverflowError):  # no such day, such as 31 February
            today = date(one.year or 0, one.month, one.day or 0)
            all_distances = [*distances, *_distances_to(weekdays, today)]
            near = [today + timedelta(days=distance) for distance in all_distances]
            days += (Date(day.day, day.month, day.year) for day in near)
    return days


def _distances_to(weekdays: Sequence[int], today: date) -> Iterator[int]:
    """Yield the distances in days to the last and the next of each weekday."""
    for weekday in weekdays:
        ahead = (weekday - today.weekday()) % 7
        yield from (ahead, ahead - 7)


def another_time(case: Case) -> bool:
    return not set(case.claim.times) <= {*case.ground.facts.times, *case.ground.known.times}


def another_name(case: Case) -> bool:
    names = _names(case.claim, case.language)
    reports = [match.span() for match in case.language.attribution.finditer(case.claim.text)]
    return any(
        not _name_stands(word, case.claim, case.ground)
        for word in names
        # In "nach Ansicht von Anna", "Ansicht" is no name.
        if not any(start <= word.start < end for start, end in reports)
    )


def _names(claim: Facts, language: Language) -> Iterator[Word]:
    first = True
    months = {one.month for one in claim.dates}
    for word in claim.words:
        written = word.text.lower()
        # Another rule compares the months of dates.
        if written in language.titles or language.months.get(written) in months:
            continue
        # The first word is the subject. Name or not, it must be in the source.
        if word.name or (first and word.content and word.text[0].isupper()):
            yield word
        first = False


def _name_stands(word: Word, claim: Facts, ground: Ground) -> bool:
    written = word.text.lower()
    text = ground.text.lower()
    if word.stem in ground.stems or (written in text and not _only_within_words(written, text)):
        return True
    if (ground.language.compounds or not word.name) and ground.holds_alike(word.stem):
        return True
    if (
        ground.language.code == "de"
        and len(written) > _PART
        and written[:_PART] in ground.text.lower()
    ):
        return True  # a noun in another form, or a part of a compound
    if word.stem in ground.speakers:
        # The speaker is meant by "I", "we" and "our", or is named as the person who says or asks it.
        language = ground.language
        asks = (
            language.attribution,
            language.reporting,
            language.open_question,
            language.request,
            language.proposal,
        )
        return (
            ground.facts.says(language.first_person)
            or (ground.facts.says(language.possessive) and _owns(word, claim))
            or any(map(claim.says, asks))
        )
    return word.text.isupper() and _is_acronym(word.text, ground.facts)


def _only_within_words(letters: str, text: str) -> bool:
    """Check whether a short word is only a part of other words, as "C" is of "locked"."""
    return len(letters) < _FEW_LETTERS and not re.search(rf"(?<!\w){re.escape(letters)}", text)


def _owns(word: Word, claim: Facts) -> bool:
    """Check for a possessive: "Anna's team", "Annas Team" or "the team of Anna"."""
    before, behind = claim.text[: word.start], claim.text[word.start + len(word.text) :]
    return bool(
        re.search(r"\b(?:of|by|von) +\Z", before)
        or re.match(r"['’]", behind)
        or word.text.endswith("s")
    )


def _is_acronym(letters: str, facts: Facts) -> bool:
    initials = "".join(word.text[0] for word in facts.words if word.content)
    return len(letters) > 1 and letters in initials


def another_term(case: Case) -> bool:
    text = " ".join(case.ground.text.lower().split())
    return not all(term.lower().strip(" .,") in text for term in _QUOTED.findall(case.claim.text))


def another_role(case: Case) -> bool:
    """Check the prepositions before figures and names: "from 9 to 5" for "from 5 to 9"."""

    def places(facts: Facts) -> Iterator[tuple[object, int]]:
        yield from ((number.value, number.start) for number in facts.numbers)
        yield from ((word.stem, word.start) for word in facts.words if word.name)

    there = list(places(case.ground.facts))
    for said, start in places(case.claim):
        # "Within 5 days" is a bound, which another rule compares.
        if _bound(case.claim.text, start, case.language):
            continue
        claimed = _role(case.claim.text, start)
        roles = {_role(case.ground.facts.text, other) for one, other in there if one == said}
        if claimed and roles and "" not in roles and claimed not in roles:
            return True
    return False


def another_difference(case: Case) -> bool:
    """Check for an amount in place of a difference: "47 minutes" for "47 minutes longer than planned"."""
    language = case.language
    if case.claim.says(language.difference):
        return False
    amounts = {number.value for number in case.claim.numbers}
    differences = {
        number.value
        for number in case.ground.facts.numbers
        if language.difference_behind.match(case.ground.facts.text, number.end)
    }
    others = [number.value for number in case.ground.facts.numbers]
    return any(others.count(one) == 1 for one in amounts & differences)


def swapped_figures(case: Case) -> bool:
    """Check for exchanged figures: "10 ms for over 5 s" for "5 ms for over 10 s"."""
    here = _words_before_figures(case.claim)
    if len(here) < _PAIRS:
        return False
    there = _words_before_figures(case.ground.facts)
    moved = {(here[one], there[one]) for one in here.keys() & there.keys()}
    return any(before != now and (now, before) in moved for before, now in moved)


def _words_before_figures(facts: Facts) -> dict[object, str]:
    """Return the word before each number and identifier that occurs once."""
    tokens: list[tuple[int, object, str]] = [
        (number.start, number.value, "") for number in facts.numbers
    ]
    tokens += ((word.start, word.stem, word.text.lower()) for word in facts.words)
    counts = Counter(figure for _, figure, _ in tokens)
    found: dict[object, str] = {}
    before = ""
    for _, figure, written in sorted(tokens, key=lambda token: token[0]):
        if counts[figure] == 1 and before and not written.isalpha():
            found[figure] = before
        before = written or before
    return found


def _role(text: str, start: int) -> str:
    match = _BEFORE.search(text[max(0, start - _NEAR) : start].rstrip(" $€£-−") + " ")
    return (match[1] or "").lower() if match else ""


def half_of_a_range(case: Case) -> bool:
    """Check for one end of a range: "5 days" for "between 3 and 5 days"."""
    said = {number.value for number in case.claim.numbers}
    language = case.language
    if case.claim.says(language.more_than) or case.claim.says(language.less_than):
        return False
    for first, second in pairwise(
        sorted(case.ground.facts.numbers, key=lambda number: number.start)
    ):
        text = case.ground.facts.text
        between = text[first.end : second.start].strip(" $€£")
        # "2 million in 2024 and 3 million in 2025" has no range "2024 and 3 million".
        alike = _is_year(first) == _is_year(second)
        is_range = alike and _RANGE.fullmatch(between) and not _role(text, first.start)
        if is_range and len({first.value, second.value} & said) == 1:
            return True
    return False


def mispaired(case: Case) -> bool:
    """Check for a figure of another clause: "2.6% in March" for "3.1% in March and 2.6% in April"."""
    for clause in case.clauses:
        places = case.ground.clauses_with_figures_of(clause)
        if not places or not clause.figures:
            continue
        said, kinds = clause.facts.stems, _kinds_of_figures(clause.facts)
        rivals = frozenset().union(*(place.content for place in places)) - said
        known, sentences = set(map(id, places)), {place.sentence for place in places}
        others = (
            one
            for one in case.ground.clauses
            if _kinds_of_figures(one.facts) & kinds
            and one.sentence in sentences
            and id(one) not in known
        )
        missing = said.difference(*(place.facts.stems for place in places))
        if rivals and any(missing & other.content for other in others):
            return True
        if any(
            _crosses(_named(clause.facts), _named(place.facts))
            or _crosses(_dated(clause.facts), _dated(place.facts))
            for place in places
        ):
            return True
        if _torn(clause, places):
            return True
    return False


def _kinds_of_figures(facts: Facts) -> set[str]:
    """Return the kinds of figures. Sums of money and spans of time are of different kinds."""
    kinds = {
        ("span" if number.unit in _SPANS else number.unit) if number.known_unit else "number"
        for number in facts.numbers
    }
    return kinds | {kind for kind in ("dates", "times") if getattr(facts, kind)}


def another_column(case: Case) -> bool:
    """Check for a figure of another column: "planned 5" for a row with 4 planned and 5 spent."""
    said, figures, language = case.claim.stems, figures_of(case.claim), case.language

    def is_named(name: Facts) -> bool:
        return any(
            language.alike(word.stem, other)
            for word in name.words
            if word.content
            for other in said
        )

    for row in case.ground.rows:
        with_figures = [
            (is_named(name), figures_of(cell)) for name, cell in row if figures_of(cell)
        ]
        named = [cell for is_said, cell in with_figures if is_said]
        used = [is_said for is_said, cell in with_figures if cell & figures]
        if used and not any(used) and named and not any(cell & figures for cell in named):
            return True
    return False


def another_object(case: Case) -> bool:
    """Check for a name of another clause: "renewed Ash's" for "renewed Elm's and ended Ash's"."""
    for _, of_one in groupby(case.ground.clauses, key=lambda clause: clause.sentence):
        clauses = [clause for clause in of_one if clause.names]
        if len(clauses) > _LIST:
            continue
        for its, other in permutations(clauses, 2):
            left_out = other.names - case.claim.stems
            for clause in case.clauses if left_out else ():
                said = clause.content - its.names
                if (
                    clause.names & its.names - other.names
                    and said & other.content - its.content
                    and not said & its.content - other.content
                    and its.content - its.names - case.claim.stems
                ):
                    return True
    return False


# The places of the values of a sentence, and of the names or years that they belong to.
_Places = tuple[Sequence[tuple[int, object]], Sequence[tuple[int, object]]]


def _named(facts: Facts) -> _Places:
    values = [(number.start, number.value) for number in facts.numbers]
    return sorted(values), sorted((word.start, word.stem) for word in facts.words if word.name)


def _dated(facts: Facts) -> _Places:
    numbers = sorted(facts.numbers, key=lambda number: number.start)
    values = [(number.start, number.value) for number in numbers if number.known_unit]
    return values, [(number.start, number.value) for number in numbers if _is_year(number)]


def _is_year(number: Number) -> bool:
    return not number.unit and number.value in _YEARS


def _crosses(said: _Places, there: _Places) -> bool:
    """Check whether a value and a name are paired that the source pairs with others."""
    values, names = there
    places = [(start, True) for start, _ in names] + [(start, False) for start, _ in values]
    turns = [is_name for _, is_name in sorted(places)]
    if len(values) < _PAIRS or any(one == another for one, another in pairwise(turns)):
        return False
    pairs = {(value, name) for (_, value), (_, name) in zip(values, names, strict=False)}
    paired_values, paired_names = {value for value, _ in pairs}, {name for _, name in pairs}
    claimed = {
        (value, name)
        for _, value in said[0]
        for _, name in said[1]
        if value in paired_values and name in paired_names
    }
    return len(claimed) == 1 and not claimed & pairs


def _torn(clause: Clause, places: Sequence[Clause]) -> bool:
    """Check for another value beside a figure: "9% in 2023" for "it is 9% and was 14% in 2023"."""

    def is_replaced(number: Number, place: Clause) -> bool:
        others = place.facts.numbers
        return number.value not in place.figures and any(
            other.unit == number.unit and other.value not in clause.figures for other in others
        )

    for kind in ("dates", "times"):
        here = set(getattr(clause.facts, kind))
        beside = [place for place in places if place.figures & (clause.figures - here)]
        there = [set(getattr(place.facts, kind)) for place in beside]
        if here and there and all(others and not others & here for others in there):
            return True
    for number in clause.facts.numbers:
        for figure in clause.figures - {number.value} if number.known_unit else ():
            beside = [place for place in places if figure in place.figures]
            if beside and all(is_replaced(number, place) for place in beside):
                return True
    return False


def replaced(case: Case) -> bool:
    """Check for a replaced word after a preposition: "92% of calls" for "92% of tickets"."""
    language = case.language
    here, there = _in_context(case.claim, language), _in_context(case.ground.facts, language)
    stems, said = case.ground.stems | case.ground.speakers, case.claim.stems
    taken = {context for word, context in there if word not in said}
    return any(word not in stems and context in taken for word, context in here)


def _in_context(facts: Facts, language: Language) -> list[tuple[str, tuple[str, str]]]:
    """Return each content word after a preposition, with the preposition and the word or number before it."""
    tokens = [(word.start, word.stem, word.text.lower(), word.content) for word in facts.words]
    tokens += [(number.start, str(number.value), "", False) for number in facts.numbers]
    found: list[tuple[str, tuple[str, str]]] = []
    function, before = "", ""
    for _, stem, written, content in sorted(tokens):
        if written in language.stop_words:
            function = written
            continue
        is_new = content and written not in language.months
        if is_new and before and function in language.prepositions:
            found.append((stem, (function, before)))
        function, before = "", stem
    return found


def another_rate(case: Case) -> bool:
    """Check for another rate: "72 euros per month" for "per year"."""
    language = case.language
    words = [
        word.text.lower()
        for facts in (case.ground.facts, case.ground.known)
        for word in facts.words
    ]
    there = set(map(language.unit, words))
    numbers = case.ground.facts.numbers
    there |= {number.unit for number in numbers}
    # "Every two years" is no yearly rate.
    there -= {number.unit for number in numbers if number.value > 1 and number.known_unit}
    there.update(map(language.rates.get, words))
    for match in language.rate.finditer(case.claim.text):
        of_what = match["unit"].lower()
        unit = language.unit(of_what)
        if unit and unit not in there:
            return True
        if not unit and match["per"] and language.stem(of_what) not in case.ground.stems:
            return True
    return any(
        language.rates[word.text.lower()] not in there
        for word in case.claim.words
        if word.text.lower() in language.rates
    )


def another_subject(case: Case) -> bool:
    """Check for the subject of another clause: "Ben sold it" for "Ann sold it and Ben bought oil"."""
    for _, of_one in groupby(case.ground.clauses, key=lambda clause: clause.sentence):
        subjects = [(clause, _subject_of(clause)) for clause in of_one]
        if len(subjects) > _LIST:
            continue
        for (its, all_here), (other, all_there) in permutations(subjects, 2):
            # Subjects may share a word: "the firm Ash" and "the firm Elm".
            here, there = all_here - all_there, all_there - all_here
            if not there or its.content <= here:
                continue
            for clause in case.clauses:
                says, own = clause.content - here, its.content - other.content
                is_of_other = says & other.content and not says & own
                if here & clause.content and is_of_other and not there & clause.content:
                    return True
    return False


def _subject_of(clause: Clause) -> frozenset[str]:
    """Return the names at the beginning of a clause, or none."""
    words = [word for word in clause.facts.words if word.text.lower() not in clause.language.titles]
    leading = dropwhile(lambda word: not word.content, words)
    if clause.language.code != "de":
        among = islice(leading, _LEADING)
        return frozenset(word.stem for word in among if word.text[0].isupper())
    return frozenset(word.stem for word in takewhile(lambda word: word.text[0].isupper(), leading))


def another_speaker(case: Case) -> bool:
    """Check for another subject than the speaker: "Tom called Ann" for "I called Ann and Tom"."""
    language, words = case.language, case.ground.facts.words
    for clause in case.clauses:
        names = _subject_of(clause) & case.ground.facts.stems
        if not names or clause.facts.words[0].stem not in names:
            continue
        if names & case.ground.speakers or clause.facts.says(language.passive):
            continue
        said = [word for word in clause.facts.words if word.content and word.stem not in names]
        verbs = {word.stem for word in islice(takewhile(lambda one: not one.name, said), _LEADING)}
        for place, word in enumerate(words):
            if word.stem not in verbs:
                continue
            for other in reversed(words[max(0, place - _TO_VERB) : place]):
                if other.name and not language.first_person.fullmatch(other.text):
                    break
                if other.text.lower() in language.pronouns or other.stem in names:
                    break
                if language.first_person.fullmatch(other.text):
                    return True
    return False


def another_agent(case: Case) -> bool:
    """Check for the subject of another verb: "Ann left" for "Ann rang, and the plumber left"."""
    for clause in case.clauses:
        topic = _topic_of(clause)
        verb = next(filter(clause.is_verb, clause.facts.words), None)
        if (
            not topic
            or verb is None
            or not verb.content
            or clause.facts.says(case.language.passive)
        ):
            continue
        places = [one for one in case.ground.clauses if verb.stem in one.content]
        if len(places) != 1 or topic & places[0].content:
            continue
        # "Ann, Ben and Eve left" has only one verb.
        around = (
            one
            for one in case.ground.clauses
            if one.sentence == places[0].sentence and any(map(one.is_verb, one.facts.words))
        )
        if _topic_of(places[0]) and any(topic <= one.content for one in around):
            return True
    return False


def recipient_acts(case: Case) -> bool:
    """Check for the recipient as the subject: "Ash sent the bill" for "Elm sent the bill to Ash"."""
    there = terms_of(case.ground.text, case.language)
    for clause in case.clauses:
        topic = _topic_of(clause)
        verb = next(filter(clause.is_verb, clause.facts.words), None)
        if not topic or verb is None or clause.facts.says(case.language.passive):
            continue
        stems = [term.stem for term in there]
        if verb.stem not in stems or stems.count(verb.stem) > 1:
            continue
        behind = there[stems.index(verb.stem) :]
        if any(term.stem in topic and term.before[:1] == ("to",) for term in behind):
            return True
    return False


def person_turned(case: Case) -> bool:
    """Check for "we billed the firm" in place of "the firm billed us"."""
    language, there = case.language, case.ground.facts
    if there.says(language.we) or not there.says(language.first_person):
        return False
    return any(
        language.we.fullmatch(one.text) and other.content and other.stem in there.stems
        for one, other in pairwise(case.claim.words)
    )


def speaker_for_another(case: Case) -> bool:
    """Check for the speaker as the subject of another's verb: "Ann thinks" for "I asked Ben, who thinks"."""
    language = case.language
    for clause in case.clauses:
        said = clause.facts.words
        if len(said) < _PAIRS or said[0].stem not in case.ground.speakers:
            continue
        for place in case.ground.clauses if said[1].content else ():
            stems = [word.stem for word in place.facts.words]
            if said[1].stem not in stems or place.facts.says(language.first_person):
                continue
            before = place.facts.words[: stems.index(said[1].stem)]
            if any(word.text.lower() in language.pronouns for word in before):
                return True
    return False


def another_weekday(case: Case) -> bool:
    """Check for the day of another verb: "closed on Monday" for "opened on Monday and closed on Friday"."""
    days = case.language.stems(case.language.weekdays)
    with_days = [clause for clause in case.ground.clauses if clause.content & days]
    for clause in case.clauses if len(with_days) > 1 else ():
        said = clause.content & days
        verbs = {word.stem for word in clause.facts.words if word.content and clause.is_verb(word)}
        places = [one for one in with_days if one.content & said]
        others = [one for one in with_days if not one.content & said]
        there = [any(verbs & one.content for one in group) for group in (places, others)]
        if places and there == [False, True]:
            return True
    return False


def another_topic(case: Case) -> bool:
    """Check for a thing of another clause: "Uptime is 4%" for "uptime is logged, and waste is 4%"."""
    for _, of_one in groupby(case.ground.clauses, key=lambda clause: clause.sentence):
        clauses = [clause for clause in of_one if any(map(clause.is_verb, clause.facts.words))]
        for its, other in permutations(clauses[:_LIST], 2):
            topic = _topic_of(its)
            if not topic or topic & case.claim.stems:
                continue
            for clause in case.clauses:
                said = _topic_of(clause)
                rest = (clause.content | clause.figures) - said
                own = (its.content | its.figures) - (other.content | other.figures)
                moved = said & other.content and not said & its.content and rest & own
                if moved and not rest & (other.content - its.content - said):
                    return True
    return False


def _topic_of(clause: Clause) -> frozenset[str]:
    """Return the content words before a verb: "the north gate" of "the north gate was shut"."""
    before = list(takewhile(lambda word: not clause.is_verb(word), clause.facts.words))
    is_pronoun = any(word.text.lower() in clause.language.pronouns for word in before)
    if is_pronoun or not len(before) < min(len(clause.facts.words), _TO_VERB + 2):
        return frozenset()
    return frozenset(word.stem for word in before if word.content)


def old_value(case: Case) -> bool:
    """Check for the old value of a change: "it costs 5" for "the price rose from 5 to 7"."""
    language = case.language
    said = figures_of(case.claim)
    if not said or case.claim.says(language.formerly):
        return False
    for match in language.change.finditer(case.ground.facts.text):
        parts = match.groupdict()
        old, new = (
            figures_of(facts_of(parts[name] or parts[f"{name}2"] or "", language))
            for name in ("old", "new")
        )
        if said & old - new and not said & new:
            return True
    return False
