"""Builds the questions of a step: its prompt with the sources, in portions that fit the model."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace

from combine_core.evidence import SourceText
from combine_core.lines import WriteStep, render_prompt, uses_sources
from combine_core.llm import (
    CompletionRequest,
    Material,
    Offline,
    Provider,
    ProviderError,
    ProviderRegistry,
)
from combine_core.runs.ask import Question
from combine_core.runs.assignment import Assignment
from combine_core.runs.portions import (
    LineTooLong,
    ModelLimits,
    estimate_tokens,
    halves_of,
    portions_of,
)

# In longer texts models miss facts, and an answer has no room for all of them.
MAX_PORTION_TOKENS = 20_000
# The context that is assumed for an unknown model.
DEFAULT_CONTEXT_TOKENS = 32_000
# The factor by which the estimate of tokens can be too low.
_SAFETY = 0.8
_MIN_PORTION_TOKENS = 100
# If the answer to a shorter portion is cut off, the model never stops, and halving does not help.
_MIN_HALVED_TOKENS = 2000
# Replaces the label of the source in a prompt that is compared with the prompts of other runs.
_SHARED_LABEL = "S"


class ContextTooSmall(ValueError):
    """Raised when the model's context leaves no room for a source."""


def context_for(model: str, providers: ProviderRegistry, limits: ModelLimits) -> int:
    """Return the maximum tokens of prompt and answer together for this model."""
    return limits.context_tokens or providers.context_of(model) or DEFAULT_CONTEXT_TOKENS


def frame_tokens(step: WriteStep) -> int:
    """Estimate the tokens of a step's instructions and schema, without its sources."""
    return estimate_tokens(step.system + step.prompt + json.dumps(step.answer_schema))


def room_for_source(step: WriteStep, context: int) -> int:
    """Return the maximum tokens of a source in one call of this step.

    :raises ContextTooSmall: if there is too little room for a call
    """
    room = int((context - _answer_tokens(step, context)) * _SAFETY) - frame_tokens(step)
    if room < _MIN_PORTION_TOKENS:
        message = (
            f"The step {step.key} does not fit a context of {context:,} tokens: its instructions and its"
            " answer leave no room for a source. Choose a model with a larger context."
        )
        raise ContextTooSmall(message)
    return min(room, MAX_PORTION_TOKENS)


def _answer_tokens(step: WriteStep, context: int) -> int:
    """Return the first token limit of an answer, at most a third of the context."""
    return min(step.max_tokens, context // 3)


class QuestionBuilder:
    """A builder of the questions of one step for one model.

    :param texts: the texts of the sources; read only if the step's prompt contains them
    :param model: the name of the model without the provider's prefix
    :param context: the maximum tokens of prompt and answer together
    """

    def __init__(
        self,
        assignment: Assignment,
        texts: Mapping[str, SourceText],
        provider: Provider,
        model: str,
        context: int,
    ) -> None:
        self._assignment = assignment
        self._texts = texts
        self.step = assignment.step
        self._model = model
        self._context = context
        self._offline = isinstance(provider, Offline)

    def questions(self) -> list[Question]:
        """Return one question, or one for each portion if the step reads each source separately.

        :raises ProviderError: ``too_large``, if a single line does not fit the model
        """
        materials = self._materials()
        if self.step.each is None or self._offline:
            sources = tuple(
                _journal_source(source.id, label, source.sha256)
                for label, source in self._assignment.sources.items()
            )
            return [Question(self._request(materials), sources=sources)]
        return [
            self._question(portion)
            for material in materials
            for portion in self._portions(material)
        ]

    def halves(self, question: Question) -> list[Question]:
        """Return the question about each half of its portion, or nothing if the portion cannot be split."""
        if question.shared_prompt is None:
            return []
        [material] = question.request.materials
        if estimate_tokens(material.text) < _MIN_HALVED_TOKENS:
            return []
        try:
            return [self._question(half) for half in halves_of(material)]
        except LineTooLong:
            return []

    def _materials(self) -> tuple[Material, ...]:
        if self.step.needs and not uses_sources(self.step.prompt):
            return ()
        # An offline provider finds the blocks itself. A model gets a long source in portions.
        cut = self.step.each is not None and not self._offline
        materials = []
        for label, source in self._assignment.sources.items():
            text = self._texts[label]
            blocks = text.blocks if cut else text.read_before
            materials.append(Material(label, str(source.id), source.name, text.text, blocks))
        return tuple(materials)

    def _portions(self, material: Material) -> list[Material]:
        try:
            room = room_for_source(self.step, self._context)
        except ContextTooSmall as error:
            raise ProviderError("too_large", str(error)) from error
        try:
            return portions_of(material, room)
        except LineTooLong as error:
            message = (
                f"The source {material.name} cannot be split so that it fits the model: {error}."
                " Break the line, or choose a model with a larger context."
            )
            raise ProviderError("too_large", message) from error

    def _question(self, portion: Material) -> Question:
        shared = replace(portion, label=_SHARED_LABEL)
        return Question(
            self._request((portion,)),
            shared_prompt=render_prompt(self.step.prompt, (shared,), self._assignment.inputs),
            label=portion.label,
            sources=(
                _journal_source(
                    portion.source_id,
                    portion.label,
                    hashlib.sha256(portion.text.encode()).hexdigest(),
                    portion.first_line,
                ),
            ),
        )

    def _request(self, materials: tuple[Material, ...]) -> CompletionRequest:
        step, inputs = self.step, self._assignment.inputs
        return CompletionRequest(
            model=self._model,
            system=step.system,
            prompt="" if self._offline else render_prompt(step.prompt, materials, inputs),
            schema=step.answer_schema,
            max_tokens=_answer_tokens(step, self._context),
            timeout=step.timeout,
            materials=materials,
            inputs=inputs,
        )


def _journal_source(
    source_id: uuid.UUID | str, label: str, sha256: str, first_line: int = 1
) -> dict[str, object]:
    """Describe a source or a portion of a source for the journal."""
    return {"label": label, "id": str(source_id), "first_line": first_line, "sha256": sha256}
