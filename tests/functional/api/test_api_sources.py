"""Tests adding texts and files as sources; invalid ones get a clear error and store nothing."""

import hashlib
import uuid
from contextlib import contextmanager

import pytest
from sqlalchemy.exc import IntegrityError

from combine_core.observe.memory import Reading
from combine_core.sources import MAX_SOURCE_BYTES, add_source
from combine_core.web.memory_budget import LARGE, MemoryBudget


@pytest.fixture
def listed(room):
    return lambda: room.client.get(f"{room.path}/sources").json["items"]


@pytest.fixture
def post(room):
    """``post(body, "application/json")``: post a source."""
    return lambda body, media_type: room.client.post(
        f"{room.path}/sources", body, headers={"Content-Type": media_type}, status="*"
    )


@pytest.fixture
def upload(room):
    """``upload(("file", "notes.md", b"..."), name="Notes")``: post a form, encoded by WebTest."""

    def upload(*files, **form):
        path = f"{room.path}/sources"
        return room.client.post(path, form, upload_files=list(files), status="*")

    return upload


def part(disposition: str, data: bytes = b"x", boundary: str = "b") -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode("latin-1")
    return head + data + b"\r\n"


@pytest.mark.parametrize("times", [1, 10_000], ids=["short", "in pieces"])
def test_the_response_matches_the_stored_source(room, listed, times):
    text = r"C:\notes\n \\. %s :name 'it''s' {a} $1" * times + "\t\\N\n\\.\n"
    added = room.add("it's \\ 100%.md", text)
    assert listed() == [added]
    found = room.client.get(f"{room.path}/sources/{added['id']}").json
    assert found == {**added, "text": text}


def test_a_text_is_added(room, listed):
    text = "# Notes\r\n\r\nThe harbour opens.\r"
    answer = room.client.post_json(f"{room.path}/sources", {"name": "n.md", "text": text})
    stored = b"# Notes\n\nThe harbour opens.\n"
    assert answer.status_int == 201
    assert answer.json == {
        "id": answer.json["id"],
        "name": "n.md",
        "media_type": "text/markdown",
        "size": len(stored),
        "line_count": 3,
        "revision": 1,
        "state": "ready",
        "error": None,
        "sha256": hashlib.sha256(stored).hexdigest(),
        "notes": [],
        "created_at": answer.json["created_at"],
    }
    assert room.client.get(answer.headers["Location"]).json == {
        **answer.json,
        "text": stored.decode(),
    }
    assert listed() == [answer.json]


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("notes.md", "notes.md"),
        ("NOTES.TXT", "NOTES.TXT"),
        ("C:\\\\Users\\\\ada\\\\notes.md", "notes.md"),
        ("../../etc/passwd.txt", "passwd.txt"),
        ("häfen.md", "häfen.md"),
        (".md.md", ".md.md"),
    ],
)
def test_a_file_is_added(upload, room, filename, name):
    answer = upload(("file", filename, "\ufeffDer Häfen\r\n".encode()))
    assert answer.status_int == 201, answer.text
    assert answer.json["name"] == name
    text = room.client.get(f"{room.path}/sources/{answer.json['id']}").json["text"]
    assert text == "Der Häfen\n"


def test_a_form_may_name_the_source(upload):
    answer = upload(("file", "notes.md", b"x"), name="Minutes of May")
    assert answer.json["name"] == "Minutes of May"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 422),
        (" \n\t", 422),
        ("a\x00b", 422),
        ("\ud800", 422),
        ("a" * (MAX_SOURCE_BYTES + 1), 413),
        (None, 422),
        (7, 422),
        (False, 422),
    ],
)
def test_invalid_texts_are_rejected(post, listed, problem, fields, text, status):
    import json

    body = json.dumps({"name": "notes.md", "text": text}).encode()
    told = problem(post(body, "application/json"), status)
    assert fields(told) == ["text"]
    assert len(str(told)) < 1000
    assert listed() == []


@pytest.mark.parametrize(
    ("filename", "data", "status"),
    [
        ("notes.md", b"", 422),
        ("notes.md", b"\n \n", 422),
        ("notes.md", "Häfen".encode("utf-16-le")[:-1], 422),
        ("notes.md", b"a\x00b", 422),
        ("notes.md", b"%PDF-1.7\n\x93\x8c\x8b", 422),
        ("notes.md", b"a" * (MAX_SOURCE_BYTES + 1), 413),
        ("notes.exe", b"a", 415),
        ("notes", b"a", 415),
        ("notes.md/", b"a", 415),
        ("notes.md.exe", b"a", 415),
        ("notes.md\x00.exe", b"a", 415),
    ],
)
def test_invalid_files_are_rejected(upload, listed, problem, fields, filename, data, status):
    told = problem(upload(("file", filename, data)), status)
    assert fields(told) == ["file"]
    assert len(str(told)) < 1000
    assert listed() == []


@pytest.mark.parametrize("filename", ["a\x07b.md", "x" * 10_000 + ".md", "\u200b.md\u200b.md"])
def test_invalid_file_names_are_rejected(post, listed, problem, fields, filename):
    body = part(f'form-data; name="file"; filename="{filename}"'.encode().decode("latin-1"))
    answer = post(body + b"--b--\r\n", "multipart/form-data; boundary=b")
    if answer.status_int != 201:
        assert fields(problem(answer, 422)) == ["name"]
        assert listed() == []


FILE = 'form-data; name="file"; filename="a.md"'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"--b--\r\n", 422),
        (part('form-data; name="text"') + b"--b--\r\n", 422),
        (part('form-data; name="file"') + b"--b--\r\n", 422),
        (part('form-data; name="file"; filename=""') + b"--b--\r\n", 422),
        (part(FILE) + part(FILE) + b"--b--\r\n", 422),
        (part(FILE) + part('form-data; name="name"', b"\xff") + b"--b--\r\n", 422),
        (part(FILE) + part('form-data; name="name"') * 2 + b"--b--\r\n", 422),
        (part(FILE) + part('form-data; name="name"; filename="x.md"') + b"--b--\r\n", 422),
        (part(FILE) + part("form-data") + b"--b--\r\n", 422),
        (part("attachment") + b"--b--\r\n", 422),
        (part(FILE) * 500 + b"--b--\r\n", 400),
        # The form is cut off, or it has no end, another boundary or no headers.
        (part(FILE), 400),
        (part(FILE)[:30], 400),
        (part(FILE, boundary="other") + b"--other--\r\n", 400),
        (b"--b\r\n\r\nx\r\n--b--\r\n", 400),
        (b"--b\r\nContent-Disposition: \xff\xfe\r\n\r\nx\r\n--b--\r\n", 400),
        (b"--b\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n", 400),
        (b"\x00" * 1000, 400),
    ],
)
def test_a_malformed_form_is_rejected(post, listed, problem, body, status):
    told = problem(post(body, "multipart/form-data; boundary=b"), status)
    assert len(str(told)) < 1000
    assert listed() == []


@pytest.mark.parametrize(
    "media_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "b" * 71,
        "multipart/form-data; boundary=\xff",
        "multipart/form-data; boundary*=utf-8''%00",
    ],
)
def test_an_invalid_boundary_is_rejected(post, listed, problem, media_type):
    problem(post(part(FILE) + b"--b--\r\n", media_type), 400)
    assert listed() == []


def test_other_media_types_are_rejected(post, listed, problem):
    for media_type in ("text/plain", "text/markdown", "multipart/mixed; boundary=b", ""):
        told = problem(post(b"x", media_type), 415)
        assert "multipart/form-data" in told["detail"]
    assert listed() == []


def test_lists_omit_the_text(room):
    room.add(text="secret words " * 1000)
    assert "secret words" not in room.client.get(f"{room.path}/sources").text


@pytest.mark.parametrize(
    "text", ["a\tb\nc\\d", "\\N\n\\.\n", "\\n\\t\\x41", "%s %(id)s :name $1 'x'", "😀\n" * 40_000]
)
def test_every_text_is_stored_unchanged(room, text):
    added = room.add("a\\b.md", text)
    assert added["name"] == "a\\b.md"
    assert room.client.get(f"{room.path}/sources/{added['id']}").json["text"] == text
    assert added["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert added["size"] == len(text.encode())


def test_a_source_of_an_unknown_project_is_an_integrity_error(dbsession, sign_in):
    with pytest.raises(IntegrityError):
        add_source(dbsession, uuid.uuid4(), "n.md", "text", sign_in().user_id)


@contextmanager
def busy(app, used):
    """Hold a large body in another request, so that this part of a gigabyte is in use."""
    reading = Reading(used, 2**30, "container", used, 8)
    app.registry["combine_core.web.memory_budget"] = budget = MemoryBudget(lambda: reading)
    budget.take(LARGE)
    yield
    budget.give_back(LARGE)
    budget.take(10**9)  # The budget is free again.
    app.registry["combine_core.web.memory_budget"] = MemoryBudget()


def test_a_large_body_gets_503_while_memory_is_short(app, room, listed, problem, caplog):
    text = "x" * LARGE
    body = {"name": "n.md", "text": text}
    with busy(app, 2**30):
        answer = room.client.post_json(f"{room.path}/sources", body, status="*")
        assert problem(answer, 503)["type"] == "urn:combine:problem:memory-short"
        assert int(answer.headers["Retry-After"]) > 0
        assert listed() == []
        assert "memory is short" in caplog.text
        room.add()  # A small body does not need the budget.
    with busy(app, 2**29):
        assert room.client.post_json(f"{room.path}/sources", body).status_int == 201


def test_a_large_text_is_not_read_while_memory_is_short(app, room, problem):
    path = f"{room.path}/sources/{room.add('n.md', 'x' * LARGE)['id']}"
    with busy(app, 2**30):
        problem(room.client.get(path, status="*"), 503)
    with busy(app, 2**29):
        assert len(room.client.get(path).json["text"]) == LARGE


def test_a_file_becomes_text_with_blocks(upload, room, run_jobs):
    page = b"<main><h1>Port</h1><p>The harbour opens on 1 May.</p></main>"
    made = upload(("file", "port.html", page))
    assert made.status_int == 201
    assert made.json["media_type"] == "text/html"
    assert (made.json["state"], made.json["revision"]) == ("reading", 0)
    run_jobs()
    path = f"{room.path}/sources/{made.json['id']}"
    assert room.client.get(path).json["text"] == "# Port\n\nThe harbour opens on 1 May.\n"
    original = room.client.get(f"{path}/original")
    assert original.body == page
    assert original.headers["Content-Disposition"] == 'attachment; filename="port.html"'
    assert original.headers["X-Content-Type-Options"] == "nosniff"


def test_another_encoding_is_converted_and_reported(upload, room):
    data = ("Größe und Tür, café\n" * 5).encode("cp1252")
    made = upload(("file", "notes.md", data))
    assert made.json["notes"] == ["It was converted from Windows-1252."]
    path = f"{room.path}/sources/{made.json['id']}"
    assert room.client.get(path).json["text"].startswith("Größe und Tür")
    assert room.client.get(f"{path}/original").body == data


def test_several_files_become_several_sources(room, listed):
    files = [("file", "a.md", b"First"), ("file", "b/b.txt", b"Second"), ("file", "a.md", b"3rd")]
    made = room.client.post(f"{room.path}/sources/files", upload_files=files, status=201).json
    assert [source["name"] for source in made["items"]] == ["a.md", "b.txt", "a.md"]
    texts = [
        room.client.get(f"{room.path}/sources/{source['id']}").json["text"]
        for source in made["items"]
    ]
    assert texts == ["First", "Second", "3rd"]


@pytest.mark.parametrize(
    ("wrong", "status", "words"),
    [
        (("file", "b.exe", b"MZ"), 415, "b.exe: cannot be read"),
        (("file", "b.md", b""), 422, "b.md: is empty"),
        (("other", "b.md", b"x"), 422, "is unknown"),
    ],
)
def test_all_of_several_files_are_stored_or_none(room, listed, problem, wrong, status, words):
    files = [("file", "a.md", b"First"), wrong]
    answer = room.client.post(f"{room.path}/sources/files", upload_files=files, status=status)
    assert words in str(problem(answer, status))
    assert listed() == []


def test_the_number_of_files_is_limited(room, problem):
    files = [("file", "a.md", b"x")] * 101
    answer = room.client.post(f"{room.path}/sources/files", upload_files=files, status=400)
    assert "more than 100 parts" in problem(answer, 400)["detail"]
