"""Tests documents and their versions, as JSON, Markdown and other files."""

from io import BytesIO

import docx
import pypdfium2
import pytest

from combine_core.observe.memory import Reading
from combine_core.web.memory_budget import LARGE, MemoryBudget


def test_a_document_shows_its_content_and_inputs(room, document):
    assert document == {
        "id": document["id"],
        "type": "brief",
        "title": "Brief: notes.md",
        "archived_at": None,
        "review": None,
        "version": 1,
        "origin": "line",
        "author": None,
        "parent_number": None,
        "note": None,
        "imported": None,
        "model": "extract",
        "used_llm": False,
        "support": document["support"],
        "flagged": 0,
        "sha256": document["sha256"],
        "run_id": document["run_id"],
        "created_at": document["created_at"],
        "content": document["content"],
        "authors": [],
        "stale": [],
        "inputs": document["inputs"],
    }
    source = room.client.get(f"{room.path}/sources").json["items"][0]
    assert document["inputs"][1] == {
        "kind": "source",
        "id": source["id"],
        "name": "notes.md",
        "sha256": source["sha256"],
        "revision": 1,
        "deleted": False,
    }
    assert (document["inputs"][0]["kind"], document["inputs"][0]["name"]) == ("line", "brief")
    text = room.client.get(f"{room.path}/sources/{source['id']}").json["text"].split("\n")
    items = [item for items in document["content"].values() for item in items]
    assert items
    assert document["support"] == {"supported": len(items), "repaired": 0, "unsupported": 0}
    for item in items:
        assert (item["verdict"], item["reasons"]) == ("supported", [])
        for proof in item["evidence"]:
            lines = "\n".join(text[proof["line_from"] - 1 : proof["line_to"]])
            assert proof["source_id"] == source["id"]
            assert proof["quote"] in lines


def test_a_document_is_exported_as_markdown(room, document):
    path = f"/api/v1/documents/{document['id']}"
    answer = room.client.get(f"{path}?format=md")
    assert answer.headers["Content-Type"].lower() == "text/markdown; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="brief-notes-md-v1.md"'
    assert answer.text.startswith("# Brief: notes.md\n")
    assert "The harbour opens on 1 May 2027." in answer.text
    _, _, origin = answer.text.partition("\n\n## How it was made\n\n")
    assert f"- **Version:** 1, SHA-256 {document['sha256']}\n" in origin
    assert "- **Cost of the run:** 0.000000 USD\n" in origin
    assert "- **Review:** none." in origin
    for same in ("/versions/1?format=md", "/markdown", "/versions/1/markdown"):
        other = room.client.get(f"{path}{same}")
        assert (other.body, other.content_type) == (answer.body, answer.content_type)
        assert other.headers["Content-Disposition"] == answer.headers["Content-Disposition"]
    room.client.get(f"{path}/versions/2/markdown", status=404)
    assert room.client.get(f"{path}?format=json").json == document
    assert room.client.get(f"{path}/versions/1").json == document
    head = room.client.head(f"{path}?format=md")
    assert int(head.headers["Content-Length"]) == len(answer.body)


@pytest.mark.parametrize("name", ["docx", "pdf"])
def test_a_document_is_exported_as_a_file(room, document, problem, name):
    path = f"/api/v1/documents/{document['id']}"
    answer = room.client.get(f"{path}/{name}")
    assert answer.content_type == "application/octet-stream"
    assert (
        answer.headers["Content-Disposition"] == f'attachment; filename="brief-notes-md-v1.{name}"'
    )
    if name == "docx":
        file = docx.Document(BytesIO(answer.body))
        texts = [one.text for one in file.paragraphs]
        texts += [cell.text for row in file.tables[0].rows for cell in row.cells]
        text = "\n".join(texts)
    else:
        file = pypdfium2.PdfDocument(answer.body)
        text = "\n".join(page.get_textpage().get_text_bounded() for page in file)
        file.close()
    words = "".join(text.split())
    for items in document["content"].values():
        for item in items:
            assert "".join(item["text"].split()) in words
    for known in (document["sha256"], document["inputs"][1]["sha256"], "extract", "notes.md"):
        assert known in words
    assert "0.000000USD" in words
    assert room.client.get(f"{path}/versions/1/{name}").content_type == "application/octet-stream"
    problem(room.client.get(f"{path}/versions/2/{name}", status="*"), 404)


@pytest.mark.parametrize(
    "query", ["format=pdf", "format=MD", "format=", "format=%00", "format=md,json"]
)
def test_unknown_formats_are_rejected(room, document, problem, fields, query):
    for path in ("", "/versions/1"):
        answer = room.client.get(f"/api/v1/documents/{document['id']}{path}?{query}", status="*")
        assert fields(problem(answer, 400)) == ["format"]


def test_an_export_gets_503_while_memory_is_short(app, room, document, problem):
    reading = Reading(2**30, 2**30, "container", 2**30, 8)
    app.registry["combine_core.web.memory_budget"] = budget = MemoryBudget(lambda: reading)
    budget.take(LARGE)
    path = f"/api/v1/documents/{document['id']}"
    try:
        refused = room.client.get(f"{path}/pdf", status="*")
        room.client.get(f"{path}/markdown", status=200)
    finally:
        app.registry["combine_core.web.memory_budget"] = MemoryBudget()
    assert problem(refused, 503)["type"] == "urn:combine:problem:memory-short"


def test_older_versions_stay_available(room, document, run_jobs):
    [source] = room.client.get(f"{room.path}/sources").json["items"]
    room.run(source)
    run_jobs()
    path = f"/api/v1/documents/{document['id']}"
    newest = room.client.get(path).json
    assert newest["version"] == 2
    assert room.client.get(f"{path}/versions/1").json == document
    versions = room.client.get(f"{path}/versions").json
    assert [version["version"] for version in versions["items"]] == [2, 1]
    assert versions["next"] is None
    first = room.client.get(f"{path}/versions?limit=1").json
    second = room.client.get(f"{path}/versions?limit=1&cursor={first['next']}").json
    assert [first["items"], second["items"]] == [[item] for item in versions["items"]]
    assert room.client.get(f"{room.path}/documents").json["items"] == [
        {
            "id": document["id"],
            "type": "brief",
            "title": "Brief: notes.md",
            "version": 2,
            "stale": False,
            "created_at": room.client.get(f"{room.path}/documents").json["items"][0]["created_at"],
            "archived_at": None,
            "review": None,
        }
    ]


@pytest.mark.parametrize(
    "number", ["0", "2", "-1", "01", "1.0", "999999999", "99999999999999999999", "%31%0A", "one"]
)
def test_an_unknown_version_gets_404(room, document, problem, number):
    path = f"/api/v1/documents/{document['id']}/versions/{number}"
    problem(room.client.get(path, status="*"), 404)


def test_statements_that_quote_a_source_are_listed(room, document, run_jobs):
    source = document["inputs"][1]["id"]
    path = f"{room.path}/sources/{source}/statements"
    answer = room.client.get(path).json
    assert answer["complete"] is True
    expected = [
        (proof["line_from"], f"/{section}/{index}", item["text"], proof["quote"])
        for section, items in document["content"].items()
        for index, item in enumerate(items)
        for proof in item["evidence"]
    ]
    found = [(i["line_from"], i["pointer"], i["text"], i["quote"]) for i in answer["items"]]
    assert sorted(found) == sorted(expected)
    lines = [item["line_from"] for item in answer["items"]]
    assert lines == sorted(lines)
    assert len(set(lines)) > 1
    for item in answer["items"]:
        assert (item["verdict"], item["reasons"]) == ("supported", [])
        assert item["document"] == {
            "id": document["id"],
            "version": 1,
            "title": "Brief: notes.md",
        }
    line = lines[0]
    some = room.client.get(f"{path}?line_from={line}&line_to={line}").json["items"]
    assert some == [item for item in answer["items"] if item["line_from"] == line]
    assert room.client.get(f"{path}?line_from=999").json["items"] == []
    # Only the newest version counts.
    room.run(room.client.get(f"{room.path}/sources").json["items"][0])
    run_jobs()
    again = room.client.get(path).json["items"]
    assert {item["document"]["version"] for item in again} == {2}
    assert len(again) == len(answer["items"])


def test_statements_of_an_unknown_source_get_404(room, document, problem, make_room):
    elsewhere = make_room(room.client, "Pumps")
    source = document["inputs"][1]["id"]
    problem(room.client.get(f"{elsewhere.path}/sources/{source}/statements", status="*"), 404)
    answer = room.client.get(f"{room.path}/sources/{source}/statements?line_from=0", status="*")
    problem(answer, 400)
