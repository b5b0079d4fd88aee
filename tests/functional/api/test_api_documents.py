"""Documents and their versions, as JSON and as Markdown."""

import pytest


def test_a_document(room, document):
    assert document == {
        "id": document["id"],
        "type": "brief",
        "title": "Brief: notes.md",
        "version": 1,
        "model": "extract",
        "used_llm": False,
        "support": document["support"],
        "flagged": 0,
        "sha256": document["sha256"],
        "run_id": document["run_id"],
        "created_at": document["created_at"],
        "content": document["content"],
        "inputs": document["inputs"],
    }
    source = room.client.get(f"{room.path}/sources").json["items"][0]
    assert document["inputs"][1] == {
        "kind": "source",
        "id": source["id"],
        "name": "notes.md",
        "sha256": source["sha256"],
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


def test_markdown(room, document):
    path = f"/api/v1/documents/{document['id']}"
    answer = room.client.get(f"{path}?format=md")
    assert answer.headers["Content-Type"].lower() == "text/markdown; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="brief-notes-md-v1.md"'
    assert answer.text.startswith("# Brief: notes.md\n")
    assert "The harbour opens on 1 May 2027." in answer.text
    assert room.client.get(f"{path}/versions/1?format=md").body == answer.body
    assert room.client.get(f"{path}?format=json").json == document
    assert room.client.get(f"{path}/versions/1").json == document
    head = room.client.head(f"{path}?format=md")
    assert int(head.headers["Content-Length"]) == len(answer.body)


@pytest.mark.parametrize(
    "query", ["format=pdf", "format=MD", "format=", "format=%00", "format=md,json"]
)
def test_other_formats(room, document, problem, fields, query):
    for path in ("", "/versions/1"):
        answer = room.client.get(f"/api/v1/documents/{document['id']}{path}?{query}", status="*")
        assert fields(problem(answer, 400)) == ["format"]


def test_versions(room, document, run_jobs):
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
            "created_at": room.client.get(f"{room.path}/documents").json["items"][0]["created_at"],
        }
    ]


@pytest.mark.parametrize(
    "number", ["0", "2", "-1", "01", "1.0", "999999999", "99999999999999999999", "%31%0A", "one"]
)
def test_versions_that_are_not_there(room, document, problem, number):
    path = f"/api/v1/documents/{document['id']}/versions/{number}"
    problem(room.client.get(path, status="*"), 404)
