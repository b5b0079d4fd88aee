"""Tests projects as ZIP files: export, import elsewhere, and rejection of invalid files."""

import hashlib
import io
import json
import struct
import uuid
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, text

from combine_auth.audit import AuditEvent
from combine_core.database import Model
from combine_core.deletion.erasure import erase_user
from combine_core.documents.service import hash_of
from combine_core.portability.archive import InvalidArchive
from combine_core.portability.export import export_project
from combine_core.portability.importing import import_project
from combine_core.portability.model import ImportedPerson
from combine_core.portability.rows import MEMBERS
from combine_core.users import Role, User

API = "/api/v1"
PAGE = b"<main><h1>Port</h1><p>We decided to hire two pilots.</p></main>"


@pytest.fixture
def export(sessions):
    def export(project_id) -> bytes:
        file = io.BytesIO()
        export_project(sessions, uuid.UUID(str(project_id)), file)
        return file.getvalue()

    return export


@pytest.fixture
def bring(sessions):
    def bring(data: bytes, owner_id: uuid.UUID, **options):
        with sessions.begin() as session:
            return import_project(session, io.BytesIO(data), owner_id, **options)

    return bring


@pytest.fixture
def bob(join):
    return join("bob", Role.REVIEWER)


@pytest.fixture
def furnished(room, run_jobs, document, bob):
    """A project with one of every object, such as revisions, edited statements, a review and a comment."""
    path = f"{API}/documents/{document['id']}"
    content = document["content"]
    content["decisions"].append({"text": "We paint the pier.", "evidence": []})
    edited = room.client.post_json(
        f"{path}/versions", {"content": content, "version": 1}, status=201
    ).json
    room.client.post(f"{room.path}/sources", upload_files=[("file", "port.html", PAGE)], status=201)
    run_jobs()
    review = room.client.post_json(f"{path}/reviews", {"version": 2}, status=201).json
    approval = {"decision": "approve", "sha256": edited["sha256"], "comment": "Fine."}
    bob.client.post_json(f"{API}/reviews/{review['id']}/decisions", approval)
    source_id = room.client.get(f"{room.path}/sources?name=notes.md").json["items"][0]["id"]
    room.client.post_json(
        f"{room.path}/sources/{source_id}/revisions", {"text": "# Harbour\n\nNew.\n"}, status=201
    )
    comment = {"version": 2, "pointer": "/decisions/0", "text": "@ada@example.com Sure?"}
    said = bob.client.post_json(f"{path}/comments", comment, status=201).json
    assert said["mentions"]
    room.client.patch_json(f"{API}/comments/{said['id']}", {"resolved": True})
    note = {"input_id": source_id, "note": "It does not matter."}
    room.client.post_json(f"{path}/acknowledgements", note)
    return room


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rows(data: bytes, table: str) -> list[dict]:
    return [json.loads(line) for line in members(data)[f"rows/{table}.jsonl"].splitlines()]


def forget_everything(sessions) -> None:
    """Delete everything about the project, as if this were another database."""
    with sessions.begin() as session:
        session.execute(text("DELETE FROM projects"))
        session.execute(text("DELETE FROM line_versions"))
        session.execute(delete(User))


def test_an_import_elsewhere_exports_the_same_file(furnished, sessions, sign_in, export, bring):
    first = export(furnished.id)
    counts = json.loads(members(first)["manifest.json"])["counts"]
    assert all(counts.values()), counts
    forget_everything(sessions)
    carol = sign_in("carol@example.com")
    imported = bring(first, carol.user_id)
    assert imported.same_ids
    assert imported.project.slug == furnished.slug
    again = export(imported.project.id)
    before, after = members(first), members(again)
    assert before.keys() == after.keys()
    for name in before:
        if name.startswith("rows/"):
            assert after[name] == before[name], name
    assert b"Own words of ada." in before["documents/0001-brief-notes-md.md"]
    assert b"Own words of ada (imported)." in after["documents/0001-brief-notes-md.md"]


def test_an_import_beside_the_original_gets_new_ids_in_order(furnished, sign_in, export, bring):
    carol = sign_in("carol@example.com")
    first = export(furnished.id)
    imported = bring(first, carol.user_id)
    assert not imported.same_ids
    # Messages to other users stay in the original project.
    for inbox in ("inbox", "inbox/mentions"):
        assert carol.client.get(f"{API}/{inbox}").json["items"] == []
    assert imported.project.slug.startswith(f"{furnished.slug}-")
    again = export(imported.project.id)
    assert export(furnished.id) != again
    ids = {
        one: [row["id"] for row in rows(data, "steps")]
        for one, data in (("a", first), ("b", again))
    }
    assert not set(ids["a"]) & set(ids["b"])
    assert ids["b"] == sorted(ids["b"])
    assert len(ids["a"]) == len(ids["b"])
    # All ids change by the same bits.
    [mask] = {uuid.UUID(a).int ^ uuid.UUID(b).int for a, b in zip(ids["a"], ids["b"], strict=True)}
    for table in sorted(MEMBERS - {"lines", "document_versions", "reviews"}):
        for old, new in zip(rows(first, table), rows(again, table), strict=True):
            assert renewed(old, mask, skipped=("key",)) == {**new, "key": None}, table
    # A third import becomes another project again. Its hashes, keys and quotes match.
    third = bring(again, carol.user_id)
    assert third.counts == imported.counts


def renewed(row, mask, *, skipped):
    """Return the row with other ids."""

    def change(value):
        if isinstance(value, dict):
            return {key: change(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [change(inner) for inner in value]
        try:
            return str(uuid.UUID(int=uuid.UUID(value).int ^ mask))
        except (ValueError, AttributeError, TypeError):
            return value

    return {**change(row), **dict.fromkeys(skipped)}


def rebuilt(data: bytes, change, *, hashes: bool = True) -> bytes:
    """Return the file after ``change(members)``, with a manifest that matches."""
    found = members(data)
    change(found)
    try:
        manifest = json.loads(found.get("manifest.json", b""))
    except (ValueError, RecursionError):
        manifest = None
    if hashes and isinstance(manifest, dict):
        manifest["members"] = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in found.items()
            if name != "manifest.json"
        }
        found["manifest.json"] = json.dumps(manifest).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in found.items():
            archive.writestr(name, content)
    return file.getvalue()


def with_row(data: bytes, table: str, change, number: int = 0) -> bytes:
    """Return the file with a changed row."""
    changed = rows(data, table)
    change(changed[number])
    lines = "".join(json.dumps(row) + "\n" for row in changed).encode()
    return rebuilt(data, lambda found: found.update({f"rows/{table}.jsonl": lines}))


def set_(**values):
    return lambda row: row.update(values)


def everything(sessions) -> dict[str, int]:
    """Return the number of rows in each table."""
    with sessions() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table))
            for table in Model.metadata.sorted_tables
            if table.name not in ("audit_events", "idempotency_keys")
        }


def test_owners_export_and_any_user_imports(furnished, bob, sign_in, sessions):
    path = f"{furnished.path}/export"
    bob.client.get(path, status=403)
    carol = sign_in("carol@example.com")
    carol.client.get(path, status=404)
    answer = furnished.client.get(path)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{furnished.slug}.zip"'
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    made = carol.client.post(
        f"{API}/imports", upload_files=[("file", "harbour.zip", answer.body)], status=201
    )
    project = carol.client.get(made.headers["Location"]).json
    assert project["name"] == "Harbour"
    # The members of the exported project are not members of this one.
    people = carol.client.get(f"{API}/projects/{project['slug']}/members").json["items"]
    assert [(one["email"], one["role"]) for one in people] == [("carol@example.com", "owner")]
    for person in (furnished, bob):
        person.client.get(f"{API}/projects/{project['slug']}", status=404)
    with sessions() as session:
        events = {
            event.action: (event.target, event.details)
            for event in session.scalars(select(AuditEvent))
            if event.action in ("project-export", "project-import")
        }
    assert events["project-export"][0] == f"project:{furnished.id}"
    target, details = events["project-import"]
    assert target == f"project:{project['id']}"
    assert (details["documents"], details["document_versions"], details["same_ids"]) == (
        1,
        2,
        False,
    )


def test_an_imported_approval_is_shown_and_does_not_count(furnished, export, bring, sign_in):
    carol = sign_in("carol@example.com")
    imported = bring(export(furnished.id), carol.user_id)
    path = f"{API}/projects/{imported.project.slug}/documents"
    [listed] = carol.client.get(path).json["items"]
    assert listed["review"] is None
    shown = carol.client.get(f"{API}/documents/{listed['id']}").json
    assert (shown["origin"], shown["author"], shown["review"]) == ("import", None, None)
    assert carol.client.get(f"{API}/documents/{listed['id']}/reviews").json["items"] == []
    past = shown["imported"]
    assert (past["origin"], past["author"]) == ("edit", "ada")
    [review] = past["reviews"]
    [decision] = review["decisions"]
    assert review["state"] == "approved"
    assert decision["name"] == "bob"
    assert (decision["decision"], decision["comment"]) == ("approve", "Fine.")
    [author] = shown["authors"]
    assert author["name"] == "ada (imported)"
    # It can be sent to a review, unlike an approved version.
    terms = {"version": 2, "author_may_decide": True}
    carol.client.post_json(f"{API}/documents/{listed['id']}/reviews", terms, status=201)
    # An edit here is not imported. Its edited statements are still those of the other user.
    content = shown["content"]
    content["decisions"].append({"text": "And the mole.", "evidence": []})
    body = {"content": content, "version": 2}
    edited = carol.client.post_json(
        f"{API}/documents/{listed['id']}/versions", body, status=201
    ).json
    assert edited["imported"] is None
    assert {one["name"] for one in edited["authors"]} == {"ada (imported)", "carol"}


def test_an_imported_project_can_be_continued(furnished, export, bring, sign_in, run_jobs):
    carol = sign_in("carol@example.com")
    imported = bring(export(furnished.id), carol.user_id)
    path = f"{API}/projects/{imported.project.slug}"
    source = carol.client.get(f"{path}/sources?name=notes.md").json["items"][0]
    body = {"line": "brief", "sources": [source["id"]], "model": "extract"}
    run = carol.client.post_json(f"{path}/runs", body, status=201).json
    run_jobs()
    # The document of this source is found by its key and gets another version.
    [written] = carol.client.get(f"{API}/runs/{run['id']}").json["documents"]
    [document] = carol.client.get(f"{path}/documents").json["items"]
    assert (written["id"], written["version"]) == (document["id"], 3)
    original = carol.client.get(f"{path}/sources?name=port.html").json["items"][0]
    assert carol.client.get(f"{path}/sources/{original['id']}/original").body == PAGE
    for call in carol.client.get(f"{API}/runs/{run['id']}/calls").json["items"]:
        carol.client.get(f"{API}/calls/{call['id']}", status="*")


def test_erasing_a_user_includes_imported_projects(furnished, export, bring, sign_in, sessions):
    carol = sign_in("carol@example.com")
    imported = bring(export(furnished.id), carol.user_id)
    with sessions.begin() as session:
        bob_id = session.scalar(select(User.id).where(User.email == "bob@example.com"))
        gone = erase_user(session, bob_id)
    assert gone.takes["imported"] == 1
    [listed] = carol.client.get(f"{API}/projects/{imported.project.slug}/documents").json["items"]
    [review] = carol.client.get(f"{API}/documents/{listed['id']}").json["imported"]["reviews"]
    assert review["decisions"][0]["name"] is None
    assert b"bob" not in members(export(imported.project.id))["rows/people.jsonl"]


def test_a_project_with_a_run_in_progress_is_not_exported(room, document, export, run_jobs):
    [source] = room.client.get(f"{room.path}/sources").json["items"]
    room.run(source)
    answer = room.client.get(f"{room.path}/export", status=409)
    assert "A run is still going on" in answer.json["detail"]
    run_jobs()
    room.client.post(f"{room.path}/sources", upload_files=[("file", "p.html", PAGE)], status=201)
    answer = room.client.get(f"{room.path}/export", status=409)
    assert "A file is still being read." in answer.json["detail"]
    run_jobs()
    assert room.client.get(f"{room.path}/export").body[:2] == b"PK"


def test_the_file_contains_no_secrets(furnished, export, sign_in):
    everything_in_it = b"".join(members(export(furnished.id)).values())
    assert b"token" not in everything_in_it.replace(b"_tokens", b"")
    assert b"sk-" not in everything_in_it


@pytest.fixture(scope="module")
def _exported() -> list[bytes]:
    return []


@pytest.fixture
def exported(request, _exported, export) -> bytes:
    """The file of the furnished project, which is made once. The project itself may be deleted."""
    if not _exported:
        _exported.append(export(request.getfixturevalue("furnished").id))
    return _exported[0]


OTHER = "0199c2a1-8e1f-7b4a-9c62-4b6a8c2d3e4f"


def remove(name):
    return lambda found: found.pop(name)


def put(name, content):
    return lambda found: found.update({name: content})


def manifest(**values):
    def change(found):
        found["manifest.json"] = json.dumps(
            {**json.loads(found["manifest.json"]), **values}
        ).encode()

    return change


HOSTILE_MEMBERS = {
    "no manifest": (remove("manifest.json"), "has no manifest.json"),
    "a missing member": (remove("rows/steps.jsonl"), "rows/steps.jsonl is missing"),
    "a path": (put("../../etc/passwd", b"x"), "which no export has"),
    "an absolute path": (put("/etc/passwd", b"x"), "which no export has"),
    "another format": (manifest(format="zip"), "not that of a project"),
    "a newer format": (manifest(version=2), "version 2 of the format"),
    "a list as manifest": (put("manifest.json", b"[]"), "not that of a project"),
    "no JSON": (put("manifest.json", b"{"), "is not valid JSON"),
    "a deep manifest": (put("manifest.json", b"[" * 100_000), "is not valid JSON"),
    "an unknown table": (put("rows/secrets.jsonl", b""), "does not know"),
    "a deep row": (put("rows/runs.jsonl", b'{"a":' * 100 + b"1" + b"}" * 100), "too deeply"),
    "a row that is no object": (put("rows/runs.jsonl", b"[]"), "not a JSON object"),
    "infinity": (put("rows/runs.jsonl", b'{"a": 1e999}'), "contains NaN or Infinity"),
    "a long number": (put("rows/runs.jsonl", b'{"a": ' + b"1" * 5000 + b"}"), "is not valid JSON"),
    "NUL": (put("rows/runs.jsonl", b'{"a": "\\u0000"}'), "contains a NUL"),
    "half a pair": (put("rows/runs.jsonl", b'{"a": "\\ud800"}'), "contains a NUL or half"),
    "many values": (put("rows/runs.jsonl", b"[" + b"[]," * 1_000_001 + b"[]]"), "too many values"),
    "no UTF-8": (put("rows/runs.jsonl", b'{"a": "\xff"}'), "is not valid JSON"),
}


@pytest.mark.parametrize("name", HOSTILE_MEMBERS)
def test_a_hostile_file_is_rejected_and_nothing_is_stored(name, check_rejected):
    change, why = HOSTILE_MEMBERS[name]
    check_rejected(lambda data: rebuilt(data, change), why)


@pytest.fixture
def check_rejected(exported, sessions, sign_in, bring):
    """``check_rejected(change, why)``: check that the changed file is rejected and nothing is stored."""
    carol = sign_in("carol@example.com")
    before = everything(sessions)

    def check(change, why):
        with pytest.raises(InvalidArchive) as caught:
            bring(change(exported), carol.user_id)
        assert why in str(caught.value)
        assert everything(sessions) == before

    return check


def test_a_file_that_is_not_a_zip_or_was_changed_is_rejected(check_rejected, exported):
    check_rejected(lambda _data: b"no zip", "not a ZIP file")
    check_rejected(lambda data: data[: len(data) // 2], "not a ZIP file")
    check_rejected(
        lambda data: rebuilt(data, put("rows/people.jsonl", b""), hashes=False),
        "its SHA-256 differs",
    )
    check_rejected(
        lambda data: rebuilt(data, put("documents/0009-more.md", b"x"), hashes=False),
        "does not list documents/0009-more.md",
    )


def test_entries_that_are_not_plain_files_are_rejected(check_rejected):
    def added(name, *, mode=0o100600, compress=zipfile.ZIP_STORED, content=b"x"):
        def change(data):
            file = io.BytesIO(data)
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = compress
            with zipfile.ZipFile(file, "a") as archive:
                archive.writestr(info, content)
            return file.getvalue()

        return change

    check_rejected(added("documents/0002-link.md", mode=0o120777), "is not a regular file")
    check_rejected(added("documents/0002-b.md", compress=zipfile.ZIP_LZMA), "compressed in a way")
    with pytest.warns(UserWarning, match="Duplicate name"):
        check_rejected(added("README.md"), "two members of the same name")
    bomb = b"0" * (80 * 2**20)
    check_rejected(
        added("documents/0002-bomb.md", compress=zipfile.ZIP_DEFLATED, content=bomb),
        "It would unpack",
    )

    def understated(data):
        """Return a file with a member that claims to be smaller than it is."""
        data = added("documents/0002-bomb.md", compress=zipfile.ZIP_DEFLATED, content=b"0" * 10**6)(
            data
        )
        data = rebuilt(data, lambda _found: None)
        size = struct.pack("<I", 10**6)
        assert size in data
        return data.replace(size, struct.pack("<I", 10))

    check_rejected(understated, "is damaged")


def without_verdict(row):
    del row["content"]["decisions"][0]["verdict"]
    row["sha256"] = hash_of(row["content"])


HOSTILE_ROWS = {
    "no id": ("runs", lambda row: row.pop("id"), "no usable id"),
    "no verdict": ("document_versions", without_verdict, "other verdicts"),
    "a source of another project": ("source_revisions", set_(source_id=OTHER), "not in the file"),
    "another project's document": ("document_versions", set_(document_id=OTHER), "not in the file"),
    "another project's run": ("calls", set_(run_id=OTHER), "not in the file"),
    "a run at work": ("runs", set_(state="running", ended_at=None), "has not ended"),
    "a step at work": ("steps", set_(state="ready"), "has not ended"),
    "a source at work": ("sources", set_(state="reading"), "is not read yet"),
    "another text": ("sources", set_(text="The harbour is closed."), "text with another hash"),
    "another content": ("document_versions", set_(content={}), "content with another hash"),
    "other counts": ("document_versions", set_(support={"supported": 9}), "other verdicts"),
    "another head": ("documents", set_(head=7), "do not match its row"),
    "an unknown column": ("runs", set_(is_admin=True), "which this release does not know"),
    "no UUID": ("runs", set_(id="1"), "no usable id"),
    "a number as a text": ("runs", set_(model=1), "no usable model"),
    "a negative cost": ("runs", set_(cost="-1"), "no usable cost"),
    "NaN": ("runs", set_(cost="NaN"), "no usable cost"),
    "no time": ("runs", set_(created_at="yesterday"), "no usable created_at"),
    "a large number": ("runs", set_(unpriced_calls=2**40), "no usable unpriced_calls"),
    "no known line": ("runs", set_(line_version_id={"name": "x"}), "names a line"),
    "the id of a line": ("runs", set_(line_version_id=OTHER), "names no line"),
    "another line": ("lines", lambda row: row["definition"].update(title="X"), "another hash"),
    "no line": ("lines", set_(definition={}), "cannot read"),
    "no blocks": ("sources", set_(blocks='{"a": 1}'), "no usable blocks"),
    "no request": ("calls", set_(request={"system": 1}), "no usable request"),
    "no inputs": ("document_versions", set_(version_inputs=None), "is not complete"),
    "no line as input": ("document_versions", set_(version_inputs=[]), "made by no line"),
    "a state of no review": ("reviews", set_(state="golden"), "not a usable review"),
    "a review of nothing": ("reviews", set_(version_id=OTHER), "not in the file"),
    "a decision that is none": ("reviews", lambda row: row["decisions"].append({}), "decision"),
    "a long name": ("people", set_(name="x" * 2000), "too long"),
    "a state of no call": ("calls", set_(state="paid"), "ck_calls_state"),
}


@pytest.mark.parametrize("name", HOSTILE_ROWS)
def test_an_invalid_row_is_rejected_and_nothing_is_stored(name, check_rejected):
    table, change, why = HOSTILE_ROWS[name]
    check_rejected(lambda data: with_row(data, table, change), why)


def test_a_duplicate_row_is_rejected(check_rejected):
    def twice(found):
        found["rows/runs.jsonl"] *= 2

    check_rejected(lambda data: rebuilt(data, twice), "pk_")


def test_an_import_cannot_reach_another_project(
    furnished, export, bring, sign_in, make_room, sessions
):
    """A used id, the id of a deleted source, or the id of a user is replaced by a new one."""
    carol = sign_in("carol@example.com")
    data = export(furnished.id)
    forget_everything(sessions)
    carol = sign_in("carol@example.com")
    secret = make_room(carol.client, "Secret").add(text="Nobody knows.")
    mallory = sign_in("mallory@example.com")

    def names_it(row):
        row["version_inputs"].append(
            {
                "position": 9,
                "kind": "source",
                "ref_id": secret["id"],
                "name": "x",
                "sha256": "0" * 64,
                "revision": 1,
                "deleted": False,
            }
        )

    with pytest.raises(InvalidArchive):
        bring(with_row(data, "document_versions", names_it), mallory.user_id)

    def names_it_well(row):
        names_it(row)
        del row["version_inputs"][-1]["deleted"]

    imported = bring(with_row(data, "document_versions", names_it_well, -1), mallory.user_id)
    assert not imported.same_ids
    [listed] = mallory.client.get(f"{API}/projects/{imported.project.slug}/documents").json["items"]
    shown = mallory.client.get(f"{API}/documents/{listed['id']}").json
    other = next(one for one in shown["inputs"] if one["name"] == "x")
    assert other["deleted"]
    assert other["id"] != secret["id"]

    # Statements that the file attributes to a local account belong to another user.
    def as_carol(found):
        found["rows/people.jsonl"] = (
            json.dumps({"id": str(carol.user_id), "name": "Carol", "email": "carol@example.com"})
            + "\n"
        ).encode()

    again = bring(rebuilt(data, as_carol), mallory.user_id)
    with sessions() as session:
        ids = session.scalars(
            select(ImportedPerson.id).where(ImportedPerson.project_id == again.project.id)
        ).all()
    assert ids != [carol.user_id]


def test_the_api_explains_the_rejection_of_a_file(signed_in, make_app, sign_in, furnished, export):
    answer = signed_in.post(
        f"{API}/imports", upload_files=[("file", "x.zip", b"no zip")], status=422
    )
    [error] = answer.json["errors"]
    assert error["field"] == "file"
    assert "It is not a ZIP file" in error["message"]
    signed_in.post(
        f"{API}/imports", upload_files=[("file", "a", b"x"), ("file", "b", b"x")], status=422
    )


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_changed_value_is_imported_or_rejected(data, exported, sessions, bring, sign_in):
    """A changed value is either rejected or imported. An imported project can be exported and shown."""
    carol = sign_in("carol@example.com")
    table = data.draw(
        st.sampled_from(["sources", "runs", "steps", "calls", "documents", "reviews"])
    )
    [*found] = rows(exported, table)
    number = data.draw(st.integers(0, len(found) - 1))
    column = data.draw(st.sampled_from(sorted(found[number])))
    value = data.draw(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text()
            | st.uuids().map(str),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        )
    )
    changed = with_row(exported, table, set_(**{column: value}), number)
    try:
        imported = bring(changed, carol.user_id)
    except InvalidArchive:
        return
    export_project(sessions, imported.project.id, io.BytesIO())
    slug = imported.project.slug
    for path in ("sources", "runs", "documents"):
        for item in carol.client.get(f"{API}/projects/{slug}/{path}").json["items"]:
            where = f"projects/{slug}/sources" if path == "sources" else path
            carol.client.get(f"{API}/{where}/{item['id']}")
            if path == "runs":
                for call in carol.client.get(f"{API}/runs/{item['id']}/calls").json["items"]:
                    carol.client.get(f"{API}/runs/{item['id']}/calls/{call['id']}")
