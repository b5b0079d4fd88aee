"""Decides by rules whether passages of a source support a statement.

An example such as "fell" for "rose" gives the words of the statement first, then those of the source.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, pairwise, permutations

from combine_core.evidence.case import Case, Clause, Ground, clauses_of, figures_of
from combine_core.evidence.facts import Word, facts_of
from combine_core.evidence.particulars import (
    another_agent,
    another_column,
    another_date,
    another_difference,
    another_name,
    another_number,
    another_object,
    another_rate,
    another_role,
    another_speaker,
    another_subject,
    another_term,
    another_time,
    another_topic,
    another_weekday,
    half_of_a_range,
    mispaired,
    old_value,
    person_turned,
    recipient_acts,
    replaced,
    speaker_for_another,
    swapped_figures,
)
from combine_core.evidence.passage import Passage
from combine_core.evidence.roles import sides_of, swaps_roles, swaps_sides, swaps_subject
from combine_core.evidence.stitching import breaks_in, is_rephrased, own_words
from combine_core.language import Language

# The least share of a clause's content words that the passages must have.
MIN_COVERAGE = 0.5
# If there are no more words than these, the passages must have all.
_FEW = 2
# Fewer content words are not checked for joined fragments.
_STITCHABLE = 3
# This number of breaks for each pair of neighbouring words shows joined fragments.
_BREAKS = 0.14
# The most characters of a statement. The time to compare them grows with their square.
_LONGEST = 2000
# A paraphrase has a larger share of own words than this, or no more other breaks than this.
_OWN = 0.34
_MOVED = 0.5
# A condition in fewer words keeps this share of them.
_KEPT = 0.6


# A rule returns whether the statement breaks it.
Rule = Callable[[Case], bool]


def reasons_against(
    statement: str, passages: Sequence[Passage], language: Language, prose: bool = True
) -> list[str]:
    """Return the codes of the reasons why the passages do not support the statement, or none.

    :param statement: plain text
    :param passages: the sentences that contain its quotes
    :param prose: whether the statement is a sentence. Fields such as a label are fragments by nature
    """
    if any(_same_words(statement, passage) for passage in passages):
        return []
    rules = [*_RULES, *_PROSE] if prose else _RULES
    return _broken(rules, statement, passages, language)


def details_against(detail: str, passages: Sequence[Passage], language: Language) -> list[str]:
    """Return the codes of the reasons why the passages lack another field, such as the owner, or none."""
    if any(detail in (passage.speaker, *passage.titles) for passage in passages):
        return []
    named = [replace(passage, known=f"{passage.known} {passage.speaker}") for passage in passages]
    return _broken(_DETAILS, detail, named, language)


def _broken(
    rules: Sequence[tuple[str, Rule]],
    statement: str,
    passages: Sequence[Passage],
    language: Language,
) -> list[str]:
    if len(statement) > _LONGEST:
        return ["not_covered"]
    text = language.with_plain_verbs(_unmarked(statement))
    passages = [
        replace(passage, text=language.with_plain_verbs(passage.text)) for passage in passages
    ]
    here, there = _words_in(text), _words_in(" ".join(passage.text for passage in passages))
    text = _spelled_out(text, there, here, language)
    passages = [
        replace(passage, text=_spelled_out(passage.text, here, there, language))
        for passage in passages
    ]
    case = Case(facts_of(text, language), clauses_of(text, language), Ground(passages, language))
    return list(dict.fromkeys(code for code, broken in rules if broken(case)))


def _words_in(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_][\w-]{3,}", text.lower()))


def _spelled_out(text: str, others: set[str], own: set[str], language: Language) -> str:
    """Return the text with "not clear" for "unclear", if only the other text has "clear"."""
    prefixes = "|".join(language.negating_prefixes)
    if not prefixes:
        return text

    def spelled(match: re.Match[str]) -> str:
        is_denied = match[1].lower() in others - own and match[0].lower() not in others
        return f"{language.no} {match[1]}" if is_denied else match[0]

    return re.sub(rf"(?<![\w-])(?:{prefixes})([^\W\d_]{{4,}})(?![\w-])", spelled, text, flags=re.I)


def _same_words(statement: str, passage: Passage) -> bool:
    """Check whether the statement is the passage itself."""

    def plain(text: str) -> str:
        return " ".join(_unmarked(text).lower().split()).rstrip(".! ")

    return plain(statement) == plain(passage.text)


def _unmarked(statement: str) -> str:
    return re.sub(r"[*`]|~~", "", statement)


# -- negation, condition, modality, question, attribution


def _another_polarity(case: Case) -> bool:
    for clause, carriers in case.resting:
        # "It is not known" and "it is unclear" mean the same.
        if _is_open(clause) and any(map(_is_open, carriers)):
            continue
        if any(_says_without_not(clause, carrier) for carrier in carriers):
            continue
        denies = any(clause.negates(carrier.content) for carrier in carriers)
        denied = any(carrier.negates(clause.content) for carrier in carriers)
        if denies != denied and not any(_is_denied_opposite(clause, one) for one in carriers):
            return True
        # "May not be used without a guard" is a double negation.
        if any(
            clause.denied & carrier.denied and clause.denies_all != carrier.denies_all
            for carrier in carriers
        ):
            return True
        # "Neither approved nor rejected" is no rejection.
        if any(
            clause.refuses and carrier.refuses and clause.denies_refusal != carrier.denies_refusal
            for carrier in carriers
        ):
            return True
    return False


def _is_open(clause: Clause) -> bool:
    """Check whether the sentence says that something is not known or decided."""
    return clause.language.open_question.search(clause.sentence) is not None


def _says_without_not(clause: Clause, carrier: Clause) -> bool:
    """Check for equal meanings with and without a "not": "only with" and "not without"."""
    equivalents = clause.language.equivalents_in
    return any(-number in equivalents(carrier.sentence) for number in equivalents(clause.sentence))


def _opposite(case: Case) -> bool:
    """Check for an opposite: "costs fell" for "costs rose"."""
    if _is_converse(case) or any(_says_without_not(*pair) for pair in case.carried):
        return False
    if any(clause.opposes_attribute(carrier.facts) for clause, carrier in case.carried):
        return True
    if any(clause.opposes(case.ground.facts) for clause in case.clauses):
        denied = any(_is_denied_opposite(clause, carrier) for clause, carrier in case.carried)
        return not denied
    for clause, carriers in case.resting:
        # "Ended at 10:47" is compared with the second clause of "began at 09:12 and ended at 10:47".
        with_figures = case.ground.clauses_with_figures_of(clause)
        around = with_figures or carriers
        texts = [
            one.facts if with_figures else facts_of(one.sentence, case.language) for one in around
        ]
        if texts and all(clause.opposes(facts) for facts in texts):
            return True
    return False


def _is_denied_opposite(clause: Clause, carrier: Clause) -> bool:
    """Check for a negated opposite: "costs did not fall" for "costs rose", but not the reverse."""
    return (
        clause.opposes(carrier.facts)
        and not clause.facts.says(clause.language.exclusion)
        and clause.negates(carrier.content)
        and not carrier.negates(clause.content)
    )


def _denied_there(case: Case) -> bool:
    """Check for words that the source has only in a negation: "by Ben" for "by Ann, not by Ben"."""
    language = case.language
    said = case.claim.stems | figures_of(case.claim)
    for clause in case.ground.clauses:
        if _is_open(clause) and any(map(_is_open, case.clauses)):
            continue
        if any(_says_without_not(one, clause) for one in case.clauses):
            continue
        if clause.is_contrast:
            denied = clause.content | clause.figures
        else:
            # "It has not stopped Klopp" negates nothing else about Klopp.
            words = clause.content if clause.denies_all else clause.denied
            # "Rises from 90 to 120 cents" says as well what it costs no longer.
            figures = frozenset() if case.claim.says(language.change) else clause.denied_figures
            denied = (words - clause.names) | figures
        only_here = frozenset(one for one in denied & said if case.ground.occurrences[one] == 1)
        if clause.refuses and _says_something_else(clause, case, only_here):
            continue
        # "Cancelled after six months" does not negate the six months.
        around = [one for one in case.clauses if (one.content | one.figures) & only_here]
        if only_here and not any(one.negates(only_here) for one in around):
            return True
    return False


def _says_something_else(clause: Clause, case: Case, shared: frozenset[object]) -> bool:
    """Check whether the statement matches another clause: "accepted A" for "rejected B and accepted A"."""
    others = clause.names - case.claim.stems
    return bool(others) and not any(
        clause in carriers for one, carriers in case.resting if one.content & shared
    )


def _stricter(case: Case) -> bool:
    """Check for "must" in place of "may" or "should"."""
    language = case.language
    only_advised = [one for one in case.carriers if one.facts.says(language.advice)]
    if case.claim.says(language.duty) and only_advised:
        return not any(one.facts.says(language.duty) for one in case.carriers)
    # "B must be there" for "A must be there, and B may".
    said = [one.content for one in case.clauses if one.facts.says(language.obligation)]
    return any(
        case.ground.occurrences[stem] == 1
        for clause in (case.ground.clauses if said else ())
        if clause.facts.says(language.permission)
        and not clause.facts.says(language.obligation)
        and not clause.denies_all
        for stem in clause.content.intersection(chain(*said))
    )


def _sides_swapped(case: Case) -> bool:
    """Check for exchanged sides: "it broke because it was late" for "it was late because it broke"."""
    return _swaps_sides(case) and not _is_converse(case)


def _is_converse(case: Case) -> bool:
    """Check for a converse: "York sold less than Leeds", "York came after Leeds"."""
    if _swaps_order(case):
        return True
    words = {word.text.lower() for word in case.ground.facts.words}
    return _swaps_sides(case) and any(
        case.language.comparative.fullmatch(word.text) and word.text.lower() not in words
        for word in case.claim.words
    )


def _swaps_order(case: Case) -> bool:
    """Check for "York came after Leeds" for "Leeds came before York"."""
    language = case.language
    said, there = case.claim.text, case.ground.text
    return any(
        one.search(said)
        and other.search(there)
        and not (one.search(there) or other.search(said))
        and swaps_sides(sides_of(said, one, language), sides_of(there, other, language))
        for one, other in permutations(language.order, 2)
    )


def _swaps_sides(case: Case) -> bool:
    language = case.language
    there = {clause.sentence for clause in case.ground.clauses}
    said = {clause.sentence for clause in case.clauses}
    return any(
        swaps_sides(sides_of(claimed, pivot, language), sides_of(sentence, pivot, language))
        for pivot in language.pivots
        for claimed in said
        if pivot.search(claimed)
        for sentence in there
        if pivot.search(sentence)
    )


def _exception_left_out(case: Case) -> bool:
    """Check for a lost exception: "every night" for "every night except on Sunday"."""
    language = case.language
    if not case.claim.says(language.none_or_all):
        return False
    return any(
        case.ground.facts.says(limit) and not case.claim.says(limit)
        for limit in (language.exception, language.partial)
    )


def _alternative_left_out(case: Case) -> bool:
    """Check for a lost alternative: "Lena writes it" for "either Lena or Raj writes it"."""
    language = case.language
    return not case.claim.says(language.choice) and any(
        language.alternative.search(carrier.sentence) for carrier in case.carriers
    )


def _denied_elsewhere(case: Case) -> bool:
    """Check for a negated word that the source lacks: "without a tender"."""
    stems = case.ground.stems | case.language.light_stems
    return any(clause.denied and not clause.denied & stems for clause in case.clauses)


def _absolute(case: Case) -> bool:
    """Check for an added "all", "only" or "unanimously"."""
    if case.claim.says(case.language.none_or_all) and _restriction_left_out(case):
        return True
    return any(
        case.claim.says(said) and not case.ground.facts.says(there)
        for said, there in case.language.absolutes
    )


def _restriction_left_out(case: Case) -> bool:
    """Check for more than all that is meant: "all tenants" for "all tenants over 70"."""
    said = case.claim.stems | figures_of(case.claim)
    for match in case.language.restriction.finditer(case.ground.text):
        limit = facts_of(" ".join(filter(None, match.groups())), case.language)
        words = {word.stem for word in limit.words if word.content} | figures_of(limit)
        if words and not words & said:
            return True
    return False


def _part_left_out(case: Case) -> bool:
    """Check for a whole in place of a part: "the drivers" for "half of the drivers"."""
    language = case.language
    if case.claim.says(language.partial) or case.claim.says(language.part):
        return False
    return any(
        carrier.facts.says(language.part) and not carrier.figures & figures_of(case.claim)
        for carrier in case.carriers
    ) or _says_only_the_whole(case)


def _says_only_the_whole(case: Case) -> bool:
    """Check for the larger figure alone: "74 plots are free" for "12 of the 74 plots are free"."""
    numbers = sorted(case.ground.facts.numbers, key=lambda number: number.start)
    said = {number.value for number in case.claim.numbers}
    return any(
        case.language.portion.fullmatch(case.ground.facts.text[one.end : other.start].strip())
        and other.value in said
        and one.value not in said
        for one, other in pairwise(numbers)
    )


def _condition_left_out(case: Case) -> bool:
    condition = case.language.condition
    if case.claim.says(condition) or case.claim.says(case.language.circumstance):
        return False
    matches = [
        match
        for one in case.carriers
        for match in condition.finditer(one.sentence)
        if not _condition_condensed(match, case)
    ]
    if case.claim.says(case.language.open_question):
        # In "it is not decided whether", "whether" is no condition.
        return not all(case.language.open_question.search(match[0]) for match in matches)
    return bool(matches)


def _condition_condensed(condition: re.Match[str], case: Case) -> bool:
    """Check for a condition in fewer words: "on late invoices" for "if an invoice is paid late"."""
    text = condition.string[condition.start() :].partition(",")[0]
    words = {word.stem for word in facts_of(text, case.language).words if word.content}
    said = list(chain.from_iterable(clause.terms for clause in case.clauses))
    kept = [term for term in said if term.stem in words]
    if len(words) < _STITCHABLE or len({term.stem for term in kept}) < _KEPT * len(words):
        return False
    # "The board agrees to the launch" is no condition. German articles do not tell.
    articles = case.language.articles
    return bool(articles) and (kept[0] is not said[0] or bool(set(kept[0].before) - articles))


def _hedge_left_out(case: Case) -> bool:
    hedge, proposal = case.language.hedge, case.language.proposal
    if case.claim.says(hedge):
        return False
    language = case.language
    texts = [carrier.facts.text for carrier in case.carriers]
    # "May" and "can" both permit.
    if case.claim.says(language.permission):
        texts = [language.permission.sub(" ", text) for text in texts]
    # "It was agreed that Ann would go" says that she will go.
    if case.claim.says(language.future) or case.claim.says(language.condition):
        reported = (language.attribution, language.reporting, language.agreement)
        is_report = any(map(case.ground.facts.says, reported))
    else:
        is_report = _reports(case)
    if is_report:
        texts = [language.reported_future.sub(" ", text) for text in texts]
    if _is_agreed(case):
        texts = [proposal.sub(" ", text) for text in texts]
    return any(map(hedge.search, texts))


def _is_agreed(case: Case) -> bool:
    """Check whether both say that a proposal was accepted, and the source accepts nothing else."""
    language = case.language
    if not case.claim.says(language.agreement):
        return False
    said = case.claim.stems
    for clause in case.ground.clauses:
        if not clause.facts.says(language.agreement) or clause.negates(clause.content):
            continue
        if clause.facts.says(language.future) or clause.facts.says(language.obligation):
            continue
        # "Agreed to Ben's suggestion" names its author. "Agreed with Anna" has another meaning.
        proposes = clause.facts.says(language.proposal)
        rest = language.agreement.sub(" ", language.proposal.sub(" ", clause.facts.text))
        others = (word for word in facts_of(rest, language).words if word.content)
        if not language.hedge.search(rest) and all(
            word.stem in said or (proposes and word.name) for word in others
        ):
            return True
    return False


def _reports(case: Case) -> bool:
    return case.claim.says(case.language.attribution) or case.claim.says(case.language.reporting)


def _unattributed(case: Case) -> bool:
    """Check for a lost attribution: "it leaks" for "Ben says it leaks", but not for "this report says"."""
    language = case.language
    if _reports(case) or case.claim.says(language.hedge):
        return False
    for carrier in case.carriers:
        sentence = carrier.sentence
        at = sentence.find(carrier.facts.text.strip())
        before, behind = sentence[:at], sentence[at + len(carrier.facts.text.strip()) :]
        for match in language.attribution.finditer(sentence):
            inside = at <= match.start() < at + len(carrier.facts.text)
            # "According to Ben, …" and "…, Ben said."
            beside = (
                match.end() <= at
                and not re.search(r"[;:.]", before[match.end() :])
                and len(before.split()) <= 6
            ) or (match.start() >= len(sentence) - len(behind) and len(behind.split()) <= 4)
            around = sentence[max(0, match.start() - 40) : match.end() + 20]
            if (inside or beside) and not language.document.search(around):
                return True
    return False


def _question(case: Case) -> bool:
    if case.claim.text.rstrip().endswith("?") or case.claim.says(case.language.open_question):
        return False
    return any(carrier.sentence.rstrip("\"'”’»)*_ ").endswith("?") for carrier in case.carriers)


def _done(case: Case) -> bool:
    """Check whether a task, plan or request is reported as done: "was sent" for "please send"."""
    language = case.language
    still_to_do = (language.obligation, language.request, language.future)
    if _only_asked(case):
        return True
    open_ones = (language.permission, language.hedge, language.condition)
    if any(map(case.claim.says, (*still_to_do, *open_ones))):
        return False
    if _only_intended(case):
        return True

    def is_asked(carrier: Clause) -> bool:
        return case.ground.is_open or any(map(carrier.facts.says, still_to_do))

    # "Took 36 hours" is compared with the clause that has the figure: "starts soon and will take 36 hours".
    places = case.with_figures if all(map(is_asked, case.with_figures)) else []
    asked = list(filter(is_asked, case.carriers)) or places
    if not asked:
        return False
    if case.claim.says(language.past):
        # "Was asked to send" does not say that it was sent.
        texts = [language.obligation.sub(" ", carrier.facts.text) for carrier in asked]
        return not any(map(language.past.search, texts))
    written = {word.text.lower() for carrier in asked for word in carrier.facts.words}
    # "We have to call" supports "call the vendor", but not "we called the vendor".
    return any(
        word.content
        and (written_as := word.text.lower()) not in written
        and (written_as.endswith(("ed", "te", "ten")) or written_as in language.irregular)
        and any(word.stem == other.stem for carrier in asked for other in carrier.facts.words)
        for word in case.claim.words
    )


def _infinitives(text: str, language: Language) -> set[str]:
    """Return the stems of verbs after "to", but not after "managed to"."""
    found: set[str] = set()
    for match in language.infinitive.finditer(text):
        before = " ".join([*text[: match.start()].split()[-_FEW:], match[0]])
        if not language.effected.search(before):
            verbs = (verb.lower() for verb in match.groups() if verb)
            found.update(language.stem(verb) for verb in verbs if not verb.endswith("ed"))
    return found


def _only_asked(case: Case) -> bool:
    """Check for a wish told as fulfilled: "Ann gets a van" for "Ann asked for a van"."""
    asking = case.language.asking
    return not case.claim.says(case.language.asked) and any(
        one.facts.says(asking) for one in case.carriers
    )


def _meant_to_be_done(clause: Clause, is_open: bool) -> set[str]:
    """Return the stems of verbs that say no more than what is to be done.

    These are the words of a permission or an open task, an order such as "Remove the old ones", and the
    present with a date: "opens on 4 May".
    """
    language, words = clause.language, clause.facts.words
    if is_open or clause.facts.says(language.permission):
        return {word.stem for word in words if not word.text.endswith("ed")}
    if language.code != "en" or not words or clause.facts.says(language.past):
        return set()
    orders = words[0].text[0].isupper() and any(
        word.content or word.text.lower() in language.articles for word in words[1:2]
    )
    verbs = {words[0].stem} if orders and not words[0].text.endswith(("s", "ed")) else set()
    if clause.facts.dates:
        verbs |= {word.stem for word in words if word.text.endswith("s") and not word.name}
    return verbs


def _only_intended(case: Case) -> bool:
    """Check for a done thing of which the source has only the infinitive: "moved" for "voted to move"."""
    language = case.language
    if case.ground.is_done:
        return False
    intended = _infinitives(case.ground.facts.text, language)
    for clause in case.ground.clauses:
        intended |= _meant_to_be_done(clause, case.ground.is_open)
    intended -= _infinitives(case.claim.text, language)
    once = Counter(word.stem for word in case.ground.facts.words)
    intended = {verb for verb in intended if once[verb] < 2}
    endings = ("t", "en") if language.code == "de" else ("ed",)

    def is_done(word: Word, clause: Clause) -> bool:
        written = word.text.lower()
        if written not in language.irregular and not (
            written.endswith(endings)
            and (language.code == "en" or clause.facts.says(language.past))
        ):
            return False
        return any(language.alike(word.stem, verb) for verb in intended)

    return any(
        not word.name and is_done(word, clause)
        for clause in case.clauses
        for word in clause.facts.words
    )


def _uncovered(case: Case) -> bool:
    def is_covered(clause: Clause) -> bool:
        said = clause.content - case.ground.speakers - case.language.light_stems
        facts = clause.facts
        # Other rules compare the figures.
        figures = len(facts.numbers) + len(facts.dates) + len(facts.times)
        missing = said - case.ground.stems
        covered = len(said) - len(missing) + sum(map(case.ground.holds_form, missing)) + figures
        share = covered / ((len(said) + figures) or 1)
        few = len(case.clauses) == 1 and len(said) + figures <= _FEW
        return not said or share >= (1 if few else MIN_COVERAGE)

    return not all(map(is_covered, case.clauses)) or not (
        case.ground.facts.words or case.ground.facts.numbers
    )


def _roles_swapped(case: Case) -> bool:
    """Check whether the closest sentences have the roles the other way round."""
    sentences = case.ground.sentences
    if swaps_subject(case.claim.text, case.ground.text, case.language):
        return True
    for clause in case.clauses:
        names = {word.stem for word in clause.facts.words if word.text[0].isupper()}
        stems = {term.stem for term in clause.terms}
        shared = [len(stems & {term.stem for term in sentence}) for sentence in sentences]
        most = max(shared, default=0)
        closest = [
            sentence
            for sentence, count in zip(sentences, shared, strict=True)
            if most and count == most
        ]
        if closest and all(swaps_roles(clause.terms, one, names, case.language) for one in closest):
            return not _is_converse(case)
    return False


def _stitched(case: Case) -> bool:
    """Check for joined fragments. A statement that only moves parts of a sentence is a paraphrase."""
    # "According to Ann" and "Ann said" mean the same.
    here, there = (
        case.language.stems(case.language.attribution.findall(text.lower()))
        for text in (case.claim.text, case.ground.text)
    )
    known = case.ground.known.stems | case.ground.speakers | (here ^ there)
    sentences = [[term for term in one if term.stem not in known] for one in case.ground.sentences]
    clauses = [[term for term in clause.terms if term.stem not in known] for clause in case.clauses]
    said = list(chain(*clauses))
    if len(said) < _STITCHABLE:
        return False
    breaks = breaks_in(said, sentences)
    own = own_words(said, sentences)
    if breaks < _BREAKS * (len(said) - 1) or breaks - own <= _MOVED or own > _OWN * len(said):
        return False
    return not is_rephrased(clauses, sentences)


_DETAILS: list[tuple[str, Rule]] = [
    ("number", another_number),
    ("date", another_date),
    ("time", another_time),
    ("name", another_name),
    ("not_covered", _uncovered),
]
_RULES: list[tuple[str, Rule]] = [
    ("number", another_number),
    ("number", another_role),
    ("number", another_rate),
    ("number", another_difference),
    ("number", another_column),
    ("number", swapped_figures),
    ("number", half_of_a_range),
    ("number", mispaired),
    ("number", old_value),
    ("date", another_date),
    ("time", another_time),
    ("name", another_name),
    ("name", another_speaker),
    ("name", another_topic),
    ("name", speaker_for_another),
    ("date", another_weekday),
    ("roles", another_agent),
    ("roles", recipient_acts),
    ("roles", person_turned),
    ("name", another_subject),
    ("name", another_object),
    ("term", another_term),
    ("negation", _another_polarity),
    ("opposite", _opposite),
    ("negation", _denied_there),
    ("condition", _condition_left_out),
    ("condition", _exception_left_out),
    ("hedge", _hedge_left_out),
    ("hedge", _alternative_left_out),
    ("hedge", _stricter),
    ("not_done", _done),
    ("question", _question),
    ("attribution", _unattributed),
    ("not_covered", _uncovered),
    ("not_covered", replaced),
    ("not_covered", _denied_elsewhere),
    ("not_covered", _absolute),
    ("not_covered", _part_left_out),
]
_PROSE: list[tuple[str, Rule]] = [
    ("roles", _roles_swapped),
    ("roles", _sides_swapped),
    ("stitched", _stitched),
]
