"""The offline provider: it picks sentences of the sources and sorts them, by rules.

It uses no language model and no network, and the same request always gives the same answer.
Sentences are copied, each with its lines and a quote; a title that completes one stands before it.
The schema decides where they go: a list named "decisions" gets decisions, "open_questions" questions,
"risks" what its description names.
A list for which there is no safe sentence stays empty.

``vocabulary`` has the words. ``sentence`` says whether a sentence stands alone, and ``kinds`` what it
is, with ``decisions`` and ``tasks``. ``titles`` finds what completes a sentence, ``rows`` reads tables,
and ``weight`` says how much a sentence is worth. ``source`` reads the sentences of a source, ``items``
collects them, ``choice`` picks those for a list, and ``answer`` fills the schema.
"""

import importlib
import json
import time
from decimal import Decimal
from typing import Literal

from combine_core.llm.completion import Completion, CompletionRequest, ProviderError, Usage
from combine_core.llm.hookspecs import Register, hookimpl


class ExtractProvider:
    """Answers by the rules of this module."""

    name = "extract"
    offline: Literal[True] = True

    def prepare(self) -> None:
        """Import the rules and the parser of sources, which load slowly and which no model needs."""
        importlib.import_module("combine_core.llm.extract.answer")

    def complete(self, request: CompletionRequest) -> Completion:
        """Fill the schema from the items of `inputs`, or else from `materials`.

        Raises:
            ProviderError: `bad_request`, the schema cannot be used; `timeout`, there is too much
                text for the given time.
        """
        from combine_core.llm.extract.answer import write_answer
        from combine_core.llm.extract.items import items_of_answers, items_of_materials

        deadline = time.monotonic() + request.timeout

        def check_time() -> None:
            if time.monotonic() > deadline:
                raise ProviderError(
                    "timeout",
                    f"Reading the sources took longer than {request.timeout:g} s. "
                    "Use fewer or shorter sources.",
                )

        items = items_of_answers(request.inputs)
        if items is None:
            items = items_of_materials(request.materials, check_time)
        answer = write_answer(request.schema, items)
        return Completion(
            text=json.dumps(answer, ensure_ascii=False),
            usage=Usage(),
            cost=Decimal(0),
            http_status=None,
            provider_request_id=None,
            stop_reason="end",
            used_llm=False,
        )


@hookimpl
def combine_core_register_providers(register: Register) -> None:
    register(ExtractProvider(), takes_model=False)
