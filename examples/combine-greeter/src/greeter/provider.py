import json

from combine_core.llm import Completion, Usage, hookimpl


class Polite:
    """A provider that returns an empty document for every source."""

    name = "polite"

    def complete(self, request):
        sections = {name: [] for name in request.schema["properties"]}
        return Completion(
            text=json.dumps(sections),
            usage=Usage(input_tokens=1, output_tokens=1),
            cost=None,
            http_status=200,
            provider_request_id=None,
            stop_reason="end_turn",
            used_llm=False,
        )


@hookimpl
def combine_core_register_providers(register, settings):
    register(Polite(), takes_model=False)
