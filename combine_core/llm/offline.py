"""Lets an offline provider answer, and judges its answer where the structure of the sources is known.

With much text that happens in a process of its own (:mod:`combine_core.llm.offline_child`): it uses another
processor, and gives its memory back.
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

from combine_core.apart import ProcessEnded, ProcessPool
from combine_core.evidence import SourceText, judge_answer
from combine_core.llm.completion import (
    Completion,
    CompletionRequest,
    Provider,
    ProviderError,
    Usage,
)

# Fewer characters take less time than the start of a process.
MUCH = 256 * 1024
_processes = ProcessPool("combine_core.llm.offline_child")


@dataclass(frozen=True, slots=True)
class Computed:
    """An answer of an offline provider.

    :ivar judged: with the verdicts; ``None``: it rests on no source, or it does not fit the schema
    """

    completion: Completion
    judged: dict[str, Any] | None


def compute(provider: Provider, request: CompletionRequest) -> Computed:
    """The answer of an offline provider.

    :raises ProviderError: the provider's; or there was not enough time, or the process was killed
    """
    if sum(len(material.text) for material in request.materials) < MUCH:
        return compute_here(provider, request)
    try:
        given = pickle.dumps((provider, request))
    except (pickle.PicklingError, AttributeError, TypeError):
        # A plug-in that holds a lock, for example.
        return compute_here(provider, request)
    try:
        answer = json.loads(_processes.ask(given, request.timeout))
    except subprocess.TimeoutExpired as error:
        raise _too_slow(request) from error
    except ProcessEnded as error:
        raise _ended(error.returncode, request) from error
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
    """The same in this process."""
    sources = {
        material.label: SourceText(material.text, material.blocks or None)
        for material in request.materials
    }
    materials = tuple(
        replace(material, blocks=sources[material.label].blocks) for material in request.materials
    )
    completion = provider.complete(replace(request, materials=materials))
    answer = _fitting(completion.text, request.schema) if materials else None
    if answer is not None:
        judge_answer(answer, sources, request.inputs)
    return Computed(completion, answer)


def _fitting(text: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    try:
        answer: Any = json.loads(text)
    except ValueError:
        return None
    fits = isinstance(answer, dict) and jsonschema_rs.validator_for(schema).is_valid(answer)
    return answer if fits else None


def _ended(returncode: int, request: CompletionRequest) -> Exception:
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
