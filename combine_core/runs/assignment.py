"""The input of a claimed step: its definition, the sources, and the answers of earlier steps."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from combine_core.evidence import SourceText
from combine_core.lines import Line, WriteStep, read_version
from combine_core.llm import Material
from combine_core.readers import blocks_from_json
from combine_core.runs.model import Run, RunSource, Step
from combine_core.sources import Source


@dataclass(frozen=True)
class Assignment:
    """Everything a worker needs for a step. No attribute is loaded from the database later.

    :ivar sources: by label (S1, S2, ...), with their texts
    :ivar inputs: the answers of the steps that this one needs, by key
    """

    project_id: uuid.UUID
    model: str
    line: Line
    line_version_id: uuid.UUID
    step: WriteStep
    sources: dict[str, Source]
    inputs: dict[str, Any]

    @property
    def materials(self) -> tuple[Material, ...]:
        """The sources in the form that a provider takes."""
        return tuple(
            Material(
                label, str(source.id), source.name, source.text, self.source_texts[label].blocks
            )
            for label, source in self.sources.items()
        )

    @cached_property
    def source_texts(self) -> dict[str, SourceText]:
        """The sources in the form in which evidence is looked for, by label."""
        return {
            label: SourceText(
                source.text, None if source.blocks is None else blocks_from_json(source.blocks)
            )
            for label, source in self.sources.items()
        }


def read_assignment(session: Session, run_id: uuid.UUID, key: str) -> Assignment:
    """Read the input of the step ``key`` of this run."""
    run = session.execute(
        select(Run.project_id, Run.model, Run.line_version_id).where(Run.id == run_id)
    ).one()
    line = read_version(session, run.line_version_id)
    step = line.step(key)
    answers = session.execute(
        select(Step.key, Step.answer).where(Step.run_id == run_id, Step.key.in_(step.needs))
    )
    sources = session.scalars(
        select(Source)
        .join(RunSource, RunSource.source_id == Source.id)
        .options(undefer(Source.text), undefer(Source.blocks))
        .where(RunSource.run_id == run_id)
        .order_by(RunSource.position)
    )
    return Assignment(
        project_id=run.project_id,
        model=run.model,
        line=line,
        line_version_id=run.line_version_id,
        step=step,
        sources={f"S{number}": source for number, source in enumerate(sources, 1)},
        inputs={row.key: row.answer for row in answers},
    )
