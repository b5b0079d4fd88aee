"""What changed between two versions of a document, statement by statement."""

from __future__ import annotations

import difflib
import json
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from combine_core.documents.render import plain
from combine_core.documents.statements import located_statements, text_of, words_of

# Two statements are the same one, changed, if they share at least this part of their words.
_LEAST_ALIKE = 0.4
# A word in more statements than this does not tell them apart.
_MOST_STATEMENTS_OF_WORD = 30
_WORD = re.compile(r"\w+")
_PIECE = re.compile(r"\s*\S+")


class Change(StrEnum):
    """What happened to a statement. A changed one may have moved as well, and so on."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"
    EVIDENCE = "evidence_changed"
    VERDICT = "verdict_changed"


@dataclass(frozen=True, slots=True)
class Located:
    """A statement with its JSON Pointer, such as ``/decisions/0``."""

    pointer: str
    statement: Mapping[str, Any]

    @property
    def section(self) -> str:
        return self.pointer.rpartition("/")[0]

    @property
    def text(self) -> str:
        return text_of(self.statement)


@dataclass(frozen=True, slots=True)
class Difference:
    """A statement that is not in both versions as it is.

    :ivar old: ``None``: it was added
    :ivar new: ``None``: it was removed
    """

    changes: tuple[Change, ...]
    old: Located | None
    new: Located | None

    @property
    def words(self) -> list[tuple[str, str]]:
        """The text of a changed statement in pieces: ``same``, ``removed`` or ``added``, and the words."""
        if self.old is None or self.new is None or Change.CHANGED not in self.changes:
            return []
        return list(_compare_words(_full_text(self.old), _full_text(self.new)))


@dataclass(frozen=True)
class DocumentComparison:
    """The differences in the order of the newer version; what was removed stands where it stood."""

    differences: Sequence[Difference]
    unchanged: int

    @property
    def counts(self) -> dict[str, int]:
        """How many statements have each change."""
        found = Counter(change for one in self.differences for change in one.changes)
        return {change.value: found[change] for change in Change}


def compare_contents(old: Any, new: Any) -> DocumentComparison:
    """Compare the contents of two versions of a document."""
    before = [Located(*one) for one in located_statements(old)]
    after = [Located(*one) for one in located_statements(new)]
    pairs = _pair(before, after)
    moved = _moved(before, after, pairs)
    differences: list[Difference] = []
    unchanged = 0
    partners = {new_at: old_at for old_at, new_at in pairs.items()}
    gone = iter([at for at in range(len(before)) if at not in pairs])
    next_gone = next(gone, None)
    for new_at, one in enumerate(after):
        old_at = partners.get(new_at)
        if old_at is None:
            differences.append(Difference((Change.ADDED,), None, one))
            continue
        while next_gone is not None and next_gone < old_at and new_at not in moved:
            differences.append(Difference((Change.REMOVED,), before[next_gone], None))
            next_gone = next(gone, None)
        changes = _changes(before[old_at], one, has_moved=new_at in moved)
        if changes:
            differences.append(Difference(changes, before[old_at], one))
        else:
            unchanged += 1
    while next_gone is not None:
        differences.append(Difference((Change.REMOVED,), before[next_gone], None))
        next_gone = next(gone, None)
    return DocumentComparison(differences, unchanged)


def _changes(old: Located, new: Located, *, has_moved: bool) -> tuple[Change, ...]:
    before, after = old.statement, new.statement
    found = {
        Change.CHANGED: words_of(before) != words_of(after),
        Change.MOVED: has_moved,
        Change.EVIDENCE: before["evidence"] != after["evidence"],
        Change.VERDICT: before.get("verdict") != after.get("verdict"),
    }
    return tuple(change for change, is_so in found.items() if is_so)


def _pair(before: Sequence[Located], after: Sequence[Located]) -> dict[int, int]:
    """Which statement of the older version is which of the newer: places in the two lists."""
    pairs: dict[int, int] = {}
    # First what says the same, in its section and then anywhere; then what says nearly the same.
    for with_section in (True, False):
        waiting: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for at, one in enumerate(before):
            if at not in pairs:
                waiting[one.section if with_section else "", words_of(one.statement)].append(at)
        taken = set(pairs.values())
        for at, one in enumerate(after):
            same = waiting.get((one.section if with_section else "", words_of(one.statement)))
            if at not in taken and same:
                pairs[same.pop(0)] = at
    taken = set(pairs.values())
    left = [at for at in range(len(before)) if at not in pairs]
    free = [at for at in range(len(after)) if at not in taken]
    for old_at, new_at in _most_alike(before, after, left, free):
        if old_at not in pairs and new_at not in taken:
            pairs[old_at] = new_at
            taken.add(new_at)
    return pairs


def _most_alike(
    before: Sequence[Located], after: Sequence[Located], left: Iterable[int], free: Iterable[int]
) -> list[tuple[int, int]]:
    """Pairs of similar statements, the most similar first.

    Only those that share a rare word are looked at, so that the time grows with the statements, not with
    their square.
    """
    old_words = {at: _distinct_words(before[at]) for at in left}
    with_word: defaultdict[str, list[int]] = defaultdict(list)
    for at, words in old_words.items():
        for word in words:
            with_word[word].append(at)
    found: list[tuple[bool, float, int, int]] = []
    for new_at in free:
        words = _distinct_words(after[new_at])
        shared: Counter[int] = Counter()
        for word in words:
            candidates = with_word.get(word, ())
            if len(candidates) <= _MOST_STATEMENTS_OF_WORD:
                shared.update(candidates)
        for old_at in shared:
            others = old_words[old_at]
            alike = 2 * len(words & others) / (len(words) + len(others))
            if alike >= _LEAST_ALIKE:
                other_section = before[old_at].section != after[new_at].section
                found.append((other_section, -alike, old_at, new_at))
    return [(old_at, new_at) for _, _, old_at, new_at in sorted(found)]


def _distinct_words(one: Located) -> frozenset[str]:
    return frozenset(_WORD.findall(one.text.lower()))


def _moved(
    before: Sequence[Located], after: Sequence[Located], pairs: Mapping[int, int]
) -> set[int]:
    """The places in ``after`` of what stands in another section, or in another order than before."""
    moved: set[int] = set()
    stayed: list[int] = []
    for old_at in sorted(pairs):
        new_at = pairs[old_at]
        if before[old_at].section != after[new_at].section:
            moved.add(new_at)
        else:
            stayed.append(new_at)
    return moved | (set(stayed) - set(_longest_rising(stayed)))


def _longest_rising(places: Sequence[int]) -> list[int]:
    """The longest part of a list of numbers that rises: what kept its order."""
    ends: list[int] = []
    at_end: list[int] = []
    previous: list[int | None] = []
    for index, place in enumerate(places):
        length = bisect_left(ends, place)
        previous.append(at_end[length - 1] if length else None)
        ends[length : length + 1] = [place]
        at_end[length : length + 1] = [index]
    rising: list[int] = []
    index_or_none = at_end[-1] if at_end else None
    while index_or_none is not None:
        rising.append(places[index_or_none])
        index_or_none = previous[index_or_none]
    return rising


def _full_text(one: Located) -> str:
    """The text and what the statement says beside it."""
    said = json.loads(words_of(one.statement))
    details = [f"{key}: {value}" for key, value in said.items() if key != "text" and value]
    return "; ".join([*([one.text] if "text" in said else []), *details])


def _compare_words(old: str, new: str) -> Iterator[tuple[str, str]]:
    before, after = _PIECE.findall(old), _PIECE.findall(new)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if kind == "equal":
            yield "same", "".join(after[new_from:new_to])
            continue
        if old_from < old_to:
            yield "removed", "".join(before[old_from:old_to])
        if new_from < new_to:
            yield "added", "".join(after[new_from:new_to])


_IN_WORDS = {
    Change.ADDED: "added",
    Change.REMOVED: "removed",
    Change.CHANGED: "changed",
    Change.MOVED: "moved",
    Change.EVIDENCE: "other evidence",
    Change.VERDICT: "another verdict",
}


def change_in_words(change: Change) -> str:
    return _IN_WORDS[change]


def section_in_words(pointer: str) -> str:
    """``Open questions`` for ``/open_questions``."""
    return pointer.strip("/").replace("_", " ").replace("/", ", ").capitalize()


def comparison_markdown(
    comparison: DocumentComparison, *, title: str, old_number: int, new_number: int
) -> str:
    """The comparison as Markdown: removed words are struck out, added ones bold."""
    lines = [f"# {plain(title)}: version {old_number} to {new_number}", ""]
    if not comparison.differences:
        lines += ["The statements are the same."]
    for one in comparison.differences:
        words = ", ".join(change_in_words(change) for change in one.changes)
        where = one.new or one.old
        assert where is not None
        lines.append(f"- **{words.capitalize()}** in {section_in_words(where.section)}:")
        if one.words:
            marks = {"same": "", "removed": "~~", "added": "**"}
            pieces = [
                f"{text[: len(text) - len(text.lstrip())]}{marks[kind]}{plain(text)}{marks[kind]}"
                for kind, text in one.words
            ]
            lines.append(f"  {''.join(pieces).strip()}")
        else:
            lines.append(f"  {plain(where.text)}")
        if Change.MOVED in one.changes and one.old is not None and one.new is not None:
            lines.append(f"  (before: {section_in_words(one.old.section)})")
        if Change.VERDICT in one.changes and one.old is not None and one.new is not None:
            verdicts = [each.statement.get("verdict", "not judged") for each in (one.old, one.new)]
            lines.append(f"  (verdict: {verdicts[0]}, now {verdicts[1]})")
    return "\n".join(lines) + "\n"
