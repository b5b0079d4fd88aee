"""Computes the answers of offline providers: reads a pickled provider and request, writes JSON.

The child process of :mod:`combine_core.llm.offline`. It unpickles only data from the worker that started it.
"""

from __future__ import annotations

import gc
import json
import pickle
import traceback

from combine_core.child_process import limit_time, serve
from combine_core.llm.completion import ProviderError
from combine_core.llm.offline import compute_here

MEMORY = 1024 * 1024 * 1024


def answer(pickled: bytes) -> bytes:
    """Return JSON: ``text``, ``stop_reason`` and ``judged``, or ``code`` and ``message`` of an error."""
    return json.dumps(_answer(pickled)).encode()


def _answer(pickled: bytes) -> dict[str, object]:
    provider, request = pickle.loads(pickled)  # noqa: S301
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
    # The objects of an answer form almost no cycles, so collecting garbage only costs time.
    gc.disable()
    serve(answer, MEMORY)


if __name__ == "__main__":
    main()
