"""Tests ``combine rename``, ``archive``, ``delete`` and ``erase`` on data created over the API."""

from __future__ import annotations

import uuid

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text, update

from combine_core.cli import main
from combine_core.database import session_factory
from combine_core.documents import DocumentVersion
from combine_core.runs import Call
from combine_core.users import Membership, Role
from tests.functional.api.conftest import NOTES
from tests.functional.api.test_api_deleting import SECRET, everything_stored
from tests.functional.cli.conftest import INI

OTHER = "# Tugs\n\nWe decided to buy a tug.\n"


@pytest.fixture
def combine(database_url, monkeypatch):
    """``combine("erase", "source", ID)``: run a command. Return its exit status and its output."""
    for name in ("ENVIRONMENT", "COMBINE_INI"):
        monkeypatch.delenv(name, raising=False)

    def run(*words, answer=""):
        runner = CliRunner(env={"DATABASE_URL": database_url})
        done = runner.invoke(main, [*words, "-c", INI], answer)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        assert done.stdout == ""
        return done.exit_code, done.stderr

    return run


@pytest.fixture
def run_of(app, room, run_jobs):
    """``run_of(source)``: a successful run, with texts like those of model calls."""

    def run(*sources):
        started = room.run(*sources)
        run_jobs()
        said = OTHER if sources[0]["name"] == "tugs.md" else NOTES
        with session_factory(app.registry).begin() as session:
            session.execute(
                update(Call)
                .where(Call.run_id == uuid.UUID(started["id"]))
                .values(request={"prompt": said}, response=said, used_llm=True)
            )
        return room.client.get(f"/api/v1/runs/{started['id']}").json

    return run


@pytest.fixture
def events(app):
    """Return a function that reads the audit events of the given actions."""

    def read(*actions):
        with session_factory(app.registry)() as session:
            rows = session.execute(
                text(
                    "SELECT action, actor, target, details FROM audit_events"
                    " WHERE action = ANY (:actions) ORDER BY id"
                ),
                {"actions": list(actions)},
            )
            return [tuple(row) for row in rows]

    return read


def test_renaming_and_archiving(room, run_of, combine, events):
    source = room.add()
    document = run_of(source)["documents"][0]["id"]
    things = [("project", room.slug), ("source", source["id"]), ("document", document)]
    for kind, thing_id in things:
        assert combine("rename", kind, thing_id, " Port ") == (0, f"Renamed the {kind}.\n")
    assert room.client.get(room.path).json["name"] == "Port"
    assert room.client.get(f"{room.path}/sources/{source['id']}").json["name"] == "Port"
    for kind, thing_id, path in (
        ("project", room.id, room.path),
        ("document", document, f"/api/v1/documents/{document}"),
    ):
        assert combine("archive", kind, thing_id) == (0, f"Archived the {kind}.\n")
        assert room.client.get(path).json["archived_at"] is not None
        assert combine("archive", kind, thing_id, "--undo") == (0, f"Restored the {kind}.\n")
        assert room.client.get(path).json["archived_at"] is None
    told = events("project-change")
    assert [actor for _, actor, _, _ in told] == ["operator"] * 3
    assert [details["changed"] for *_, details in told] == [["name"], ["archived"], ["archived"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rename", "project", "nowhere", "x"), "Nothing with this id or name was found"),
        (("archive", "document", "nowhere"), "Nothing with this id or name was found"),
        (("delete", "run", str(uuid.uuid4()), "--yes"), "Nothing with this id or name was found"),
        (
            ("erase", "user", "nobody@example.com", "--yes"),
            "Nothing with this id or name was found",
        ),
        (("erase", "source", str(uuid.uuid4()), "--yes"), "Nothing with this id or name was found"),
        (
            ("erase", "project", str(uuid.uuid4()), "--yes"),
            "Nothing with this id or name was found",
        ),
    ],
)
def test_an_unknown_object_is_reported(combine, events, words, said):
    status, error = combine(*words)
    assert status == 1
    assert error.startswith(f"Error: {said}")
    assert events("erase", "audit-blank") == []


def test_an_unknown_user_is_reported(combine, events):
    status, said = combine("erase", "user", str(uuid.uuid4()), "--yes")
    assert (status, "Error: Nothing with this id or name was found" in said) == (1, True)
    assert events("erase", "audit-blank") == []


def test_an_empty_name_is_rejected(room, combine):
    assert combine("rename", "project", room.slug, " ")[1].startswith("Error: name: is empty")


def test_deleting_asks_and_lists_the_affected_data(room, run_of, combine, events):
    source = room.add()
    run = run_of(source)
    question = "Delete the run with 2 calls, 1 document version and 1 document? [y/N]: "
    status, said = combine("delete", "run", run["id"], answer="n\n")
    assert (status, said.splitlines()[0].startswith(question.strip())) == (1, True)
    room.client.get(f"/api/v1/runs/{run['id']}", status=200)
    status, said = combine("delete", "run", run["id"], answer="y\n")
    assert status == 0
    assert said.endswith("Deleted the run with 2 calls, 1 document version and 1 document.\n")
    room.client.get(f"/api/v1/runs/{run['id']}", status=404)

    run_of(source)
    status, said = combine("delete", "source", source["id"], "--yes")
    assert (status, said.splitlines()[-1]) == (
        1,
        "Error: Documents were made from the source. To delete it anyway, add --force",
    )
    assert "  1 of Brief: notes.md (" in said
    assert combine("delete", "source", source["id"], "--yes", "--force")[0] == 0
    assert combine("delete", "project", room.slug, "--yes")[0] == 0
    room.client.get(room.path, status=404)
    targets = [
        target for _, _, target, _ in events("run-delete", "source-delete", "project-delete")
    ]
    assert targets == [f"run:{run['id']}", f"source:{source['id']}", f"project:{room.id}"]


def test_nothing_is_deleted_during_a_run(room, combine):
    run = room.run(room.add())
    for words in (("delete", "run", run["id"]), ("erase", "project", room.slug)):
        status, said = combine(*words)
        assert (status, "Cancel it first" in said) == (1, True)


@pytest.mark.parametrize("deleted_before", [False, True])
def test_erasing_a_source_leaves_no_text(app, room, run_of, combine, events, deleted_before):
    key = {"Idempotency-Key": "one"}
    body = {"name": "notes.md", "text": NOTES}
    source = room.client.post_json(f"{room.path}/sources", body, headers=key, status=201).json
    other, copy = room.add("tugs.md", OTHER), room.add("copy.md", NOTES)
    run_of(source)
    run_of(source, other)
    left = run_of(other)["documents"][0]["id"]
    # The copy contains the text of an older revision.
    revised = {"text": NOTES.replace("1 May", "2 May")}
    room.client.post_json(f"{room.path}/sources/{source['id']}/revisions", revised, status=201)
    if deleted_before:
        room.client.delete(f"{room.path}/sources/{source['id']}?force=true", status=204)

    status, said = combine("erase", "source", source["id"], answer="y\n")
    assert status == 0
    assert "  1 of Brief: notes.md (" in said
    assert "  1 of Brief: notes.md and 1 more (" in said
    if not deleted_before:
        assert f"The source copy.md ({copy['id']}) has the same text and is kept." in said
        assert "with 1 further revision" in said.splitlines()[-1]
        assert "5 texts in the journal of calls" in said.splitlines()[-1]
    assert "2 document versions, 2 documents" in said.splitlines()[-1]

    room.client.delete(f"{room.path}/sources/{copy['id']}", status=204)
    stored = everything_stored(app)
    assert [word for word in (SECRET, "2 May", "notes.md") if word in stored] == []
    room.client.get(f"/api/v1/documents/{left}", status=200)
    # The request is not executed again.
    room.client.post_json(f"{room.path}/sources", body, headers=key, status=409)
    [(_, actor, target, details)] = events("erase")
    assert (actor, target) == ("operator", f"source:{source['id']}")
    assert (details["versions"], details["documents"]) == (2, 2)
    assert combine("erase", "source", source["id"], "--yes")[0] == 1


def test_erasing_a_project_leaves_no_text(app, room, run_of, combine, events):
    key = {"Idempotency-Key": "one"}
    path = room.client.post_json("/api/v1/projects", {"name": "Zanzibar"}, headers=key).json["slug"]
    run_of(room.add())
    status, said = combine("erase", "project", room.slug, "--yes")
    assert status == 0
    assert "1 source, 1 document, 1 document version, 1 run, 2 calls and 1 member." in said
    assert SECRET not in everything_stored(app)
    assert "Zanzibar" in everything_stored(app)
    assert combine("erase", "project", path, "--yes")[0] == 0
    # A slug from the name is in the path of the stored response, which no longer has a text.
    assert "Zanzibar" not in everything_stored(app)
    assert [details["members"] for *_, details in events("erase")] == [1, 1]


def test_erasing_a_user_removes_the_name_from_the_audit(
    app, room, sign_in, add_member, combine, events
):
    ada, eve = sign_in(), sign_in("ada.lovelace@example.com")
    add_member(uuid.UUID(room.id), eve.user_id, Role.OWNER)
    # One address contains the other, and both users are actors and targets of events.
    joada = sign_in("joada@example.com")
    with session_factory(app.registry).begin() as session:
        session.execute(
            text(
                "INSERT INTO audit_events (id, action, outcome, actor_id, actor, target, ip, details)"
                " VALUES (gen_random_uuid(), 'sign-in', 'ok', :ada, 'ada@example.com', :about, '192.0.2.1',"
                ' \'{"subject": "S-4711", "before": {"email": "old@example.com"}, "n": [1, "ok"]}\'),'
                " (gen_random_uuid(), 'user-disable', 'ok', :joada, 'joada@example.com', :about, '192.0.2.2',"
                ' \'{"email": "ada@example.com", "said": "to ada@example.com, joada@example.com"}\'),'
                " (gen_random_uuid(), 'user-change', 'ok', :ada, 'old@example.com', :joada_, NULL,"
                ' \'{"email": "joada@example.com"}\')'
            ),
            {
                "ada": ada.user_id,
                "joada": joada.user_id,
                "about": f"user:{ada.user_id}",
                "joada_": f"user:{joada.user_id}",
            },
        )
    room.client.patch_json(room.path, {"name": "Port"})

    status, said = combine("erase", "user", "ADA@example.com", answer="y\n")
    assert status == 0
    assert "Texts of other people, and log files, may still contain this person's name." in said
    assert "Erase the user with 1 membership? [y/N]" in said
    assert said.splitlines()[-1].startswith("Erased the user with 1 membership")

    stored = everything_stored(app)
    for trace in ("ada@example.com,", "(ada@example.com", "old@example.com", "S-4711", "192.0.2.1"):
        assert trace not in stored.replace("joada@example.com", "")
    assert sorted(events("sign-in", "user-disable", "user-change", "project-change")) == [
        ("project-change", "(erased)", f"project:{room.id}", {"changed": ["name"]}),
        (
            "sign-in",
            "(erased)",
            f"user:{ada.user_id}",
            {"n": [1, "ok"], "before": {"email": "(erased)"}, "subject": "(erased)"},
        ),
        ("user-change", "(erased)", f"user:{joada.user_id}", {"email": "joada@example.com"}),
        (
            "user-disable",
            "joada@example.com",
            f"user:{ada.user_id}",
            {"email": "(erased)", "said": "(erased)"},
        ),
    ]
    blanked, erased = events("audit-blank", "erase")
    assert blanked[1:] == ("operator", f"user:{ada.user_id}", {"events": 4})
    assert erased[1:3] == ("operator", f"user:{ada.user_id}")
    with session_factory(app.registry)() as session:
        assert ada.user_id not in session.scalars(select(Membership.user_id)).all()


def test_a_user_who_deleted_their_account_is_erased_by_id(app, room, combine, events):
    ada = room.client.get("/api/v1/me").json["id"]
    room.client.patch_json(room.path, {"name": "Port"})
    assert combine("user", "delete", "ada@example.com", "--yes")[0] == 0
    assert "ada@example.com" in everything_stored(app)
    assert combine("erase", "user", ada, "--yes")[0] == 0
    assert "ada@example.com" not in everything_stored(app)
    assert {actor for _, actor, *_ in events("project-change", "user-delete")} == {
        "(erased)",
        "operator",
    }


def test_the_last_owner_of_a_project_cannot_be_erased(app, room, sign_in, add_member, combine):
    add_member(uuid.UUID(room.id), sign_in("eve@example.com").user_id, Role.WRITER)
    status, said = combine("erase", "user", "ada@example.com", "--yes")
    assert status == 1
    assert "the only owner of a project with other members: Harbour." in said
    assert "ada@example.com" in everything_stored(app)


def test_blanked_audit_events_cannot_be_changed(app, room):
    room.client.patch_json(room.path, {"name": "Port"})
    for statement in (
        "UPDATE audit_events SET actor = '(erased)'",
        "SELECT set_config('combine.blanking', 'on', true);"
        " UPDATE audit_events SET action = 'sign-in'",
        "SELECT set_config('combine.blanking', 'on', true);"
        " UPDATE audit_events SET actor = 'eve@example.com'",
    ):
        with (
            session_factory(app.registry)() as session,
            pytest.raises(Exception, match="append-only"),
        ):
            session.execute(text(statement))


def test_versions_are_counted_once(app, room, run_of, combine):
    """A document with the source in only one of two versions cannot exist: a document keeps its sources."""
    source = room.add()
    run_of(source)
    run_of(source)
    assert (
        "with 4 texts in the journal of calls, 2 document versions and 1 document"
        in combine("erase", "source", source["id"], "--yes")[1]
    )
    with session_factory(app.registry)() as session:
        assert session.scalars(select(DocumentVersion)).all() == []
