"""Tests revisions of a source: correction, reading by a worker, and use by runs and documents."""

import pytest

from combine_core.sources.comparison import MOST_COMPARED
from combine_core.users import Role

FIRST = "# Harbour\n\nThe harbour opens on 1 May 2027.\n"
SECOND = "# Harbour\n\nA late note.\n\nThe harbour opens on 2 May 2027.\n"
PAGE = b"<main><h1>Port</h1><p>We decided to hire two pilots.</p></main>"


@pytest.fixture
def source(room):
    return room.add(text=FIRST)


@pytest.fixture
def path(room, source) -> str:
    return f"{room.path}/sources/{source['id']}"


@pytest.fixture
def revise(room, path):
    """Add a text or a file as a revision of the source."""

    def revise(text=None, *, file=None, status=201):
        if file is None:
            return room.client.post_json(f"{path}/revisions", {"text": text}, status=status)
        return room.client.post(f"{path}/revisions", upload_files=[("file", *file)], status=status)

    return revise


def test_a_correction_keeps_the_earlier_text(room, source, path, revise):
    made = revise(SECOND)
    assert (made.json["number"], made.json["line_count"]) == (2, 5)
    assert room.client.get(made.headers["Location"]).json["text"] == SECOND
    newest = room.client.get(path).json
    assert (newest["id"], newest["revision"], newest["text"]) == (source["id"], 2, SECOND)
    first = room.client.get(f"{path}?revision=1").json
    assert (first["revision"], first["text"], first["sha256"]) == (1, FIRST, source["sha256"])
    assert room.client.get(f"{path}/original?revision=1").body == FIRST.encode()
    assert room.client.get(f"{path}?revision=3", status=404)
    assert room.client.get(f"{path}/original?revision=3", status=404)
    revisions = room.client.get(f"{path}/revisions").json["items"]
    assert [(each["number"], each["sha256"]) for each in revisions] == [
        (2, newest["sha256"]),
        (1, source["sha256"]),
    ]


def test_the_same_text_adds_no_revision(room, path, revise):
    assert revise(FIRST, status=200).json["number"] == 1
    assert revise(file=("notes.md", FIRST.encode()), status=200).json["number"] == 1
    assert revise(file=("port.html", PAGE)).json["number"] == 2
    assert revise(file=("port.html", PAGE), status=200).json["number"] == 2
    # Returning to an earlier text is a change.
    assert revise(SECOND).json["number"] == 3
    assert revise(FIRST).json["number"] == 4


def test_revisions_come_in_pages(room, path, revise):
    for number in range(2, 6):
        revise(f"Text {number}")
    seen, cursor = [], ""
    while cursor is not None:
        page = room.client.get(f"{path}/revisions?limit=2{cursor and '&cursor='}{cursor}").json
        seen += [each["number"] for each in page["items"]]
        cursor = page["next"]
    assert seen == [5, 4, 3, 2, 1]
    room.client.get(f"{path}/revisions?cursor=x", status=400)


def test_two_revisions_are_compared(room, path, revise):
    revise(SECOND)
    changes = room.client.get(f"{path}/changes?from=1&to=2").json
    assert (changes["added"], changes["removed"], changes["complete"]) == (3, 1, True)
    [passage] = changes["passages"]
    assert {"old": 3, "new": None, "text": "The harbour opens on 1 May 2027."} in passage
    assert {"old": None, "new": 5, "text": "The harbour opens on 2 May 2027."} in passage
    assert room.client.get(f"{path}/changes?from=2&to=2").json["passages"] == []
    room.client.get(f"{path}/changes?from=1&to=3", status=404)
    room.client.get(f"{path}/changes?from=1", status=400)


def test_texts_above_the_limit_are_not_compared(room, path, revise):
    revise("\n".join(f"line {number}" for number in range(MOST_COMPARED)))
    changes = room.client.get(f"{path}/changes?from=1&to=2").json
    assert (changes["complete"], changes["passages"], changes["removed"]) == (False, [], 3)


def test_a_document_keeps_the_revision_that_it_quotes(room, path, revise, source, run_jobs):
    def brief():
        run = room.run(source)
        run_jobs()
        [written] = room.client.get(f"/api/v1/runs/{run['id']}").json["documents"]
        return run, room.client.get(f"/api/v1/documents/{written['id']}").json

    run, first = brief()
    revise(SECOND)
    assert room.client.get(f"/api/v1/runs/{run['id']}").json["source_revisions"] == [1]
    assert room.client.get(f"{path}/statements").json["items"] == []
    assert room.client.get(f"{path}/statements?revision=1").json["items"]
    run, second = brief()
    assert run["source_revisions"] == [2]
    assert (second["id"], second["version"]) == (first["id"], 2)
    assert [document["inputs"][1]["revision"] for document in (first, second)] == [1, 2]
    quoted = {
        (proof["line_from"], proof["quote"])
        for items in second["content"].values()
        for item in items
        for proof in item["evidence"]
    }
    assert (5, "The harbour opens on 2 May 2027.") in quoted


def test_a_run_waits_until_its_source_is_read(room, path, revise, source, run_jobs):
    revise(file=("port.html", PAGE))
    assert room.client.get(path).json["state"] == "reading"
    # Until then, the source has its earlier text.
    assert room.client.get(path).json["text"] == FIRST
    other = room.add(name="other.md")
    run = room.run(source, other)
    assert run["source_revisions"] == [2, 1]
    states = {step["key"]: step["state"] for step in run["steps"]}
    assert states == {"facts.S1": "pending", "facts.S2": "ready", "brief": "pending"}
    run_jobs()
    run = room.client.get(f"/api/v1/runs/{run['id']}").json
    assert run["state"] == "succeeded"
    document = room.client.get(f"/api/v1/documents/{run['documents'][0]['id']}").json
    assert [item["text"] for item in document["content"]["decisions"]][:1] == [
        "We decided to hire two pilots."
    ]
    assert room.client.get(path).json["revision"] == 2


def test_an_unreadable_revision_leaves_the_earlier_text(room, path, revise, source, run_jobs):
    revise(file=("broken.pdf", b"%PDF-1.7"))
    run = room.run(source)
    run_jobs()
    failed = room.client.get(f"/api/v1/runs/{run['id']}").json
    assert (failed["state"], failed["error_code"]) == ("failed", "source_unreadable")
    assert "is no PDF that can be read" in failed["error"]
    # The source keeps its earlier text and reports the error.
    after = room.client.get(path).json
    assert (after["state"], after["revision"], after["text"]) == ("ready", 1, FIRST)
    assert "is no PDF that can be read" in after["error"]
    newest = room.client.get(f"{path}/revisions").json["items"][0]
    assert (newest["number"], newest["state"], newest["error"]) == (2, "failed", after["error"])
    again = room.run(source)
    assert again["source_revisions"] == [1]
    run_jobs()
    assert room.client.get(f"/api/v1/runs/{again['id']}").json["state"] == "succeeded"
    assert revise(SECOND).json["number"] == 3
    assert room.client.get(path).json["error"] is None


def test_an_unreadable_source_has_no_text(room, problem, fields, run_jobs):
    made = room.client.post(
        f"{room.path}/sources", upload_files=[("file", "broken.pdf", b"%PDF-1.7")], status=201
    ).json
    waiting = room.run(made, room.add())
    run_jobs()
    path = f"{room.path}/sources/{made['id']}"
    source = room.client.get(path).json
    assert (source["state"], source["revision"], source["text"]) == ("failed", 0, "")
    room.client.get(f"{path}/original", status=404)
    # The bad source is the only one that fails.
    run = room.client.get(f"/api/v1/runs/{waiting['id']}").json
    assert (run["state"], run["error_code"]) == ("succeeded", "incomplete")
    body = {"line": "brief", "sources": [made["id"]]}
    told = problem(room.client.post_json(f"{room.path}/runs", body, status=422), 422)
    assert fields(told) == ["sources"]
    assert "broken.pdf" in str(told)


def test_revisions_need_membership_and_adding_needs_a_writer(
    room, path, sign_in, add_member, problem
):
    bob = sign_in("bob@example.com")
    for part in ("revisions", "changes?from=1&to=1"):
        problem(bob.client.get(f"{path}/{part}", status=404), 404)
    problem(bob.client.post_json(f"{path}/revisions", {"text": "x"}, status=404), 404)
    add_member(room.id, bob.user_id, Role.VIEWER)
    assert bob.client.get(f"{path}/revisions").json["items"]
    problem(bob.client.post_json(f"{path}/revisions", {"text": "x"}, status=403), 403)


@pytest.mark.parametrize(
    ("file", "status"),
    [(("a.exe", b"MZ"), 415), (("a.md", b""), 422), (("a.md", b"a\0b"), 422)],
)
def test_an_invalid_revision_is_rejected(room, path, revise, problem, fields, file, status):
    assert fields(problem(revise(file=file, status=status), status)) == ["file"]
    assert len(room.client.get(f"{path}/revisions").json["items"]) == 1
