"""Reads the input of a claimed step: its definition, its sources and the answers of earlier steps."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, join

from combine_core.evidence import SourceText
from combine_core.lines import Line, WriteStep, read_version
from combine_core.readers import blocks_from_json
from combine_core.runs.model import Run, RunSource, Step, StepState
from combine_core.sources import PinnedSource, Source, sources_at, texts_at

_OF_RUNS = join(Source, RunSource, RunSource.source_id == Source.id)


@dataclass(frozen=True)
class Assignment:
    """The input of a step, except for the texts of the sources: see :class:`SourceTexts`.

    :ivar sources: the sources by label (S1, S2, ...); only one if the step reads each source separately
    :ivar inputs: the answers of the steps that this one needs, by key
    :ivar inputs_by_llm: whether a language model wrote any of these answers
    """

    project_id: uuid.UUID
    model: str
    line: Line
    line_version_id: uuid.UUID
    step: WriteStep
    sources: dict[str, PinnedSource]
    inputs: dict[str, Any]
    inputs_by_llm: bool


class SourceTexts(Mapping[str, SourceText]):
    """The texts of sources by label. Each is read on first access, because together they may be very large.

    :param read: reads the text of the source with a label
    """

    def __init__(self, labels: Iterable[str], read: Callable[[str], SourceText]) -> None:
        self._labels = list(labels)
        self._read = read
        self._texts: dict[str, SourceText] = {}

    def __getitem__(self, label: str) -> SourceText:
        if label not in self._labels:
            raise KeyError(label)
        if label not in self._texts:
            self._texts[label] = self._read(label)
        return self._texts[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)


def reading_key(label: str) -> str:
    """Return the key that a step needs while the source ``label`` has not been read."""
    return part_key("reading", label)


def part_key(key: str, label: str) -> str:
    """Return the key of the row for one source of a step that reads each source separately."""
    return f"{key}.{label}"


def split_key(key: str) -> tuple[str, str | None]:
    """Return the key of the step in its line, and the label of the source if the row is for a single one."""
    step, _, label = key.partition(".")
    return step, label or None


def read_assignment(session: Session, run_id: uuid.UUID, key: str) -> Assignment | None:
    """Read the input of the step whose row has this key. Return ``None`` if the run was deleted."""
    run = session.execute(
        select(Run.project_id, Run.model, Run.line_version_id).where(Run.id == run_id)
    ).one_or_none()
    if run is None:
        return None
    line = read_version(session, run.line_version_id)
    in_line, label = split_key(key)
    step = line.step(in_line)
    key_in_line = func.split_part(Step.key, ".", 1)
    needed = session.execute(
        select(key_in_line.label("need"), Step.answer, Step.used_llm)
        .where(Step.run_id == run_id, Step.state == StepState.DONE, key_in_line.in_(step.needs))
        .order_by(Step.position)
    ).all()
    answers: dict[str, list[dict[str, Any]]] = {need: [] for need in step.needs}
    for row in needed:
        answers[row.need].append(row.answer)
    sources = (
        sources_at(RunSource.revision, _OF_RUNS)
        .where(RunSource.run_id == run_id)
        .order_by(RunSource.position)
    )
    if label is not None:
        sources = sources.where(RunSource.position == _position(label))
    labels = [label] if label is not None else None
    found = [PinnedSource(**row) for row in session.execute(sources).mappings()]
    return Assignment(
        project_id=run.project_id,
        model=run.model,
        line=line,
        line_version_id=run.line_version_id,
        step=step,
        sources=dict(zip(labels or _labels(len(found)), found, strict=True)),
        inputs={need: join_answers(parts) for need, parts in answers.items()},
        inputs_by_llm=any(row.used_llm for row in needed),
    )


def read_source_text(session: Session, run_id: uuid.UUID, label: str) -> SourceText:
    """Read the text of a source of a run, prepared for the search for evidence."""
    text, blocks = session.execute(
        texts_at(RunSource.revision, _OF_RUNS).where(
            RunSource.run_id == run_id, RunSource.position == _position(label)
        )
    ).one()
    return SourceText(text, None if blocks is None else blocks_from_json(blocks))


def _position(label: str) -> int:
    return int(label.removeprefix("S"))


def _labels(count: int) -> list[str]:
    return [f"S{number}" for number in range(1, count + 1)]


def join_answers(answers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Concatenate the lists of several answers to one step, in order."""
    first, *others = answers
    joined = dict(first)
    for answer in others:
        for key, values in answer.items():
            joined[key] = [*joined.get(key, []), *values]
    return joined
