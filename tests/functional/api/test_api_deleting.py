"""Tests renaming, archiving and deleting over the API: permissions, deleted data and kept data."""

from __future__ import annotations

import json
import threading
import uuid
from functools import partial

import pytest
from sqlalchemy import delete, func, select, text, update

from combine_core.database import session_factory
from combine_core.documents import Document, DocumentVersion
from combine_core.llm import providers_of
from combine_core.runs import Call, Run, RunSource, Step
from combine_core.runs.claim import claim_step
from combine_core.runs.execute import StepRunner
from combine_core.sources import Source
from combine_core.users import Membership, Role
from tests.functional.api.conftest import NOTES

SECRET = "The harbour opens on 1 May 2027."


@pytest.fixture
def run_of(room, run_jobs):
    """``run_of(source)``: a successful run, as the API returns it."""

    def run(*sources):
        started = room.run(*sources)
        run_jobs()
        return room.client.get(f"/api/v1/runs/{started['id']}").json

    return run


@pytest.fixture
def count(app):
    def count(table):
        with session_factory(app.registry)() as session:
            return session.scalar(select(func.count()).select_from(table))

    return count


@pytest.fixture
def as_model(app):
    """``as_model(run)``: make the calls of this run look like calls of a model, with a prompt."""

    def change(run):
        with session_factory(app.registry).begin() as session:
            session.execute(
                update(Call)
                .where(Call.run_id == uuid.UUID(run["id"]))
                .values(
                    request={"prompt": NOTES, "sources": [{"label": "S1"}]},
                    response=NOTES,
                    error=NOTES,
                    input_tokens=12,
                    used_llm=True,
                )
            )

    return change


@pytest.fixture
def audit_actions(app):
    """Return a function that reads all audit events."""

    def read():
        with session_factory(app.registry)() as session:
            rows = session.execute(
                text("SELECT action, actor, target, details FROM audit_events ORDER BY id")
            )
            return [tuple(row) for row in rows]

    return read


def everything_stored(app):
    """Return all rows of all tables, as text."""
    with session_factory(app.registry)() as session:
        names = session.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).all()
        return "\n".join(
            str(row)
            for name in names
            for row in session.scalars(text(f'SELECT "{name}"::text FROM "{name}"'))
        )


# Renaming and archiving.


def test_renaming_a_project_needs_the_current_etag(room, audit_actions):
    seen = room.client.get(room.path)
    headers = {"If-Match": seen.headers["ETag"]}
    changed = room.client.patch_json(room.path, {"name": " Port "}, headers=headers, status=200)
    assert changed.json == {**seen.json, "name": "Port"}
    room.client.patch_json(room.path, {"name": "Quay"}, headers=headers, status=412)
    assert room.client.get(room.path).headers["ETag"] == changed.headers["ETag"]
    assert audit_actions() == [
        ("project-change", "ada@example.com", f"project:{room.id}", {"changed": ["name"]})
    ]


def test_an_archived_project_is_not_listed_until_it_is_restored(room):
    def listed(**query):
        return [one["slug"] for one in room.client.get("/api/v1/projects", query).json["items"]]

    archived = room.client.patch_json(room.path, {"archived": True}).json
    assert archived["archived_at"] is not None
    assert room.client.patch_json(room.path, {"archived": True}).json == archived
    assert (listed(), listed(archived="true")) == ([], [room.slug])
    assert room.client.get(room.path).json == archived
    room.client.patch_json(room.path, {"archived": False})
    assert (listed(), listed(archived="true")) == ([room.slug], [])


def test_a_source_is_renamed(room, problem, fields):
    source = room.add()
    path = f"{room.path}/sources/{source['id']}"
    seen = room.client.get(path)
    headers = {"If-Match": seen.headers["ETag"]}
    renamed = room.client.patch_json(path, {"name": "minutes.md"}, headers=headers)
    assert renamed.json == {**seen.json, "name": "minutes.md"}
    room.client.patch_json(path, {"name": "x"}, headers=headers, status=412)
    assert fields(problem(room.client.patch_json(path, {"name": " "}, status=422), 422)) == ["name"]
    problem(room.client.patch_json(path, {"text": "x"}, status=422), 422)


def test_edited_versions_stay_after_their_run_is_deleted(room, run_of):
    run = run_of(room.add())
    document = f"/api/v1/documents/{run['documents'][0]['id']}"
    written = room.client.get(document).json
    content = {**written["content"], "open_questions": [{"text": "Who pays?", "evidence": []}]}
    room.client.post_json(f"{document}/versions", {"version": 1, "content": content}, status=201)
    path = f"/api/v1/runs/{run['id']}"
    assert room.client.get(f"{path}/deletion").json["takes_along"] == {"calls": 2, "versions": 1}
    room.client.delete(path, status=204)
    assert room.client.get(document).json["version"] == 2


def test_an_archived_document_is_restored_by_a_new_version(room, run_of):
    source = room.add()
    [written] = run_of(source)["documents"]
    path = f"/api/v1/documents/{written['id']}"
    seen = room.client.get(path)
    headers = {"If-Match": seen.headers["ETag"]}
    changed = room.client.patch_json(path, {"title": "Harbour", "archived": True}, headers=headers)
    assert changed.json["title"] == "Harbour"
    room.client.patch_json(path, {"title": "Port"}, headers=headers, status=412)

    def listed(**query):
        items = room.client.get(f"{room.path}/documents", query).json["items"]
        return [(one["title"], one["version"]) for one in items]

    assert (listed(), listed(archived="true")) == ([], [("Harbour", 1)])
    run_of(source)
    assert (listed(), listed(archived="true")) == ([("Harbour", 2)], [])


@pytest.mark.parametrize("body", [{}, {"slug": "x"}, {"name": ""}, {"archived": "yes"}])
def test_invalid_changes_are_rejected(room, problem, body):
    problem(room.client.patch_json(room.path, body, status=422), 422)


# Deleting.


def test_deleting_a_project_deletes_everything_in_it(app, room, run_of, count, audit_actions):
    run_of(room.add())
    plan = room.client.get(f"{room.path}/deletion").json
    assert plan["obstacle"] is None
    assert plan["takes_along"] == {
        "sources": 1,
        "documents": 1,
        "versions": 1,
        "runs": 1,
        "calls": 2,
        "members": 1,
    }
    room.client.delete(room.path, status=204)
    room.client.delete(room.path, status=404)
    assert [count(one) for one in (Source, Document, Run, Step, Call, Membership)] == [0] * 6
    assert SECRET not in everything_stored(app)
    assert audit_actions()[-1] == (
        "project-delete",
        "ada@example.com",
        f"project:{room.id}",
        plan["takes_along"],
    )


def test_deleting_with_an_old_etag_is_rejected(room):
    etag = room.client.get(room.path).headers["ETag"]
    room.client.patch_json(room.path, {"name": "Port"})
    room.client.delete(room.path, headers={"If-Match": etag}, status=412)
    etag = room.client.get(room.path).headers["ETag"]
    room.client.delete(room.path, headers={"If-Match": etag}, status=204)


def test_nothing_is_deleted_during_a_run(room, problem):
    source = room.add()
    run = room.run(source)
    paths = [room.path, f"{room.path}/sources/{source['id']}", f"/api/v1/runs/{run['id']}"]
    for path in paths:
        said = problem(room.client.delete(f"{path}", status=409), 409)["detail"]
        assert "Cancel it first" in said
        assert room.client.get(f"{path}/deletion").json["obstacle"] == said
    room.client.post(f"/api/v1/runs/{run['id']}/cancel", status=200)
    for path in reversed(paths):
        room.client.delete(path, status=204)


def test_deleting_a_used_source_must_be_forced(
    app, room, run_of, as_model, problem, fields, audit_actions
):
    source, other = room.add(), room.add("other.md", "# Tugs\n\nWe decided to buy a tug.\n")
    run = run_of(source, other)
    as_model(run)
    [written] = run["documents"]
    path = f"{room.path}/sources/{source['id']}"

    plan = room.client.get(f"{path}/deletion").json
    assert plan["takes_along"] == {"texts": 3}
    assert plan["documents"] == [
        {"id": written["id"], "title": "Brief: notes.md and 1 more", "versions": 1}
    ]
    refused = problem(room.client.delete(path, status=409), 409)
    assert refused["type"] == "urn:combine:problem:source-in-use"
    assert fields(refused) == [f"documents/{written['id']}"]
    room.client.get(path, status=200)

    room.client.delete(f"{path}?force=true", status=204)
    room.client.get(path, status=404)
    document = room.client.get(f"/api/v1/documents/{written['id']}").json
    named = {entry["name"]: entry["deleted"] for entry in document["inputs"]}
    assert named == {"brief": False, "notes.md": True, "other.md": False}
    assert SECRET in str(document["content"])
    markdown = room.client.get(f"/api/v1/documents/{written['id']}/markdown").text
    assert "The source notes.md was deleted." in markdown
    # The run and its figures stay, without the texts.
    left = room.client.get(f"/api/v1/runs/{run['id']}").json
    assert left["sources"] == [other["id"]]
    assert [step["title"] for step in left["steps"]] == [
        "Collect facts: a deleted source",
        "Collect facts: other.md",
        "Write the brief",
    ]
    with session_factory(app.registry)() as session:
        for call in session.scalars(select(Call)):
            assert (call.request, call.response, call.error) == (None, None, None)
            assert (call.input_tokens, call.request_sha256) == (12, "")
        assert session.scalars(select(Step.answer)).all() == [None] * 3
    assert audit_actions()[-1][0::2] == ("source-delete", f"source:{source['id']}")


def test_an_unused_source_is_deleted_without_force(room, problem):
    source = room.add()
    path = f"{room.path}/sources/{source['id']}"
    room.client.delete(f"{path}?force=perhaps", status=400)
    room.client.delete(path, status=204)
    problem(room.client.delete(path, status=404), 404)


def test_deleting_a_document_deletes_its_versions_and_keeps_its_runs(room, run_of, count):
    source = room.add()
    run = run_of(source)
    [written] = run_of(source)["documents"]
    path = f"/api/v1/documents/{written['id']}"
    assert room.client.get(f"{path}/deletion").json["takes_along"] == {"versions": 2}
    room.client.delete(path, status=204)
    room.client.get(path, status=404)
    assert (count(DocumentVersion), count(Run)) == (0, 2)
    assert room.client.get(f"/api/v1/runs/{run['id']}").json["documents"] == []
    [anew] = run_of(source)["documents"]
    assert (anew["id"] != written["id"], anew["version"]) == (True, 1)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_deleting_a_run_deletes_its_versions_and_keeps_a_valid_head(room, run_of, which):
    source = room.add()
    runs = [run_of(source) for _ in range(3)]
    document = runs[0]["documents"][0]["id"]
    path = f"/api/v1/runs/{runs.pop(which)['id']}"
    assert room.client.get(f"{path}/deletion").json["takes_along"] == {"calls": 2, "versions": 1}
    room.client.delete(path, status=204)
    left = [number for number in (1, 2, 3) if number != which + 1]
    assert room.client.get(f"/api/v1/documents/{document}").json["version"] == left[-1]
    [listed] = room.client.get(f"{room.path}/documents").json["items"]
    assert listed["version"] == left[-1]
    versions = room.client.get(f"/api/v1/documents/{document}/versions").json["items"]
    assert [one["version"] for one in versions] == left[::-1]
    # No number is used twice.
    assert run_of(source)["documents"][0]["version"] == 4


def test_deleting_the_last_run_deletes_the_document(room, run_of, count):
    run = run_of(room.add())
    path = f"/api/v1/runs/{run['id']}"
    takes = room.client.get(f"{path}/deletion").json["takes_along"]
    assert takes == {"calls": 2, "versions": 1, "documents": 1}
    room.client.delete(path, status=204)
    room.client.delete(path, status=404)
    assert (count(Document), count(Call), count(Step), count(RunSource)) == (0, 0, 0, 0)
    assert count(Source) == 1


# Permissions.


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        (Role.VIEWER, (403, 403, 403, 403)),
        (Role.WRITER, (403, 204, 204, 204)),
        (Role.OWNER, (204, 204, 204, 204)),
    ],
)
def test_owners_delete_projects_and_writers_the_rest(
    room, run_of, sign_in, add_member, problem, role, statuses
):
    bob = sign_in("bob@example.com")
    add_member(uuid.UUID(room.id), bob.user_id, role)
    source = room.add()
    run = run_of(source)
    project, *things = statuses
    paths = [
        f"/api/v1/documents/{run['documents'][0]['id']}",
        f"/api/v1/runs/{run['id']}",
        f"{room.path}/sources/{source['id']}",
    ]
    change = 200 if role is Role.OWNER else 403
    bob.client.patch_json(room.path, {"name": "Port"}, status=change)
    for path in paths:
        assert bob.client.get(f"{path}/deletion", status=200).json["obstacle"] is None
    for path, status in zip(paths, things, strict=True):
        answer = bob.client.delete(path, status=status)
        if status == 403:
            problem(answer, 403)
    bob.client.delete(room.path, status=project)


def test_objects_of_other_projects_get_404(room, run_of, make_room, sign_in):
    eves = make_room(sign_in("eve@example.com").client, "Lighthouse")
    source = room.add()
    run = run_of(source)
    for path in (
        f"{eves.path}/sources/{source['id']}",
        f"{room.path}/sources/{source['id']}",
        f"/api/v1/runs/{run['id']}",
        f"/api/v1/documents/{run['documents'][0]['id']}",
        room.path,
    ):
        eves.client.delete(path, status=404)
        eves.client.get(f"{path}/deletion", status=404)
        if "/runs/" not in path:
            body = {"title": "x"} if "/documents/" in path else {"name": "x"}
            eves.client.patch_json(path, body, status=404)
    room.client.get(f"{room.path}/sources/{source['id']}", status=200)


# Parallel requests.


def test_the_second_of_two_parallel_deletions_gets_404(app, room, sign_in):
    statuses = []
    both = threading.Barrier(2)

    def delete():
        client = sign_in().client
        both.wait()
        statuses.append(client.delete(room.path, status="*").status_int)

    threads = [threading.Thread(target=delete) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [204, 404]


def test_a_worker_stops_quietly_when_its_run_is_deleted(app, room, caplog):
    """The run is cancelled and deleted after the claim and before the work starts."""
    run = room.run(room.add())
    sessions = session_factory(app.registry)
    runner = StepRunner(sessions, providers_of(app.registry), threading.Event())
    with sessions() as session:
        step_id = session.scalars(select(Step.id).where(Step.position == 1)).one()

    transact = runner._transact
    done = []

    def interfere(work):
        result = transact(work)
        if not done:
            done.append(True)
            room.client.post(f"/api/v1/runs/{run['id']}/cancel", status=200)
            room.client.delete(f"/api/v1/runs/{run['id']}", status=204)
        return result

    runner._transact = interfere
    runner.run_step(step_id, 1)
    assert done
    assert [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


def test_a_claimed_run_cannot_be_deleted(app, room, problem):
    run = room.run(room.add())
    with session_factory(app.registry).begin() as session:
        step_id = session.scalars(select(Step.id).where(Step.position == 1)).one()
        assert claim_step(session, step_id, 1) is not None
    problem(room.client.delete(f"/api/v1/runs/{run['id']}", status=409), 409)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "documents/{document}/versions", {"version": 1, "content": {}}),
        ("POST", "documents/{document}/reviews", {"version": 1}),
        ("POST", "reviews/{review}/withdraw", {}),
        ("PATCH", "documents/{document}", {"title": "Later"}),
        ("PATCH", "comments/{comment}", {"resolved": True}),
        ("DELETE", "comments/{comment}", None),
        ("DELETE", "documents/{document}", None),
    ],
)
def test_a_document_that_is_deleted_during_a_request_does_not_exist(
    app, room, run_of, wait_for_lock, method, path, body
):
    """The deletion has not been committed when the request looks for the document."""
    [document] = run_of(room.add())["documents"]
    url = f"/api/v1/documents/{document['id']}"
    asked = {"version": 1, "author_may_decide": True}
    about = {"version": 1, "pointer": "/decisions/0", "text": "Really?"}
    path = path.format(
        document=document["id"],
        review=room.client.post_json(f"{url}/reviews", asked).json["id"],
        comment=room.client.post_json(f"{url}/comments", about).json["id"],
    )
    statuses = []

    def send():
        send_json = partial(room.client.request, f"/api/v1/{path}", method=method, status="*")
        if body is not None:
            send_json = partial(send_json, body=json.dumps(body).encode())
        statuses.append(send_json(content_type="application/json").status_int)

    with session_factory(app.registry)() as session:
        session.execute(delete(Document).where(Document.id == uuid.UUID(document["id"])))
        client = threading.Thread(target=send)
        client.start()
        wait_for_lock()
        session.commit()
        client.join()
    assert statuses == [404]


def test_a_document_deleted_during_a_run_is_created_again(
    app, room, run_jobs, run_of, wait_for_lock
):
    """The deletion is not yet committed when the worker looks for the document."""
    source = room.add()
    [written] = run_of(source)["documents"]
    run = room.run(source)
    with session_factory(app.registry)() as session:
        document = session.get(Document, uuid.UUID(written["id"]), with_for_update=True)
        session.delete(document)
        session.flush()
        worker = threading.Thread(target=run_jobs)
        worker.start()
        wait_for_lock()
        session.commit()
        worker.join()
    shown = room.client.get(f"/api/v1/runs/{run['id']}").json
    assert shown["state"] == "succeeded"
    [anew] = shown["documents"]
    assert (anew["id"] != written["id"], anew["version"]) == (True, 1)
