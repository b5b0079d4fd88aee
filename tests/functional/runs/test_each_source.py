"""Tests that each source gets a call of its own for its facts, and that one failure leaves the others."""

from __future__ import annotations

import copy
import json
import re
import uuid
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from combine_core.documents import read_version, versions_of_run
from combine_core.evidence import SourceText
from combine_core.lines import find_line
from combine_core.lines import service as lines_service
from combine_core.lines.definition import line_from_definition
from combine_core.llm import ProviderRegistry
from combine_core.llm.openai_chat import OpenAIProvider
from combine_core.runs import Call, Run, Step, execute, start_run
from combine_core.runs.assignment import read_source_text
from combine_core.settings.core import CoreSettings
from combine_core.sources import add_source
from tests.functional.runs.conftest import Place
from tests.functional.runs.test_worker import calls_of, ended, steps_of, working
from tests.vendor_server import Exchange, Reply, VendorRequest, VendorServer, error, ok, truncated

pytestmark = pytest.mark.usefixtures("frequent_polling")

MODEL = "openai/gpt-5-mini"
Sessions = sessionmaker[Session]
StartOn = Callable[..., Run]


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with VendorServer() as server:
        yield server.always(reads_well)


@pytest.fixture
def registry(vendor: VendorServer) -> ProviderRegistry:
    providers = ProviderRegistry()
    providers.register(OpenAIProvider("sk-test", vendor.openai_url))
    return providers


@pytest.fixture
def start_on(sessions: Sessions, place: Place, registry: ProviderRegistry) -> StartOn:
    """``start_on(text, text)``: start a run with a new source for each text."""
    stored: dict[str, uuid.UUID] = {}

    def start(*texts: str) -> Run:
        with sessions.begin() as session:
            for number, text in enumerate(texts, 1):
                if text not in stored:
                    name = f"notes-{number}.md"
                    source = add_source(session, place.project_id, name, text, place.user_id)
                    stored[text] = source.id
            return start_run(
                session,
                place.project_id,
                "brief",
                [stored[text] for text in texts],
                place.user_id,
                model=MODEL,
                providers=registry,
            )

    return start


def facts_of(prompt: str) -> list[dict[str, object]]:
    """Return a fact for each line with a decision, as a careful model does."""
    label = re.search(r"^## Source (\S+):", prompt, re.MULTILINE)
    assert label is not None
    lines = re.finditer(r"^(\d+)\| (We decided .*)$", prompt, re.MULTILINE)
    return [
        {
            "text": line[2],
            "kind": "decision",
            "evidence": [
                {
                    "source": label[1],
                    "line_from": int(line[1]),
                    "line_to": int(line[1]),
                    "quote": line[2],
                }
            ],
        }
        for line in lines
    ]


def brief_of(prompt: str) -> dict[str, object]:
    """Return each fact as a decision with unchanged evidence."""
    texts = re.findall(r"^- \[decision\] (.*)$", prompt, re.MULTILINE)
    proofs = [
        json.loads(found) for found in re.findall(r"^  evidence: (.*)$", prompt, re.MULTILINE)
    ]
    items = [{"text": text, "evidence": [proof]} for text, proof in zip(texts, proofs, strict=True)]
    sections = ("summary", "key_points", "numbers", "open_questions", "next_steps")
    return {**{section: [] for section in sections}, "decisions": items[:12]}


def asks_for_facts(request: VendorRequest) -> bool:
    return "Collect the facts" in request.prompt


def reads_well(exchange: Exchange) -> None:
    prompt = exchange.request.prompt
    answer = {"facts": facts_of(prompt)} if asks_for_facts(exchange.request) else brief_of(prompt)
    ok(answer)(exchange)


OVENS = "# Ovens\n\nWe decided to repair oven 3.\n"
DOORS = "# Doors\n\nNothing happened.\nWe decided to paint the door.\n"
LAMPS = "# Lamps\n\nWe decided to replace the lamp.\n"


def decisions_of(sessions: Sessions, run: Run) -> list[str]:
    with sessions() as session:
        (written,) = versions_of_run(session, run.id)
        version = read_version(session, written.document_id, written.number)
    assert version is not None
    assert all(item["verdict"] == "supported" for item in version.content["decisions"])
    return [item["text"] for item in version.content["decisions"]]


def test_each_source_has_a_call_and_facts_keep_the_order(
    settings: CoreSettings,
    sessions: Sessions,
    vendor: VendorServer,
    start_on: StartOn,
    registry: ProviderRegistry,
) -> None:
    run = start_on(OVENS, DOORS, LAMPS)
    assert {key: step.needs for key, step in steps_of(sessions, run).items()} == {
        "facts.S1": [],
        "facts.S2": [],
        "facts.S3": [],
        "brief": ["facts.S1", "facts.S2", "facts.S3"],
    }
    with working(settings, registry):
        assert ended(sessions, run).state == "succeeded"
    assert len(vendor.requests) == 4
    of_sources = [request.prompt for request in vendor.requests if asks_for_facts(request)]
    assert sorted(re.findall("## Source (S.): (.*)", "\n".join(of_sources))) == [
        ("S1", "notes-1.md"),
        ("S2", "notes-2.md"),
        ("S3", "notes-3.md"),
    ]
    assert decisions_of(sessions, run) == [
        "We decided to repair oven 3.",
        "We decided to paint the door.",
        "We decided to replace the lamp.",
    ]
    titles = [step.title for step in steps_of(sessions, run).values()]
    assert "Collect facts: notes-2.md" in titles


def test_a_failed_source_is_named_and_does_not_affect_others(
    settings: CoreSettings,
    sessions: Sessions,
    vendor: VendorServer,
    start_on: StartOn,
    registry: ProviderRegistry,
) -> None:
    def fails_on_doors(exchange: Exchange) -> None:
        refuse = error(400, "I do not like doors")
        (refuse if "Nothing happened" in exchange.request.prompt else reads_well)(exchange)

    vendor.always(fails_on_doors)
    run = start_on(OVENS, DOORS, LAMPS)
    with working(settings, registry):
        done = ended(sessions, run)
    assert (done.state, done.error_code) == ("succeeded", "incomplete")
    assert "Collect facts: notes-2.md" in (done.error or "")
    states = {key: step.state for key, step in steps_of(sessions, run).items()}
    assert states == {"facts.S1": "done", "facts.S2": "failed", "facts.S3": "done", "brief": "done"}
    assert len(decisions_of(sessions, run)) == 2


def test_the_run_fails_if_all_sources_fail(
    settings: CoreSettings,
    sessions: Sessions,
    vendor: VendorServer,
    start_on: StartOn,
    registry: ProviderRegistry,
) -> None:
    vendor.always(error(401))
    run = start_on(OVENS, DOORS)
    with working(settings, registry):
        failed = ended(sessions, run)
    assert (failed.state, failed.error_code) == ("failed", "auth")
    assert len(vendor.requests) == 2
    assert steps_of(sessions, run)["brief"].state == "cancelled"


def test_some_but_not_all_sources_may_have_no_facts(
    settings: CoreSettings,
    sessions: Sessions,
    vendor: VendorServer,
    start_on: StartOn,
    registry: ProviderRegistry,
) -> None:
    dull = "# Dull\n\nNothing happened.\n"
    some = start_on(OVENS, dull)
    none = start_on(dull, dull + "\nNothing at all.\n")
    with working(settings, registry):
        assert ended(sessions, some).state == "succeeded"
        failed = ended(sessions, none)
    assert (failed.state, failed.error_code) == ("failed", "no_evidence")
    assert "The model named 0 statements for" in (failed.error or "")
    # No brief without facts was paid for.
    assert len([request for request in vendor.requests if not asks_for_facts(request)]) == 1


def test_a_later_run_pays_only_for_new_sources(
    settings: CoreSettings,
    sessions: Sessions,
    vendor: VendorServer,
    start_on: StartOn,
    registry: ProviderRegistry,
) -> None:
    vendor.script(ok("no JSON"))  # the repaired reply is reused as well
    with working(settings, registry):
        ended(sessions, start_on(OVENS))
        ended(sessions, start_on(DOORS))
        asked = len(vendor.requests)
        later = start_on(LAMPS, DOORS, OVENS)
        assert ended(sessions, later).state == "succeeded"
    new = vendor.requests[asked:]
    assert sorted("lamp" in request.prompt for request in new) == [True, True]
    assert len([request for request in new if asks_for_facts(request)]) == 1
    adopted = {key: step.adopted for key, step in steps_of(sessions, later).items()}
    assert adopted == {"facts.S1": False, "facts.S2": True, "facts.S3": True, "brief": False}
    assert len(calls_of(sessions, later)) == 2
    assert decisions_of(sessions, later) == [
        "We decided to replace the lamp.",
        "We decided to paint the door.",
        "We decided to repair oven 3.",
    ]


def test_a_long_source_is_read_in_parts_with_its_line_numbers(
    settings: CoreSettings,
    sessions: Sessions,
    vendor: VendorServer,
    start_on: StartOn,
    registry: ProviderRegistry,
) -> None:
    section = "Nothing happened on this day, as on most days before it.\n\n" * 400
    text = "\n".join(
        f"# Week {number}\n\n{section}We decided to repair oven {number}.\n" for number in range(6)
    )
    run = start_on(text)
    with working(settings, registry):
        assert ended(sessions, run).state == "succeeded"
    of_source = [request for request in vendor.requests if asks_for_facts(request)]
    assert len(of_source) > 1
    for request in of_source:
        first = re.search(r"^(\d+)\| (.*)$", request.prompt, re.MULTILINE)
        assert first is not None
        assert first[2] == text.split("\n")[int(first[1]) - 1]
    assert decisions_of(sessions, run) == [f"We decided to repair oven {n}." for n in range(6)]


def test_a_truncated_reply_is_requested_again_in_halves(
    settings: CoreSettings,
    sessions: Sessions,
    vendor: VendorServer,
    start_on: StartOn,
    registry: ProviderRegistry,
) -> None:
    def has_little_room(exchange: Exchange) -> None:
        too_much = asks_for_facts(exchange.request) and len(facts_of(exchange.request.prompt)) > 2
        (truncated({"facts": ["x" * 80]}) if too_much else reads_well)(exchange)

    vendor.always(has_little_room)
    dull = "Nothing happened on this day, as on most days before it.\n" * 100
    run = start_on("\n".join(f"{dull}We decided to repair oven {number}." for number in range(8)))
    lower = settings.model_copy(update={"answer_tokens": 8000})
    with working(lower, registry):
        done = ended(sessions, run)
    assert done.state == "succeeded", done.error
    sent = [(request.prompt, request.body["max_tokens"]) for request in vendor.requests]
    assert len(set(sent)) == len(sent) == 1 + 2 + 4 + 1
    assert decisions_of(sessions, run) == [f"We decided to repair oven {n}." for n in range(8)]


def test_extract_reads_each_source_once_and_journals_no_copy(
    settings: CoreSettings,
    sessions: Sessions,
    place: Place,
    providers: ProviderRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with sessions.begin() as session:
        ids = [
            add_source(session, place.project_id, name, text, place.user_id).id
            for name, text in (("ovens.md", OVENS), ("lamps.md", LAMPS))
        ]
        run = start_run(
            session,
            place.project_id,
            "brief",
            ids,
            place.user_id,
            model="extract",
            providers=providers,
        )
    read: list[str] = []

    def count(session: Session, run_id: uuid.UUID, label: str) -> SourceText:
        read.append(label)
        return read_source_text(session, run_id, label)

    monkeypatch.setattr(execute, "read_source_text", count)
    with working(settings, providers):
        assert ended(sessions, run).state == "succeeded"
    # The brief uses the facts and does not read a source again.
    assert sorted(read) == ["S1", "S2"]
    with sessions() as session:
        requests = session.scalars(select(Call.request).where(Call.run_id == run.id)).all()
    assert len(requests) == 3
    assert "We decided" not in json.dumps(requests)
    assert sorted(len(request["sources"]) for request in requests) == [1, 1, 2]
    assert all(len(source["sha256"]) == 64 for request in requests for source in request["sources"])


@pytest.fixture
def second_opinions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The brief requests a second opinion on its facts."""
    definition = copy.deepcopy(find_line("brief").definition)
    definition["steps"][0]["second_opinion"] = True
    lines = {"brief": line_from_definition(definition)}
    monkeypatch.setattr(lines_service, "installed_lines", lambda: lines)


def doubts(exchange: Exchange) -> None:
    """Read well, but find that no statement about doors is supported."""
    statements = re.findall(r"^Statement: (.*)$", exchange.request.prompt, re.MULTILINE)
    opinions = [
        {"number": number, "carried": "door" not in statement}
        for number, statement in enumerate(statements, 1)
    ]
    ok({"opinions": opinions})(exchange) if opinions else reads_well(exchange)


@pytest.mark.usefixtures("second_opinions")
def test_a_second_opinion_lowers_a_verdict_and_is_journaled(
    settings: CoreSettings,
    sessions: Sessions,
    vendor: VendorServer,
    start_on: StartOn,
    registry: ProviderRegistry,
) -> None:
    vendor.always(doubts)
    run = start_on(DOORS + LAMPS)
    with working(settings, registry):
        done = ended(sessions, run)
    assert done.state == "succeeded", done.error
    assert [call.sequence for call in calls_of(sessions, run)] == [1, 2, 1]
    assert "Sentences: We decided to paint the door." in vendor.requests[1].prompt
    with sessions() as session:
        answer = session.scalar(
            select(Step.answer).where(Step.run_id == run.id, Step.key == "facts")
        )
    assert answer is not None
    assert [(fact["verdict"], fact["reasons"]) for fact in answer["facts"]] == [
        ("unsupported", ["second_opinion"]),
        ("supported", []),
    ]
    # The next step does not read it.
    assert decisions_of(sessions, run) == ["We decided to replace the lamp."]


@pytest.mark.usefixtures("second_opinions")
@pytest.mark.parametrize(
    "reply", [error(500), error(429), ok("I have none."), ok({"opinions": []})]
)
def test_a_failed_second_opinion_keeps_the_verdicts_of_the_rules(
    settings: CoreSettings,
    sessions: Sessions,
    vendor: VendorServer,
    start_on: StartOn,
    registry: ProviderRegistry,
    reply: Reply,
) -> None:
    def has_no_opinion(exchange: Exchange) -> None:
        (reply if "Do the sentences" in exchange.request.prompt else reads_well)(exchange)

    vendor.always(has_no_opinion)
    run = start_on(LAMPS)
    with working(settings, registry):
        assert ended(sessions, run).state == "succeeded"
    assert decisions_of(sessions, run) == ["We decided to replace the lamp."]
