"""Compares two versions of a document statement by statement."""

from __future__ import annotations

import difflib
import json
import re
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from combine_core.documents.render import plain
from combine_core.documents.statements import canonical_statement, located_statements, text_of

# Two statements are versions of the same one if they share at least this part of their words.
_MIN_SIMILARITY = 0.4
# A word in more statements than this is ignored, because it does not distinguish them.
_MAX_STATEMENTS_PER_WORD = 30
_WORD = re.compile(r"\w+")
_PIECE = re.compile(r"\s*\S+")


class Change(StrEnum):
    """A kind of change of a statement. A statement can have several changes."""

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
    """A statement that differs between the versions.

    :ivar old: the statement in the older version; ``None`` if it was added
    :ivar new: the statement in the newer version; ``None`` if it was removed
    """

    changes: tuple[Change, ...]
    old: Located | None
    new: Located | None

    @property
    def words(self) -> list[tuple[str, str]]:
        """Return the pieces of a changed statement: ``same``, ``removed`` or ``added``, and the words."""
        if self.old is None or self.new is None or Change.CHANGED not in self.changes:
            return []
        return list(_compare_words(_full_text(self.old), _full_text(self.new)))


@dataclass(frozen=True)
class DocumentComparison:
    """The differences in the order of the newer version, with removed statements at their old place."""

    differences: Sequence[Difference]
    unchanged: int

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of statements with each change."""
        found = Counter(change for difference in self.differences for change in difference.changes)
        return {change.value: found[change] for change in Change}


def compare_contents(old: Any, new: Any) -> DocumentComparison:
    """Compare the contents of two versions of a document."""
    before = [Located(*located) for located in located_statements(old)]
    after = [Located(*located) for located in located_statements(new)]
    pairs = _pair(before, after)
    moved = _moved(before, after, pairs)
    differences: list[Difference] = []
    unchanged = 0
    old_indexes = {new_index: old_index for old_index, new_index in pairs.items()}
    removed = deque(index for index in range(len(before)) if index not in pairs)
    for new_index, located in enumerate(after):
        old_index = old_indexes.get(new_index)
        if old_index is None:
            differences.append(Difference((Change.ADDED,), None, located))
            continue
        while removed and removed[0] < old_index and new_index not in moved:
            differences.append(Difference((Change.REMOVED,), before[removed.popleft()], None))
        changes = _changes(before[old_index], located, has_moved=new_index in moved)
        if changes:
            differences.append(Difference(changes, before[old_index], located))
        else:
            unchanged += 1
    differences += [Difference((Change.REMOVED,), before[index], None) for index in removed]
    return DocumentComparison(differences, unchanged)


def _changes(old: Located, new: Located, *, has_moved: bool) -> tuple[Change, ...]:
    before, after = old.statement, new.statement
    found = {
        Change.CHANGED: canonical_statement(before) != canonical_statement(after),
        Change.MOVED: has_moved,
        Change.EVIDENCE: before["evidence"] != after["evidence"],
        Change.VERDICT: before.get("verdict") != after.get("verdict"),
    }
    return tuple(change for change, applies in found.items() if applies)


def _pair(before: Sequence[Located], after: Sequence[Located]) -> dict[int, int]:
    """Map the index of each statement in the older version to its index in the newer one."""
    pairs: dict[int, int] = {}
    # First pair identical statements in the same section, then in any section, and then similar statements.
    for with_section in (True, False):
        unpaired: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for index, located in enumerate(before):
            if index not in pairs:
                unpaired[_pairing_key(located, with_section)].append(index)
        paired = set(pairs.values())
        for index, located in enumerate(after):
            same = unpaired.get(_pairing_key(located, with_section))
            if index not in paired and same:
                pairs[same.pop(0)] = index
    paired = set(pairs.values())
    old_unpaired = [index for index in range(len(before)) if index not in pairs]
    new_unpaired = [index for index in range(len(after)) if index not in paired]
    for old_index, new_index in _similar_pairs(before, after, old_unpaired, new_unpaired):
        if old_index not in pairs and new_index not in paired:
            pairs[old_index] = new_index
            paired.add(new_index)
    return pairs


def _pairing_key(located: Located, with_section: bool) -> tuple[str, str]:
    return located.section if with_section else "", canonical_statement(located.statement)


def _similar_pairs(
    before: Sequence[Located],
    after: Sequence[Located],
    old_indexes: Iterable[int],
    new_indexes: Iterable[int],
) -> list[tuple[int, int]]:
    """Return the indexes of pairs of similar statements, the most similar first.

    Only statements that share a rare word are compared, so that the time does not grow with the square of the
    number of statements.
    """
    old_words = {index: _distinct_words(before[index]) for index in old_indexes}
    indexes_by_word: defaultdict[str, list[int]] = defaultdict(list)
    for index, words in old_words.items():
        for word in words:
            indexes_by_word[word].append(index)
    found: list[tuple[bool, float, int, int]] = []
    for new_index in new_indexes:
        words = _distinct_words(after[new_index])
        candidates: set[int] = set()
        for word in words:
            with_word = indexes_by_word.get(word, ())
            if len(with_word) <= _MAX_STATEMENTS_PER_WORD:
                candidates.update(with_word)
        for old_index in candidates:
            others = old_words[old_index]
            similarity = 2 * len(words & others) / (len(words) + len(others))
            if similarity >= _MIN_SIMILARITY:
                other_section = before[old_index].section != after[new_index].section
                found.append((other_section, -similarity, old_index, new_index))
    return [(old_index, new_index) for _, _, old_index, new_index in sorted(found)]


def _distinct_words(located: Located) -> frozenset[str]:
    return frozenset(_WORD.findall(located.text.lower()))


def _moved(
    before: Sequence[Located], after: Sequence[Located], pairs: Mapping[int, int]
) -> set[int]:
    """Return the new indexes of statements that are in another section or in another order than before."""
    moved: set[int] = set()
    stayed: list[int] = []
    for old_index in sorted(pairs):
        new_index = pairs[old_index]
        if before[old_index].section != after[new_index].section:
            moved.add(new_index)
        else:
            stayed.append(new_index)
    return moved | (set(stayed) - set(_longest_increasing(stayed)))


def _longest_increasing(numbers: Sequence[int]) -> list[int]:
    """Return the longest increasing subsequence."""
    # The smallest last number, and its index, of the increasing subsequences of each length.
    last_numbers: list[int] = []
    last_indexes: list[int] = []
    previous: list[int | None] = []
    for index, number in enumerate(numbers):
        length = bisect_left(last_numbers, number)
        previous.append(last_indexes[length - 1] if length else None)
        last_numbers[length : length + 1] = [number]
        last_indexes[length : length + 1] = [index]
    increasing: list[int] = []
    index_or_none = last_indexes[-1] if last_indexes else None
    while index_or_none is not None:
        increasing.append(numbers[index_or_none])
        index_or_none = previous[index_or_none]
    return increasing


def _full_text(located: Located) -> str:
    """Return the text and the other fields of a statement."""
    fields = json.loads(canonical_statement(located.statement))
    details = [f"{key}: {value}" for key, value in fields.items() if key != "text" and value]
    return "; ".join([*([located.text] if "text" in fields else []), *details])


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
    """Return the name of a section, such as ``Open questions`` for ``/open_questions``."""
    return pointer.strip("/").replace("_", " ").replace("/", ", ").capitalize()


def comparison_markdown(
    comparison: DocumentComparison, *, title: str, old_number: int, new_number: int
) -> str:
    """Return the comparison as Markdown, with removed words struck out and added words bold."""
    lines = [f"# {plain(title)}: version {old_number} to {new_number}", ""]
    if not comparison.differences:
        lines += ["The statements are the same."]
    for difference in comparison.differences:
        words = ", ".join(change_in_words(change) for change in difference.changes)
        old, new = difference.old, difference.new
        shown = new or old
        assert shown is not None
        lines.append(f"- **{words.capitalize()}** in {section_in_words(shown.section)}:")
        if difference.words:
            marks = {"same": "", "removed": "~~", "added": "**"}
            pieces = [
                f"{text[: len(text) - len(text.lstrip())]}{marks[kind]}{plain(text)}{marks[kind]}"
                for kind, text in difference.words
            ]
            lines.append(f"  {''.join(pieces).strip()}")
        else:
            lines.append(f"  {plain(shown.text)}")
        if Change.MOVED in difference.changes and old is not None:
            lines.append(f"  (before: {section_in_words(old.section)})")
        if Change.VERDICT in difference.changes and old is not None and new is not None:
            verdicts = [located.statement.get("verdict", "not judged") for located in (old, new)]
            lines.append(f"  (verdict: {verdicts[0]}, now {verdicts[1]})")
    return "\n".join(lines) + "\n"
