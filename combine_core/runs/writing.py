"""The questions of a step: its prompt filled with the sources, in portions that fit the model."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace

from combine_core.evidence import SourceText
from combine_core.lines import WriteStep, names_sources, render_prompt
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
from combine_core.runs.limits import ModelLimits
from combine_core.runs.portions import LineTooLong, estimate_tokens, halves_of, portions_of

# Models miss facts in longer texts, and no answer has room for the facts of them.
MOST_PORTION_TOKENS = 20_000
# The context of a model of which nothing is known.
USUAL_CONTEXT_TOKENS = 32_000
# The estimate of tokens can be too low by this much.
_SAFETY = 0.8
_SMALLEST_PORTION = 100
# An answer that does not end for less than this never ends.
_LEAST_HALVED = 2000
# In place of a label, where runs with other labels have to agree.
_AGREED_LABEL = "S"


class ContextTooSmall(ValueError):
    """The model's context leaves no room for a source. The message says what to do."""


def context_for(model: str, providers: ProviderRegistry, limits: ModelLimits) -> int:
    """How many tokens prompt and answer of this model may have together."""
    return limits.context_tokens or providers.context_of(model) or USUAL_CONTEXT_TOKENS


def frame_tokens(step: WriteStep) -> int:
    """About how many tokens a step sends beside the texts that it is about."""
    return estimate_tokens(step.system + step.prompt + json.dumps(step.answer_schema))


def room_for_source(step: WriteStep, context: int) -> int:
    """How many tokens of a source one call of this step can take.

    :raises ContextTooSmall: none worth a call
    """
    room = int((context - _answer_tokens(step, context)) * _SAFETY) - frame_tokens(step)
    if room < _SMALLEST_PORTION:
        message = (
            f"The step {step.key} does not fit a context of {context:,} tokens: its instructions and its"
            " answer leave no room for a source. Choose a model with a larger context."
        )
        raise ContextTooSmall(message)
    return min(room, MOST_PORTION_TOKENS)


def _answer_tokens(step: WriteStep, context: int) -> int:
    """What an answer may have at first. A third of a small context is left to it."""
    return min(step.max_tokens, context // 3)


class Writing:
    """Makes the questions of one step for one model.

    :param texts: of the sources; read only if the step's prompt holds them
    :param model: without the provider's prefix
    :param context: how many tokens prompt and answer may have together
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
        """One question, or one for each portion of the source in a step that reads each by itself.

        :raises ProviderError: ``too_large``, something does not fit the model even alone
        """
        materials = self._materials()
        if self.step.each is None or self._offline:
            named = (
                _named(source.id, label, source.sha256)
                for label, source in self._assignment.sources.items()
            )
            return [Question(self._request(materials), sources=tuple(named))]
        return [
            self._question(portion)
            for material in materials
            for portion in self._portions(material)
        ]

    def halves(self, question: Question) -> list[Question]:
        """The same question about each half of its portion; empty if there is none."""
        if question.agreed is None:
            return []
        [material] = question.request.materials
        if estimate_tokens(material.text) < _LEAST_HALVED:
            return []
        try:
            return [self._question(half) for half in halves_of(material)]
        except LineTooLong:
            return []

    def _materials(self) -> tuple[Material, ...]:
        if self.step.needs and not names_sources(self.step.prompt):
            return ()
        # An offline provider finds them itself. A model gets a long source in portions.
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
                f"The source {material.name} cannot be cut so that it fits the model: {error}."
                " Break the line, or choose a model with a larger context."
            )
            raise ProviderError("too_large", message) from error

    def _question(self, portion: Material) -> Question:
        agreed = replace(portion, label=_AGREED_LABEL)
        return Question(
            self._request((portion,)),
            agreed=render_prompt(self.step.prompt, (agreed,), self._assignment.inputs),
            label=portion.label,
            sources=(
                _named(
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


def _named(
    source_id: uuid.UUID | str, label: str, sha256: str, first_line: int = 1
) -> dict[str, object]:
    """A source, or a part of it, as the journal names it."""
    return {"label": label, "id": str(source_id), "first_line": first_line, "sha256": sha256}
