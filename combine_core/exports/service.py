"""Builds the outline of an exported document from the database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy.orm import Session

from combine_core.documents import (
    DocumentVersion,
    VersionOrigin,
    deleted_in_words,
    details_of,
    made_in_words,
    markdown_of,
    nothing_in_words,
    own_in_words,
    read_authors,
    sections_of,
    step_of,
    support_in_words,
)
from combine_core.documents.render import plain
from combine_core.evidence import Verdict, reason_in_words, repair_in_words
from combine_core.exports import export
from combine_core.exports.outline import Entry, Note, Outline, Section
from combine_core.portability.provenance import decision_in_words, past_in_words, read_provenance
from combine_core.projects import slugify
from combine_core.reviews import Review, list_reviews
from combine_core.runs import CURRENCY, CallSums, sums_of_run

# The share of a writer in the memory budget of large requests. It takes 200 MB for 500 statements.
WRITER_HOLDS = 24 * 1024 * 1024
# Characters that XML does not allow, and that neither Word nor a PDF shows.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def file_name_of(version: DocumentVersion, extension: str) -> str:
    """Return a file name such as ``brief-notes-md-v1.pdf``."""
    return f"{slugify(version.document.title)}-v{version.number}.{extension}"


def export_version(
    session: Session,
    version: DocumentVersion,
    extension: str,
    before_writing: Callable[[int], None],
) -> bytes:
    """Export a version as a file.

    :param version: the result of :func:`combine_core.documents.read_version`
    :param extension: a key of :data:`combine_core.exports.FORMATS`
    :param before_writing: called with ``WRITER_HOLDS`` before a process is started; may raise an exception
    :raises NotExported: the export takes too much time or memory
    """
    if extension == "md":
        lines = [f"- **{label}:** {plain(value)}\n" for label, value in _origin(session, version)]
        text = markdown_of(
            version, read_authors(session, version.document.project_id, version.content)
        )
        return f"{text}\n## How it was made\n\n{''.join(lines)}".encode()
    before_writing(WRITER_HOLDS)
    return export(outline_of(session, version), extension)


def costs_of(session: Session, version: DocumentVersion) -> CallSums:
    """Return the sums of the calls of the run that wrote a version. A version by a person has no calls."""
    if version.run_id is None:
        return CallSums()
    return sums_of_run(session, version.run_id)


def outline_of(session: Session, version: DocumentVersion) -> Outline:
    """Build the content of an export.

    :param version: the result of :func:`combine_core.documents.read_version`
    """
    builder = _EntryBuilder(
        {str(entry.ref_id): entry.name for entry in version.inputs},
        read_authors(session, version.document.project_id, version.content),
        version.used_llm,
    )
    sections = [
        Section(_clean(section.title), list(builder.entries(section.value)))
        for section in sections_of(version, step_of(session, version))
    ]
    remarks = [support_in_words(version.support, version.used_llm)]
    remarks += [deleted_in_words(_clean(one.name)) for one in version.inputs if one.deleted]
    if not version.used_llm:
        remarks.append(
            "No language model was used. The sentences were selected from the sources by rules."
        )
    return Outline(
        _clean(version.document.title),
        version.created_at.astimezone(UTC),
        remarks,
        sections,
        [(label, _clean(value)) for label, value in _origin(session, version)],
    )


def _origin(session: Session, version: DocumentVersion) -> Iterator[tuple[str, str]]:
    yield "Document", f"{version.document.title} ({version.document_id})"
    yield "Version", f"{version.number}, SHA-256 {version.sha256}"
    yield "Written at", _format_time(version.created_at)
    if version.origin != VersionOrigin.LINE:
        yield "Made", made_in_words(version)
    if version.note:
        yield "Note", version.note
    yield "Model", version.model
    if version.run_id is not None:
        sums = costs_of(session, version)
        yield "Run", str(version.run_id)
        yield "Calls to models", f"{sums.calls:,}" + _tokens(sums)
        yield "Cost of the run", _cost(sums)
    reviews = list_reviews(session, version.document_id, version.number).items
    for review in reviews:
        yield "Review", _review_in_words(review)
    provenance = read_provenance(session, version.document.project_id, version)
    for past in provenance.reviews if provenance else ():
        yield "Imported review", past_in_words(past)
    if not reviews:
        yield "Review", "none. No approval of this version was requested."
    yield "Support", support_in_words(version.support, version.used_llm)
    for entry in version.inputs:
        if entry.kind == "line":
            yield "Line", f"{entry.name}, SHA-256 {entry.sha256}"
        else:
            gone = ", deleted since" if entry.deleted else ""
            yield (
                "Source",
                f"{entry.name}, revision {entry.revision or 1}, SHA-256 {entry.sha256}{gone}",
            )


def _review_in_words(review: Review) -> str:
    """Describe a review: ``approved, 1 of 1 approval. Ada approved it on 2026-11-28 12:00 UTC.``"""
    noun = "approval" if review.needed == 1 else "approvals"
    words = f"{review.state.replace('_', ' ')}, {review.approvals} of {review.needed} {noun}."
    for each in review.decisions:
        name = each.user.name if each.user else "A deleted user"
        words += decision_in_words(name, each.decision, each.comment, each.created_at)
    return words


def _format_time(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _tokens(sums: CallSums) -> str:
    if not sums.calls:
        return ""
    return f", {sums.input_tokens:,} tokens in, {sums.output_tokens:,} out"


def _cost(sums: CallSums) -> str:
    # An unknown cost must not look like zero.
    if sums.cost is None:
        return "unknown"
    cost = f"{sums.cost:.6f} {CURRENCY}"
    if sums.uncertain_calls:
        return f"at least {cost}. The price of some calls is unknown."
    return cost


@dataclass(frozen=True)
class _EntryBuilder:
    """A builder of the entries of a version, which numbers their notes consecutively.

    :ivar names: the names of the sources by id
    :ivar authors: the names of the authors of statements without a source, by id
    """

    names: Mapping[str, str]
    authors: Mapping[str, str]
    used_llm: bool
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def entries(self, value: Any) -> Iterator[Entry]:
        """Yield the entries of a value, which can be a statement, an object, a list or a plain value."""
        if isinstance(value, dict) and isinstance(value.get("evidence"), list):
            yield self._statement(value)
        elif isinstance(value, dict):
            for key, inner in sorted(value.items()):
                yield Entry("heading", _clean(key.replace("_", " ").capitalize()))
                yield from self.entries(inner)
        elif isinstance(value, list):
            if not value:
                yield Entry("paragraph", nothing_in_words(self.used_llm))
            for inner in value:
                yield from self.entries(inner)
        elif value is not None:
            yield Entry("paragraph", _clean(str(value)))

    def _statement(self, statement: Mapping[str, Any]) -> Entry:
        remarks = []
        if statement.get("verdict") == Verdict.UNSUPPORTED:
            remarks = ["Unsupported.", *map(reason_in_words, statement["reasons"])]
        elif statement.get("verdict") == Verdict.OWN:
            remarks = [own_in_words(self.authors.get(statement["author_id"]))]
        elif statement.get("repairs"):
            remarks = [f"Repaired: {', '.join(map(repair_in_words, statement['repairs']))}."]
        details = "; ".join(f"{label}: {value}" for label, value in details_of(statement))
        return Entry(
            "statement",
            _clean(str(statement.get("text", ""))),
            _clean(details),
            _clean(" ".join(remarks)),
            [self._note(evidence) for evidence in statement["evidence"]],
        )

    def _note(self, evidence: Mapping[str, Any]) -> Note:
        first, last = evidence["line_from"], evidence["line_to"]
        lines = f"line {first}" if first == last else f"lines {first}-{last}"
        text = f"{self.names[evidence['source_id']]}, {lines}: “{_clean(evidence['quote'])}”"
        return Note(next(self.numbers), _clean(text))


def _clean(text: str) -> str:
    """Join the lines of a text, and replace characters that XML does not allow."""
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
