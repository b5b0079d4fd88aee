"""Tests how four users work over the API, from three sources to the register after a second
meeting.

The web process and the worker run as deployed, and the model replies over the network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from combine_auth.tokens.service import create_token
from combine_core.users import get_or_create_user
from tests.live.compose_stack import until
from tests.live.deployment import ENDED, HOST, PATIENCE_S, Deployment
from tests.story import (
    CORRECTED,
    MODEL,
    SECOND_MEETING,
    SOURCES,
    reads_with_care,
    without_white_space,
    words_of_docx,
    words_of_pdf,
)
from tests.vendor_server import VendorServer

ROOT = Path(__file__).parents[2]
ROLES = {"bob": "writer", "carol": "reviewer", "dave": "reviewer"}

pytestmark = pytest.mark.timeout(600)


class Person:
    """A user of the API with a token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = f"{url}/api/v1/"
        self._session = requests.Session()
        self._session.headers.update({"Authorization": f"Bearer {token}", "Host": HOST})

    def get(self, path: str) -> Any:
        return self._answered(self._session.get(self.url + path, timeout=60)).json()

    def file(self, path: str) -> bytes:
        return self._answered(self._session.get(self.url + path, timeout=60)).content

    def post(self, path: str, **body: Any) -> Any:
        return self._answered(self.try_to(path, **body)).json()

    def try_to(self, path: str, **body: Any) -> requests.Response:
        return self._session.post(self.url + path, json=body, timeout=60)

    def close(self) -> None:
        self._session.close()

    @staticmethod
    def _answered(answer: requests.Response) -> requests.Response:
        assert answer.ok, answer.text
        return answer


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with VendorServer() as server:
        yield server.always(reads_with_care)


@pytest.fixture
def deployment(tmp_path: Path, database_url: str, vendor: VendorServer) -> Iterator[Deployment]:
    shutil.copy(ROOT / "production.ini", tmp_path)
    settings = {"OPENAI_API_KEY": "of-nobody", "OPENAI_BASE_URL": vendor.openai_url}
    with Deployment(tmp_path, Path(sys.executable).parent, database_url, **settings) as deployed:
        yield deployed


@pytest.fixture
def people(deployment: Deployment) -> Iterator[dict[str, Person]]:
    """Ada, Bob, Carol and Dave, who have no projects yet."""
    web = deployment.start_web()
    deployment.start_worker()
    engine = create_engine(deployment.environment["DATABASE_URL"])
    with Session(engine) as session, session.begin():
        tokens = {
            name: create_token(
                session,
                get_or_create_user(session, f"{name}@example.com", name.title()).id,
                "story",
            )[0]
            for name in ("ada", *ROLES)
        }
    engine.dispose()
    deployment.until_ready(web)
    people = {name: Person(web.url, token) for name, token in tokens.items()}
    yield people
    for person in people.values():
        person.close()


@pytest.fixture
def run(deployment: Deployment):
    """``run(ada, "projects/harbour", sources)``: the document of a brief of these sources."""

    def run(person: Person, project: str, *sources: str) -> dict[str, Any]:
        body = {"line": "brief", "model": MODEL, "sources": list(sources)}
        run_id = person.post(f"{project}/runs", **body)["id"]
        until(PATIENCE_S, lambda: person.get(f"runs/{run_id}")["state"] in ENDED, deployment.logs)
        ended = person.get(f"runs/{run_id}")
        assert ended["state"] == "succeeded", ended
        [written] = ended["documents"]
        read: dict[str, Any] = person.get(f"documents/{written['id']}")
        return read

    return run


def statements_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for section in document["content"].values() for one in section]


def find(items: list[dict[str, Any]], words: str) -> dict[str, Any]:
    [item] = [one for one in items if words in one["text"]]
    return item


def begin(people: dict[str, Person]) -> tuple[str, dict[str, str]]:
    """Let Ada create a project, invite the others and add three sources. Return the source ids by name."""
    ada = people["ada"]
    project = f"projects/{ada.post('projects', name='Harbour')['slug']}"
    for name, role in ROLES.items():
        link = ada.post(f"{project}/invitations", role=role, days=7)["link"]
        people[name].post("invitations/accept", token=link.partition("token=")[2])
    return project, {
        name: ada.post(f"{project}/sources", name=name, text=text)["id"]
        for name, text in SOURCES.items()
    }


def approve(document: dict[str, Any], asker: Person, *deciders: Person) -> list[str]:
    """Approve the newest version as each reviewer. Return the state of the review after each approval."""
    body = {"version": document["version"], "needed": len(deciders)}
    review = asker.post(f"documents/{document['id']}/reviews", **body)
    decision = {"decision": "approve", "sha256": review["sha256"]}
    path = f"reviews/{review['id']}/decisions"
    return [one.post(path, **decision)["state"] for one in deciders]


def said_in(document: dict[str, Any]) -> list[str]:
    """Return every statement and every quote."""
    statements = statements_of(document)
    quotes = [entry["quote"] for one in statements for entry in one["evidence"]]
    return [*(one["text"] for one in statements), *quotes]


@pytest.mark.slow
def test_four_users_write_review_and_update_a_document(
    people: dict[str, Person], vendor: VendorServer, run: Any, tmp_path: Path
) -> None:
    ada, bob, carol, dave = people.values()

    project, sources = begin(people)

    # Three sources become a brief, with one call for each source and one for the brief.
    document = run(ada, project, *sources.values())
    assert len(vendor.requests) == 4
    path = f"documents/{document['id']}"
    assert len(statements_of(document)) == 7
    assert {one["verdict"] for one in statements_of(document)} == {"supported"}

    # Bob adds a question and asks for a review. Carol rejects the version.
    question = {"text": "Who feeds the seals?", "evidence": []}
    content = document["content"]
    content["open_questions"].append(question)
    edited = bob.post(f"{path}/versions", version=1, content=content)
    assert find(edited["content"]["open_questions"], "seals")["verdict"] == "own"
    review = bob.post(f"{path}/reviews", version=2, needed=2)
    assert [one["id"] for one in carol.get("inbox")["items"]] == [review["id"]]
    seen = {"sha256": review["sha256"]}
    refused = bob.try_to(f"reviews/{review['id']}/decisions", decision="approve", **seen)
    assert refused.status_code == 403
    rejected = carol.post(
        f"reviews/{review['id']}/decisions",
        decision="reject",
        comment="The budget is 45,000 euros.",
        **seen,
    )
    assert rejected["state"] == "rejected"
    assert ada.get(f"{project}/register")["items"] == []

    # Ada corrects the source, and the brief is out of date.
    assert bob.get(path)["stale"] == []
    ada.post(f"{project}/sources/{sources['budget.md']}/revisions", text=CORRECTED)
    [stale] = bob.get(path)["stale"]
    assert stale["reason"] == (
        "The source budget.md has revision 2. This was written from revision 1."
    )

    # A second run pays for the changed source and for the brief.
    before = len(vendor.requests)
    document = run(ada, project, *sources.values())
    asked = [request.prompt for request in vendor.requests[before:]]
    assert [("## Source" in prompt, "45,000 euros" in prompt) for prompt in asked] == [
        (True, True),
        (False, True),
    ]
    assert (f"documents/{document['id']}", document["version"]) == (path, 3)
    assert document["stale"] == []

    # The reviewers see the changes.
    compared = carol.get(f"{path}/comparison?from=2&to=3")
    assert {
        ((one["new"] or one["old"])["statement"]["text"], one["changes"][0])
        for one in compared["differences"]
    } == {
        ("The budget of the harbour is 45,000 euros.", "changed"),
        ("Who feeds the seals?", "removed"),
    }
    assert compared["unchanged"] == 6

    # Two members approve. One approval is not enough.
    assert approve(document, bob, carol, dave) == ["open", "approved"]

    # The exports contain every statement, every quote and the approvers.
    said = said_in(document)
    assert len(said) == 14
    for suffix, words_of in (("pdf", words_of_pdf), ("docx", words_of_docx)):
        file = tmp_path / f"brief.{suffix}"
        file.write_bytes(dave.file(f"{path}/{suffix}"))
        words = words_of(file)
        for text in [*said, "Carol approved it on", "Dave approved it on"]:
            assert without_white_space(text) in words, (suffix, text)

    # The register contains the approved items, and the two sources that contradict each other.
    register = f"{project}/register"
    assert len(ada.get(register)["items"]) == 6
    [opening] = ada.get(f"{register}?undecided=true")["items"]
    assert {opening["text"], opening["same_as"]["text"]} == {
        f"We decided to open the harbour on {day} 2027." for day in ("3 May", "9 June")
    }

    # After the second meeting, one item continues with another date, and one item is new.
    second = ada.post(f"{project}/sources", name="second.md", text=SECOND_MEETING)["id"]
    meeting = run(bob, project, second)
    approve(meeting, bob, dave)
    plan = find(ada.get(f"{register}?due_after=2027-03-15")["items"], "building plan")
    joined = bob.post(f"{register}/{plan['id']}/same", same=True)
    assert (joined["id"], joined["due_on"]) == (plan["same_as"]["id"], "2027-02-01")
    [other] = joined["contradictions"]
    settled = bob.post(f"{register}/{joined['id']}/settle", saying=other["id"], accept=True)
    assert (settled["owner"], settled["due_on"], settled["state"]) == ("Ada", "2027-03-15", "open")
    documents = [settled[which]["document"]["title"] for which in ("first_said", "last_said")]
    assert documents == [document["title"], meeting["title"]]
    assert [one["event"] for one in settled["history"]] == ["entered", "joined", "accepted"]
    table = dave.file(f"{register}/csv?kind=action").decode("utf-8-sig")
    assert [day in table for day in ("2027-03-15", "2027-03-01", "2027-04-01")] == [True] * 3
    assert "2027-02-01" not in table


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_opens_the_approved_document(
    people: dict[str, Person], run: Any, tmp_path: Path
) -> None:
    ada, bob, carol, dave = people.values()
    project, sources = begin(people)
    document = run(ada, project, *sources.values())
    approve(document, bob, carol, dave)
    (tmp_path / "brief.docx").write_bytes(carol.file(f"documents/{document['id']}/docx"))
    subprocess.run(
        ["soffice", "--headless", "--convert-to", "pdf", "brief.docx"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        check=True,
        timeout=PATIENCE_S,
    )
    words = words_of_pdf(tmp_path / "brief.pdf")
    for text in said_in(document):
        assert without_white_space(text) in words, text
