"""A process that computes answers: from provider and request, pickled, to JSON.

Run by :mod:`combine_core.llm.offline`. What it unpickles comes from the worker.
"""

from __future__ import annotations

import gc
import json
import pickle
import traceback

from combine_core.apart import limit_time, serve
from combine_core.llm.completion import ProviderError
from combine_core.llm.offline import compute_here

MEMORY = 1024 * 1024 * 1024


def answer(given: bytes) -> bytes:
    """``text``, ``stop_reason`` and ``judged``; or ``code`` and ``message`` of the provider's error."""
    return json.dumps(_answer(given)).encode()


def _answer(given: bytes) -> dict[str, object]:
    provider, request = pickle.loads(given)  # noqa: S301
    limit_time(request.timeout)
    try:
        computed = compute_here(provider, request)
    except ProviderError as error:
        return {"code": error.code, "message": error.message}
    except MemoryError:
        message = "The sources need too much memory. Use fewer or shorter sources."
        return {"code": "too_large", "message": message}
    except Exception as error:  # noqa: BLE001 - a bug, which the worker reports
        return {"error": traceback.format_exception_only(error)[-1].strip()[:300]}
    completion = computed.completion
    return {
        "text": completion.text,
        "stop_reason": completion.stop_reason,
        "judged": computed.judged,
    }


def main() -> None:
    # An answer leaves almost nothing behind that would have to be collected.
    gc.disable()
    serve(answer, MEMORY)


if __name__ == "__main__":
    main()
