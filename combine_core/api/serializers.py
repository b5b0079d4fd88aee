"""Converts resources to the format of the API. The JSON renderer serializes times, money and UUIDs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from combine_core.comments import Comment
from combine_core.deletion import Plan
from combine_core.documents import (
    Citation,
    DocumentComparison,
    DocumentVersion,
    ListedDocument,
    StaleReason,
    StoredVersion,
    WrittenDocument,
    stale_in_words,
)
from combine_core.lines import Line
from combine_core.portability.provenance import Provenance
from combine_core.projects import OwnProject, Project, ProjectInvitation
from combine_core.register import Item, Saying
from combine_core.reviews import Review, ReviewSummary
from combine_core.runs import CURRENCY, Call, CallSums, ListedRun, ListedStep, MonthlyCost, RunInput
from combine_core.search import SearchHit
from combine_core.sources import ListedSource, Revision, RevisionText, Source
from combine_core.users import Identity, Membership, User

Json = dict[str, Any]

_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
_CONTENT = ("media_type", "size", "line_count", "sha256")


def _fields(thing: object, *names: str) -> Json:
    return {name: getattr(thing, name) for name in names}


def show_me(identity: Identity) -> Json:
    return {
        "id": identity.user_id,
        "email": identity.email,
        "name": identity.name,
        "is_admin": identity.is_admin,
    }


def show_project(project: Project | OwnProject) -> Json:
    return _fields(project, "id", "slug", "name", "created_at", "archived_at")


def show_member(member: Membership) -> Json:
    return {
        "user_id": member.user_id,
        "email": member.user.email,
        "name": member.user.name,
        "role": member.role,
        "since": member.created_at,
    }


def show_invitation(invitation: ProjectInvitation) -> Json:
    """Return an invitation without its link, which contains a secret."""
    return {
        **_fields(
            invitation, "id", "role", "state", "created_at", "expires_at", "used_at", "revoked_at"
        ),
        "created_by": _show_person(invitation.maker),
        "used_by": invitation.user and _show_person(invitation.user),
    }


def _show_person(user: User) -> Json:
    return {"user_id": user.id, **_fields(user, "email", "name")}


def show_source(source: Source | ListedSource[str] | ListedSource[uuid.UUID]) -> Json:
    """Return a source without its text."""
    return {
        **_fields(source, "id", "name", "revision", "state", "error", *_CONTENT, "created_at"),
        "notes": source.notes or [],
    }


def show_revision(revision: Revision) -> Json:
    """Return a revision of a source without its text."""
    return {
        **_fields(revision, "number", "state", "error", *_CONTENT, "created_at"),
        "notes": revision.notes or [],
    }


def show_revision_text(text: RevisionText) -> Json:
    """Return the fields of a source that depend on the requested revision, with the text."""
    return {**_fields(text, "revision", *_CONTENT, "text"), "notes": text.notes or []}


def show_line(line: Line) -> Json:
    return {
        "name": line.name,
        "title": line.title,
        "description": line.description,
        "max_sources": line.limits.max_sources,
        "steps": [
            {**_fields(step, "key", "title", "kind", "document"), "needs": list(step.needs)}
            for step in line.steps
        ],
        "sha256": line.sha256,
    }


def show_run(
    run: ListedRun,
    steps: Iterable[ListedStep],
    inputs: Sequence[RunInput],
    documents: Iterable[WrittenDocument],
    sums: CallSums,
) -> Json:
    """Return a run with its steps, its sources, its documents and the sums of its calls."""
    return {
        **run._asdict(),
        "sources": [entry.source_id for entry in inputs],
        "source_revisions": [entry.revision for entry in inputs],
        "steps": [step._asdict() for step in steps],
        "usage": show_sums(sums),
        "documents": [document._asdict() for document in documents],
    }


def show_sums(sums: CallSums) -> Json:
    """Return the number, the tokens and the cost of calls."""
    return {
        **_fields(sums, "calls", "failed_calls", "unanswered_calls", *_TOKENS, "cost"),
        "unpriced_calls": sums.unpriced_calls,
        "currency": CURRENCY,
    }


def show_monthly_cost(entry: MonthlyCost) -> Json:
    """Return the sums of the calls of a model in a month."""
    return {**_fields(entry, "month", "provider", "model"), **show_sums(entry.sums)}


def show_call(call: Call) -> Json:
    """Return a call without prompt and answer."""
    return {
        "id": call.id,
        "step": call.step.key,
        **_fields(call, "sequence", "provider", "model", "used_llm", "state", *_TOKENS, "cost"),
        "currency": CURRENCY,
        **_fields(call, "latency_ms", "http_status", "stop_reason", "provider_request_id"),
        **_fields(call, "error_code", "error", "created_at", "ended_at"),
    }


def show_whole_call(call: Call) -> Json:
    """Return a call with prompt and answer, which are null for a run by rules and after their removal."""
    request = call.request or {}
    return {
        **show_call(call),
        "system": request.get("system"),
        "prompt": request.get("prompt"),
        "answer": call.response,
    }


def show_document(document: ListedDocument, review: ReviewSummary | None) -> Json:
    """Return an entry of a list of documents, without the content.

    :param review: the review of the newest version
    """
    return {
        "id": document.id,
        "type": document.type,
        "title": document.title,
        "version": document.head,
        **_fields(document, "stale", "created_at", "archived_at"),
        "review": review and _show_summary(review),
    }


def show_version(version: DocumentVersion | StoredVersion) -> Json:
    """Return an entry of a list of versions, without the content."""
    return {
        "version": version.number,
        **_fields(version, "origin", "model", "used_llm", "support", "flagged", "sha256"),
        **_fields(version, "run_id", "parent_number", "note", "created_at"),
        "author": version.author and _show_author(version.author.id, version.author.name),
    }


def _show_author(user_id: uuid.UUID | str, name: str) -> Json:
    return {"user_id": user_id, "name": name}


def show_whole_document(
    version: DocumentVersion | StoredVersion,
    authors: Mapping[str, str] = MappingProxyType({}),
    review: ReviewSummary | None = None,
    stale: Iterable[StaleReason] = (),
    provenance: Provenance | None = None,
) -> Json:
    """Return a version of a document with its content and its inputs.

    :param authors: the names of the people who wrote statements in it, by their ids
    :param review: the review of this version
    :param stale: the reasons why it is out of date
    :param provenance: the origin of an imported version
    """
    return {
        "id": version.document_id,
        "type": version.document.type,
        "title": version.document.title,
        "archived_at": version.document.archived_at,
        **show_version(version),
        "stale": [_show_stale_reason(one) for one in stale],
        "content": version.content,
        "authors": [_show_author(*one) for one in authors.items()],
        "inputs": [
            {
                "id": entry.ref_id,
                **_fields(entry, "kind", "name", "sha256", "deleted"),
                # Versions of older releases have no revision number. They used the first revision.
                "revision": entry.revision or (1 if entry.kind == "source" else None),
            }
            for entry in version.inputs
        ],
        "review": review and _show_summary(review),
        "imported": provenance and asdict(provenance),
    }


def _show_summary(review: Review | ReviewSummary) -> Json:
    """Return the fields of a review that are shown with its document."""
    return {
        **_fields(review, "id", "state"),
        "version": review.number,
        **_fields(review, "sha256", "approvals", "needed", "due_at"),
    }


def show_review(review: Review) -> Json:
    """Return a review with its decisions."""
    return {
        **_show_summary(review),
        **_fields(review, "role", "author_may_decide", "on_expiry", "created_at"),
        "document": _fields(review.document, "id", "title"),
        "project": _fields(review.project, "slug", "name"),
        "asked_by": review.asker and _show_person(review.asker),
        "people": [_show_person(one) for one in review.people],
        "decisions": [
            {
                **_fields(each, "decision", "comment", "created_at"),
                "decided_by": each.user and _show_person(each.user),
            }
            for each in review.decisions
        ],
    }


def show_comment(comment: Comment) -> Json:
    """Return a comment with its author and the mentioned people."""
    return {
        **_fields(comment, "id", "pointer", "statement", "text", "created_at", "resolved_at"),
        "document_id": comment.document_id,
        "version": comment.number,
        "author": comment.author and _show_person(comment.author),
        "resolved_by": comment.resolver and _show_person(comment.resolver),
        "mentions": [_show_person(one) for one in comment.mentioned],
    }


def show_item(item: Item) -> Json:
    """Return an entry of the list of register items."""
    return {
        **_fields(item, "id", "kind", "text", "owner", "due", "state", "created_at"),
        "due_on": item.due_on and item.due_on.isoformat(),
        "same_as": item.same_as and _fields(item.same_as, "id", "text", "owner", "due"),
        "first_said": _show_saying(item.sayings[0]) if item.sayings else None,
        "last_said": _show_saying(item.sayings[-1]) if item.sayings else None,
        "contradictions": [_show_saying(one) for one in item.sayings if one.contradicts],
    }


def _show_saying(saying: Saying) -> Json:
    version = saying.version
    return {
        **_fields(saying, "id", "text", "owner", "due", "contradicts", "created_at"),
        "due_on": saying.due_on and saying.due_on.isoformat(),
        "document": version and _fields(version.document, "id", "title"),
        "version": version and version.number,
        "pointer": saying.pointer,
    }


def show_whole_item(item: Item) -> Json:
    """Return an item of the register with its history."""
    return {
        **show_item(item),
        "history": [
            {
                **_fields(each, "event", "changes", "created_at"),
                "user": each.user and _show_person(each.user),
            }
            for each in item.history
        ],
    }


def _show_stale_reason(reason: StaleReason) -> Json:
    return {
        **_fields(reason, "kind", "input_id", "name", "from_sha256", "to_sha256"),
        **_fields(reason, "revision", "newest_revision"),
        "reason": stale_in_words(reason),
        **_fields(reason, "acknowledged_at", "acknowledged_by", "note"),
    }


def show_comparison(comparison: DocumentComparison, old: int, new: int) -> Json:
    """Return the differences between two versions, by statement."""
    return {
        "from": old,
        "to": new,
        "counts": comparison.counts,
        "unchanged": comparison.unchanged,
        "differences": [
            {
                "changes": [change.value for change in one.changes],
                "old": one.old and _fields(one.old, "pointer", "statement"),
                "new": one.new and _fields(one.new, "pointer", "statement"),
                "words": [{"change": kind, "text": text} for kind, text in one.words],
            }
            for one in comparison.differences
        ],
    }


def show_plan(plan: Plan) -> Json:
    """Return the effects of a deletion."""
    return {
        "takes_along": dict(plan.takes),
        "documents": [_fields(one, "id", "title", "versions") for one in plan.documents],
        "obstacle": plan.obstacle,
    }


def show_found(found: SearchHit) -> Json:
    """Return a search result."""
    return {
        **_fields(found, "kind", "id", "title", "revision", "line_from", "line_to", "pointer"),
        "version": found.number,
        "parts": [{"text": text, "found": marked} for text, marked in found.parts],
    }


def show_citation(citation: Citation) -> Json:
    """Return a statement with one of its quotes from a source."""
    version = citation.version
    return {
        **_fields(citation, "line_from", "line_to", "quote", "text", "verdict", "pointer"),
        "reasons": citation.statement.get("reasons", []),
        "document": {
            "id": version.document_id,
            "version": version.number,
            "title": version.document.title,
        },
    }
