"""Tests edits of documents, their versions, and comparisons of versions."""

import copy
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from combine_auth.audit import AuditEvent
from combine_core.database import session_factory
from combine_core.documents import NotNewest, edit_document
from combine_core.users import Role
from combine_core.users.deletion import delete_user


@pytest.fixture
def path(document) -> str:
    return f"/api/v1/documents/{document['id']}"


@pytest.fixture
def edit(room, path):
    """``edit(content, version=1)``: the response."""

    def send(content, version=1, *, client=None, headers=None, **more):
        body = {"content": content, "version": version, **more}
        return (client or room.client).post_json(
            f"{path}/versions", body, headers=headers, status="*"
        )

    return send


def proof(document, line, **more):
    return {
        "source_id": document["inputs"][1]["id"],
        "line_from": line,
        "line_to": line,
        **more,
    }


# Add versions of this document, and many more of another one.
_MORE = """
INSERT INTO users (id, email, name, is_admin)
SELECT gen_random_uuid(), n || '@more.org', 'Somebody', false FROM generate_series(1, 10000) n;
INSERT INTO documents (id, project_id, type, key, title, head, last_number)
SELECT gen_random_uuid(), project_id, type, 'more', title, 1, 1 FROM documents;
INSERT INTO document_versions
    (id, document_id, number, origin, model, used_llm, content, markdown, sha256, flagged)
SELECT gen_random_uuid(), d.id, 1 + n, 'edit', model, used_llm, '{}', '', v.sha256, flagged
FROM document_versions v, documents d, generate_series(1, 30000) n WHERE d.key = 'more' OR n < 200;
-- All tables: without its size, that of the tokens is joined by reading users in the order of their keys.
ANALYZE;
"""


def test_the_list_reads_only_the_authors(room, path, dbsession, rows_read):
    dbsession.execute(text(_MORE))
    dbsession.commit()
    read = rows_read("users", lambda: room.client.get(f"{path}/versions", status=200))
    # The only user is the one who asks. A line wrote these versions.
    assert read == 1


def test_an_edit_adds_a_version_with_its_author(room, document, path, edit):
    content = copy.deepcopy(document["content"])
    content["open_questions"] = [{"text": "Who cuts the ribbon?", "evidence": []}]
    answer = edit(content, note="Asked by the council.")
    assert answer.status_int == 201
    assert answer.location.endswith(f"{path}/versions/2")
    made = answer.json
    me = room.client.get("/api/v1/me").json
    author = {"user_id": me["id"], "name": me["name"]}
    assert (made["version"], made["origin"], made["parent_number"]) == (2, "edit", 1)
    assert (made["author"], made["note"]) == (author, "Asked by the council.")
    assert (made["run_id"], made["model"]) == (None, document["model"])
    assert made["inputs"] == document["inputs"]
    assert made["authors"] == [author]
    # The edited statement is shown as the user's own. The others keep their verdicts.
    [own] = made["content"]["open_questions"]
    assert own == {
        "text": "Who cuts the ribbon?",
        "evidence": [],
        "verdict": "own",
        "reasons": [],
        "author_id": me["id"],
    }
    untouched = ("summary", "key_points", "decisions", "numbers", "next_steps")
    assert all(made["content"][key] == document["content"][key] for key in untouched)
    assert made["support"]["own"] == 1
    assert room.client.get(path).json == made
    assert answer.headers["ETag"] == room.client.get(path).headers["ETag"]
    markdown = room.client.get(f"{path}/markdown").text
    assert f"Who cuts the ribbon? **(Own words of {me['name']}.)**" in markdown
    assert "Edited by people." in markdown
    listed = room.client.get(f"{path}/versions").json["items"]
    assert [(one["version"], one["origin"]) for one in listed] == [(2, "edit"), (1, "line")]
    # Sending the content unchanged makes no version.
    again = edit(made["content"], 2)
    assert (again.status_int, again.json) == (200, made)


def test_an_edited_statement_gets_a_new_verdict(document, edit):
    content = {key: [] for key in document["content"]}
    content["key_points"] = [
        {"text": "The harbour opens on 1 May 2027.", "evidence": [proof(document, 3)]},
        {"text": "The harbour opens on 9 May 2027.", "evidence": [proof(document, 3)]},
        {
            "text": "The budget is 40,000 euros.",
            "verdict": "supported",
            "evidence": [proof(document, 5, quote="The budget is 90,000 euros.")],
        },
    ]
    made = edit(content).json
    given = made["content"]["key_points"]
    assert [one["verdict"] for one in given] == ["supported", "unsupported", "unsupported"]
    assert given[0]["evidence"] == [proof(document, 3, quote="The harbour opens on 1 May 2027.")]
    assert given[1]["reasons"] == ["number"] or "date" in given[1]["reasons"]
    assert given[2]["reasons"] == ["quote_not_found"]
    assert made["support"] == {"supported": 1, "repaired": 0, "unsupported": 2}
    assert made["flagged"] == 2


def test_evidence_is_searched_in_the_revision_of_the_document(room, document, edit):
    source = document["inputs"][1]["id"]
    text = "# Harbour\n\nNothing is said here any more."
    room.client.post_json(f"{room.path}/sources/{source}/revisions", {"text": text}, status=201)
    content = {key: [] for key in document["content"]}
    content["key_points"] = [
        {"text": "The harbour opens on 1 May 2027.", "evidence": [proof(document, 3)]}
    ]
    [point] = edit(content).json["content"]["key_points"]
    assert (point["verdict"], point["evidence"][0]["quote"]) == ("supported", point["text"])


def wrong(document, **changes):
    return {key: [] for key in document["content"]} | changes


def test_invalid_content_is_rejected(room, document, path, edit, problem, fields):
    fine = document["content"]
    elsewhere = room.add("other.md", "The tide is high.\n")["id"]
    for content, field in (
        ({}, "content"),
        (wrong(document, more=[]), "content"),
        (wrong(document, decisions="none"), "content/decisions"),
        (wrong(document, decisions=[{"text": "", "evidence": []}]), "content/decisions/0/text"),
        (wrong(document, decisions=[{"text": "A\0", "evidence": []}]), "content"),
        (wrong(document, decisions=[{"text": "A", "evidence": ["S1"]}]), "content"),
        (
            wrong(document, decisions=[{"text": "A", "evidence": [proof(document, 2)]}]),
            "content",
        ),
        (
            wrong(document, decisions=[{"text": "A", "evidence": [proof(document, 0)]}]),
            "content",
        ),
        (
            wrong(
                document,
                decisions=[{"text": "A", "evidence": [proof(document, 1, source_id=elsewhere)]}],
            ),
            "content",
        ),
    ):
        body = problem(edit(content), 422)
        assert fields(body)[0] == field, body
    assert room.client.get(path).json["content"] == fine


def test_an_edit_of_an_old_version_is_rejected(room, document, path, edit, problem):
    etag = room.client.get(path).headers["ETag"]
    content = wrong(document)
    assert edit(content, headers={"If-Match": etag}).status_int == 201
    problem(edit(wrong(document), headers={"If-Match": etag}), 412)
    late = problem(edit(document["content"]), 409)
    assert late["detail"].startswith("Version 1 is no longer the newest version.")
    assert room.client.get(path).json["version"] == 2


def test_an_older_version_is_restored(room, document, path, edit, problem):
    edit(wrong(document))
    restored = room.client.post(f"{path}/versions/1/restore", status=201).json
    assert (restored["version"], restored["origin"], restored["parent_number"]) == (3, "restore", 1)
    for same in ("content", "support", "sha256", "inputs", "model"):
        assert restored[same] == document[same]
    assert restored["author"]["name"]
    assert room.client.post(f"{path}/versions/1/restore", status=200).json == restored
    problem(room.client.post(f"{path}/versions/9/restore", status="*"), 404)
    etag = {"If-Match": '"0"'}
    problem(room.client.post(f"{path}/versions/2/restore", headers=etag, status="*"), 412)


def test_the_audit_records_edits_and_restored_versions(room, document, path, edit, dbsession):
    edit(wrong(document), note="A private thought")
    edit(wrong(document), version=2)
    for _ in range(2):
        room.client.post(f"{path}/versions/1/restore")
    events = dbsession.scalars(
        select(AuditEvent).where(AuditEvent.target == f"document:{document['id']}").order_by("id")
    ).all()
    assert [(event.action, event.details) for event in events] == [
        ("document-edit", {"version": 2}),
        ("document-restore", {"version": 3}),
    ]


def test_viewers_cannot_edit(room, document, path, edit, sign_in, add_member, problem):
    viewer = sign_in("vera@example.com")
    problem(edit(wrong(document), client=viewer.client), 404)
    add_member(room.id, viewer.user_id, Role.VIEWER)
    problem(edit(wrong(document), client=viewer.client), 403)
    problem(viewer.client.post(f"{path}/versions/1/restore", status="*"), 403)
    viewer.client.get(f"{path}/comparison?from=1&to=1", status=200)


def test_two_versions_are_compared(room, document, path, edit):
    content = copy.deepcopy(document["content"])
    gone = content["next_steps"].pop()
    content["decisions"].append({"text": "We sell the tugs.", "evidence": []})
    edit(content)
    answer = room.client.get(f"{path}/comparison?from=1&to=2").json
    assert (answer["from"], answer["to"]) == (1, 2)
    assert {key: n for key, n in answer["counts"].items() if n} == {"added": 1, "removed": 1}
    by_change = {one["changes"][0]: one for one in answer["differences"]}
    assert by_change["removed"]["old"]["statement"] == gone
    assert by_change["added"]["new"]["statement"]["text"] == "We sell the tugs."
    total = sum(document["support"].values())
    assert answer["unchanged"] == total - 1
    back = room.client.get(f"{path}/comparison?from=2&to=1").json
    assert {key: n for key, n in back["counts"].items() if n} == {"added": 1, "removed": 1}
    text = room.client.get(f"{path}/comparison/markdown?from=1&to=2")
    assert text.content_type == "text/markdown"
    assert "- **Added** in Decisions:\n  We sell the tugs.\n" in text.text


def test_comparing_an_unknown_version_gets_404(room, document, path, problem):
    for query, status in (("from=1&to=2", 404), ("from=1", 400), ("from=0&to=1", 400)):
        problem(room.client.get(f"{path}/comparison?{query}", status="*"), status)


def test_a_version_loses_its_author_with_the_user(
    room, document, path, edit, sign_in, add_member, dbsession
):
    author = sign_in("tom@example.com")
    add_member(room.id, author.user_id, Role.WRITER)
    content = wrong(document, decisions=[{"text": "We sell the tugs.", "evidence": []}])
    made = edit(content, client=author.client).json
    assert made["author"]["name"] in room.client.get(f"{path}/markdown").text
    delete_user(dbsession, author.user_id)
    dbsession.commit()
    left = room.client.get(path).json
    assert (left["author"], left["authors"]) == (None, [])
    markdown = room.client.get(f"{path}/markdown").text
    assert "Own words of a person who was deleted." in markdown
    assert made["author"]["name"] not in markdown


def test_deleting_the_run_keeps_edited_versions(room, document, path, edit):
    edit(wrong(document))
    room.client.delete(f"/api/v1/runs/{document['run_id']}", status=204)
    assert [one["version"] for one in room.client.get(f"{path}/versions").json["items"]] == [2]


def test_a_new_revision_of_a_source_gives_the_same_document(room, document, path, run_jobs):
    source = document["inputs"][1]
    text = "# Harbour\n\nThe harbour opens on 3 May 2027.\n"
    room.client.post_json(
        f"{room.path}/sources/{source['id']}/revisions", {"text": text}, status=201
    )
    room.run(source)
    run_jobs()
    newest = room.client.get(path).json
    assert (newest["version"], newest["inputs"][1]["revision"]) == (2, 2)


def test_one_of_parallel_edits_succeeds(app, room, document, path):
    me = uuid.UUID(room.client.get("/api/v1/me").json["id"])
    sessions = session_factory(app.registry)
    together = threading.Barrier(6)

    def edit(number: int) -> str:
        content = wrong(document, decisions=[{"text": f"Decision {number}.", "evidence": []}])
        with sessions.begin() as session:
            together.wait()
            try:
                edit_document(session, uuid.UUID(document["id"]), content, base=1, author_id=me)
            except NotNewest as error:
                return str(error)
        return "made"

    with ThreadPoolExecutor(6) as pool:
        said = sorted(pool.map(edit, range(6)))
    assert said[-1] == "made"
    assert len(said) == 6
    assert all(why.startswith("Version 1 is no longer the newest version") for why in said[:-1])
    assert room.client.get(path).json["version"] == 2
