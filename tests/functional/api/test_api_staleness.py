"""Tests the detection of documents that are out of date."""

import json
import re

import pytest
from sqlalchemy import event, text

from combine_core.database import engine_of
from combine_core.lines import find_line
from combine_core.lines.definition import line_from_definition
from combine_core.users import Role
from tests.vendor_server import Exchange, ok

OPENS = "# Harbour\n\nThe harbour opens on {} May 2027.\n"


@pytest.fixture
def path(document) -> str:
    return f"/api/v1/documents/{document['id']}"


@pytest.fixture
def revise(room):
    """``revise(source, text)``: give the source this text."""

    def send(source, text):
        room.client.post_json(
            f"{room.path}/sources/{source['id']}/revisions", {"text": text}, status=201
        )

    return send


def stale_of(room, path):
    return room.client.get(path).json["stale"]


def listed(room, query=""):
    items = room.client.get(f"{room.path}/documents{query}").json["items"]
    return [item["stale"] for item in items]


def test_a_document_is_stale_until_the_old_text_returns(room, document, path, revise):
    source = document["inputs"][1]
    text = room.client.get(f"{room.path}/sources/{source['id']}").json["text"]
    assert (stale_of(room, path), listed(room)) == ([], [False])
    revise(source, OPENS.format(3))
    [reason] = stale_of(room, path)
    newest = room.client.get(f"{room.path}/sources/{source['id']}").json
    assert reason == {
        "kind": "source",
        "input_id": source["id"],
        "name": "notes.md",
        "from_sha256": source["sha256"],
        "to_sha256": newest["sha256"],
        "revision": 1,
        "newest_revision": 2,
        "reason": "The source notes.md has revision 2. This was written from revision 1.",
        "acknowledged_at": None,
        "acknowledged_by": None,
        "note": None,
    }
    assert [listed(room, f"?stale={each}") for each in ("true", "false")] == [[True], []]
    revise(source, text)
    assert (stale_of(room, path), listed(room)) == ([], [False])


def test_a_renamed_or_deleted_source_does_not_make_a_document_stale(room, document, path):
    source = f"{room.path}/sources/{document['inputs'][1]['id']}"
    room.client.patch_json(source, {"name": "other.md"}, status=200)
    assert stale_of(room, path) == []
    room.client.delete(f"{source}?force=true", status=204)
    assert stale_of(room, path) == []


def test_a_new_version_of_the_line_makes_a_document_stale(room, document, path, monkeypatch):
    changed = find_line("brief").definition | {"description": "Another one."}
    other = line_from_definition(changed)
    monkeypatch.setattr(
        "combine_core.documents.staleness.installed_lines", lambda: {"brief": other}
    )
    [reason] = stale_of(room, path)
    assert (reason["kind"], reason["revision"], reason["newest_revision"]) == ("line", None, None)
    assert reason["reason"] == "The line brief has changed."
    assert listed(room) == [True]


def test_a_user_acknowledges_a_change(room, document, path, revise, problem, sign_in, add_member):
    source = document["inputs"][1]
    body = {"input_id": source["id"], "note": "The council has not agreed yet."}
    acknowledgements = f"{path}/acknowledgements"
    problem(room.client.post_json(acknowledgements, body, status="*"), 409)
    revise(source, OPENS.format(3))
    viewer = sign_in("vera@example.com")
    add_member(room.id, viewer.user_id, Role.VIEWER)
    problem(viewer.client.post_json(acknowledgements, body, status="*"), 403)
    problem(room.client.post_json(acknowledgements, body | {"note": " "}, status="*"), 422)
    [reason] = room.client.post_json(acknowledgements, body, status=200).json["stale"]
    assert (reason["note"], bool(reason["acknowledged_by"])) == (body["note"], True)
    assert listed(room) == [False]
    # An edit has the same inputs, so the acknowledgement applies to it.
    content = {key: [] for key in document["content"]}
    edit = {"version": 1, "content": content}
    [reason] = room.client.post_json(f"{path}/versions", edit, status=201).json["stale"]
    assert reason["note"] == body["note"]
    # The acknowledgement does not cover later changes.
    revise(source, OPENS.format(4))
    [reason] = stale_of(room, path)
    assert (reason["acknowledged_at"], listed(room)) == (None, [True])
    room.client.delete(f"{room.path}/sources/{source['id']}?force=true", status=204)
    assert stale_of(room, path) == []


def quotes_what_it_reads(exchange: Exchange) -> None:
    """Return line 3 of the source as its fact, and all facts as decisions."""
    prompt = exchange.request.prompt
    reads = re.search(
        r"^## Source (S\d+):.*\n\s*1\|.*\n\s*2\|.*\n\s*3\| (.*)$", prompt, re.MULTILINE
    )
    if reads:
        proof = {"source": reads[1], "line_from": 3, "line_to": 3, "quote": reads[2]}
        fact = {"text": reads[2], "kind": "decision", "evidence": [proof]}
        ok({"facts": [fact]})(exchange)
        return
    proofs = [json.loads(each) for each in re.findall(r"evidence: (\{.*\})", prompt)]
    sections = ("summary", "key_points", "numbers", "open_questions", "next_steps")
    decisions = [{"text": proof["quote"], "evidence": [proof]} for proof in proofs]
    ok({**{section: [] for section in sections}, "decisions": decisions})(exchange)


def test_a_run_after_a_correction_pays_for_what_changed(room, vendor, run_jobs, revise):
    vendor.always(quotes_what_it_reads)
    sources = [room.add(f"{name}.md", OPENS.format(day)) for day, name in enumerate("abc", 1)]
    model = "openai/gpt-4o"
    room.run(*sources, model=model)
    run_jobs()
    assert len(vendor.requests) == 4
    [before] = room.client.get(f"{room.path}/documents").json["items"]
    revise(sources[1], OPENS.format(9))
    assert listed(room) == [True]
    room.run(*sources, model=model)
    run_jobs()
    # One call for the changed source, and one for the brief.
    asked = [request.prompt for request in vendor.requests[4:]]
    assert len(asked) == 2
    assert "9 May 2027" in asked[0]
    [after] = room.client.get(f"{room.path}/documents").json["items"]
    assert (after["id"], after["version"], after["stale"]) == (before["id"], 2, False)
    changes = room.client.get(f"/api/v1/documents/{after['id']}/comparison?from=1&to=2").json
    assert changes["unchanged"] == 2
    assert [one["changes"] for one in changes["differences"]] == [["changed", "evidence_changed"]]


def test_the_number_of_sql_statements_does_not_grow(room, run_jobs, revise):
    sent = []
    engine = engine_of(room.client.app.registry)

    def note(_connection, _cursor, statement, *_rest):
        sent.append(statement)

    def statements(path):
        sent.clear()
        room.client.get(path)
        return len(sent)

    event.listen(engine, "before_cursor_execute", note)
    try:
        sources = [room.add(f"{number}.md", OPENS.format(number)) for number in range(1, 4)]
        room.run(sources[0])
        room.run(*sources)
        run_jobs()
        for source in sources:
            revise(source, OPENS.format(9))
        documents = room.client.get(f"{room.path}/documents").json["items"]
        one, three = (f"/api/v1/documents/{each['id']}" for each in reversed(documents))
        assert [len(stale_of(room, each)) for each in (one, three)] == [1, 3]
        assert statements(one) == statements(three)
        few = statements(f"{room.path}/documents?limit=1")
        assert few == statements(f"{room.path}/documents")
    finally:
        event.remove(engine, "before_cursor_execute", note)


_MORE = """
INSERT INTO documents (id, project_id, type, key, title, head, last_number)
SELECT gen_random_uuid(), project_id, type, 'more ' || n, title, 1, 1
FROM documents, generate_series(1, 3000) n WHERE id = :id;
INSERT INTO document_versions
    (id, document_id, number, origin, model, used_llm, content, markdown, sha256, flagged, support)
SELECT d.id, d.id, 1, 'line', v.model, v.used_llm, '{}', '', v.sha256, 0, v.support
FROM documents d, document_versions v WHERE v.document_id = :id AND d.key LIKE 'more %';
INSERT INTO version_inputs (version_id, position, kind, ref_id, name, sha256, revision)
SELECT d.id, i.position, i.kind, i.ref_id, i.name, i.sha256, i.revision
FROM documents d, document_versions v JOIN version_inputs i ON i.version_id = v.id
WHERE v.document_id = :id AND d.key LIKE 'more %';
ANALYZE documents, document_versions, version_inputs;
"""


def test_a_page_checks_only_its_own_documents(room, document, dbsession, rows_read):
    dbsession.execute(text(_MORE), {"id": document["id"]})
    dbsession.commit()
    looked_at = rows_read(
        "version_inputs", lambda: room.client.get(f"{room.path}/documents?limit=20")
    )
    assert 0 < looked_at <= 21 * 2
