"""Validates the rows of an archive, so that the service can show and use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from combine_core.readers import blocks_from_json
from combine_core.runs.transitions import ENDED
from combine_core.sources import ReadingState, measure_text

# The required fields of a request in the journal, with their types.
_REQUEST = {"system": str, "prompt": str, "schema": dict, "max_tokens": int}


def _check_source(row: dict[str, Any]) -> None:
    if row["state"] not in (ReadingState.READY, ReadingState.FAILED):
        raise ValueError("is not read yet")
    if row["state"] == ReadingState.READY or row["text"]:
        size, sha256 = measure_text(row["text"])
        if (size, sha256) != (row["size"], row["sha256"]):
            raise ValueError("has a text with another hash")
    notes = row["notes"]
    if notes is not None and not (
        isinstance(notes, list) and all(isinstance(note, str) for note in notes)
    ):
        raise ValueError("has no usable notes")
    if row["blocks"] is not None:
        try:
            blocks_from_json(row["blocks"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError("has no usable blocks") from error


def _check_ended(row: dict[str, Any]) -> None:
    # A worker would continue a run or a step that has not ended.
    if row["state"] not in ENDED or row["ended_at"] is None:
        raise ValueError("has not ended")
    if not isinstance(row.get("answer"), dict | None):
        raise ValueError("has no usable answer")


def _check_call(row: dict[str, Any]) -> None:
    request = row["request"]
    if request is None:
        return
    if not isinstance(request, dict) or not all(
        isinstance(request.get(name), kind) for name, kind in _REQUEST.items()
    ):
        raise ValueError("has no usable request")
    sources = request.get("sources", [])
    if not isinstance(sources, list) or not all(
        isinstance(source, dict) and isinstance(source.get("label"), str) for source in sources
    ):
        raise ValueError("has no usable request")


def _check_change(row: dict[str, Any]) -> None:
    changes = row["changes"]
    if not isinstance(changes, dict) or not all(
        isinstance(pair, list) and len(pair) == 2 for pair in changes.values()
    ):
        raise ValueError("has no usable change")


# The checks by table. They raise ValueError with a message.
CHECKS: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "sources": _check_source,
    "source_revisions": _check_source,
    "runs": _check_ended,
    "steps": _check_ended,
    "calls": _check_call,
    "register_changes": _check_change,
}
