"""The offline provider: real sentences of the sources, picked and put in order by rules.

No language model, no network, no chance: the same request gives the same answer. Sentences are
taken as they stand, each with the lines it comes from and a quote. Which of them go where follows
from the schema: a list called "decisions" gets decisions, "open_questions" questions, one called
"risks" what its description names.
"""

import json
import time
from decimal import Decimal

from combine_core.llm.completion import Completion, CompletionRequest, ProviderError, Usage


class ExtractProvider:
    """Answers without a language model; see the module."""

    name = "extract"

    def complete(self, request: CompletionRequest) -> Completion:
        """Fill the schema from the items of `inputs`, else from `materials`.

        Raises:
            ProviderError: `bad_request`, the schema cannot be used; `timeout`, there is too much
                text for the time given.
        """
        # The libraries for ranking take a moment to load; who uses a model never needs them.
        from combine_core.llm.extract.answer import write_answer
        from combine_core.llm.extract.candidates import from_items, from_materials

        deadline = time.monotonic() + request.timeout

        def check_time() -> None:
            if time.monotonic() > deadline:
                raise ProviderError(
                    "timeout",
                    f"Reading the sources took longer than {request.timeout:g} s. "
                    "Use fewer or shorter sources.",
                )

        candidates = from_items(request.inputs)
        if candidates is None:
            candidates = from_materials(request.materials, check_time)
        answer = write_answer(request.schema, candidates)
        return Completion(
            text=json.dumps(answer, ensure_ascii=False),
            usage=Usage(),
            cost=Decimal(0),
            http_status=None,
            provider_request_id=None,
            stop_reason="end",
            used_llm=False,
        )
