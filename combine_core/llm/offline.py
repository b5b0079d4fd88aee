"""Runs an offline provider and judges its answer while the structure of the sources is in memory.

Long sources are processed in a child process (:mod:`combine_core.llm.offline_child`), which uses another
processor core and returns its memory to the system.
"""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import jsonschema_rs

from combine_core.child_process import ProcessEnded, ProcessPool
from combine_core.evidence import SourceText, judge_answer
from combine_core.llm.completion import (
    Completion,
    CompletionRequest,
    Provider,
    ProviderError,
    Usage,
)

# In characters. Shorter sources take less time than the start of a process.
LONG_TEXT = 256 * 1024
_processes = ProcessPool("combine_core.llm.offline_child")


@dataclass(frozen=True, slots=True)
class Computed:
    """The answer of an offline provider.

    :ivar judged: the answer with verdicts; ``None`` if the request has no source, or if the answer does not
        match the schema
    """

    completion: Completion
    judged: dict[str, Any] | None


def compute(provider: Provider, request: CompletionRequest) -> Computed:
    """Return the answer of an offline provider.

    :raises ProviderError: the provider raised it, the time ran out, or the process was killed
    """
    if sum(len(material.text) for material in request.materials) < LONG_TEXT:
        return compute_here(provider, request)
    try:
        pickled = pickle.dumps((provider, request))
    except (pickle.PicklingError, AttributeError, TypeError):
        # The provider of a plug-in may hold a lock, for example.
        return compute_here(provider, request)
    try:
        answer = json.loads(_processes.run(pickled, request.timeout))
    except subprocess.TimeoutExpired as error:
        raise _too_slow(request) from error
    except ProcessEnded as error:
        raise _failure(error.returncode, request) from error
    if "code" in answer:
        raise ProviderError(**answer)
    if "error" in answer:
        raise RuntimeError(f"the process of {provider.name} failed: {answer['error']}")
    completion = Completion(
        text=answer["text"],
        usage=Usage(),
        cost=Decimal(0),
        http_status=None,
        provider_request_id=None,
        stop_reason=answer["stop_reason"],
        used_llm=False,
    )
    return Computed(completion, answer["judged"])


def compute_here(provider: Provider, request: CompletionRequest) -> Computed:
    """Return the answer of an offline provider, computed in this process."""
    sources = {
        material.label: SourceText(material.text, material.blocks or None)
        for material in request.materials
    }
    materials = tuple(
        replace(material, blocks=sources[material.label].blocks) for material in request.materials
    )
    completion = provider.complete(replace(request, materials=materials))
    answer = _matching(completion.text, request.schema) if materials else None
    if answer is not None:
        judge_answer(answer, sources, request.inputs)
    return Computed(completion, answer)


def _matching(text: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    try:
        answer: Any = json.loads(text)
    except ValueError:
        return None
    matches = isinstance(answer, dict) and jsonschema_rs.validator_for(schema).is_valid(answer)
    return answer if matches else None


def _failure(returncode: int, request: CompletionRequest) -> Exception:
    if returncode == -signal.SIGXCPU:
        return _too_slow(request)
    if returncode >= 0:
        return RuntimeError(f"the process of an offline provider ended with {returncode}")
    message = (
        f"The process that worked through the sources was killed (signal {-returncode}). If this happens"
        " again, give the worker more memory, or use shorter sources."
    )
    return ProviderError("server_error", message)


def _too_slow(request: CompletionRequest) -> ProviderError:
    message = (
        f"Reading the sources took longer than {request.timeout:g} s. Use fewer or shorter sources."
    )
    return ProviderError("timeout", message)
