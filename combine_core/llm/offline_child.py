"""The process that computes one answer: provider and request on standard input, JSON on standard output.

Run by :mod:`combine_core.llm.offline` as ``python -m combine_core.llm.offline_child SECONDS``. What it
unpickles comes from the worker.
"""

from __future__ import annotations

import gc
import json
import pickle
import sys

from combine_core.apart import limit
from combine_core.llm.completion import ProviderError
from combine_core.llm.offline import FAILED, compute_here

MEMORY = 1024 * 1024 * 1024


def main() -> int:
    limit(MEMORY)
    # The process ends before there is enough to collect.
    gc.disable()
    provider, request = pickle.load(sys.stdin.buffer)  # noqa: S301
    try:
        computed = compute_here(provider, request)
    except ProviderError as error:
        return _fail(error.code, error.message)
    except MemoryError:
        return _fail("too_large", "The sources need too much memory. Use fewer or shorter sources.")
    completion = computed.completion
    answer = {
        "text": completion.text,
        "stop_reason": completion.stop_reason,
        "judged": computed.judged,
    }
    sys.stdout.buffer.write(json.dumps(answer).encode())
    return 0


def _fail(code: str, message: str) -> int:
    sys.stdout.buffer.write(json.dumps({"code": code, "message": message}).encode())
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
