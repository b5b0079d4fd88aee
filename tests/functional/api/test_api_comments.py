"""Tests comments on statements: permissions, mentions and deletion."""

import uuid

import pytest
from sqlalchemy import select, text

from combine_auth.audit import AuditEvent
from combine_core.comments import CommentMention, list_comments, place_comments
from combine_core.users import Role
from combine_core.users.deletion import delete_user

API = "/api/v1"


@pytest.fixture
def path(document):
    return f"{API}/documents/{document['id']}/comments"


@pytest.fixture
def say(path):
    """``say(ada, "Is it so?")``: the response to a comment on the first decision."""

    def say(person, words="Is it so?", status=201, **body):
        body = {"version": 1, "pointer": "/decisions/0", "text": words, **body}
        return person.client.post_json(path, body, status=status)

    return say


def test_a_comment_is_written_resolved_and_deleted(ada, document, join, path, say):
    bob = join("bob", Role.WRITER)
    answered = say(bob, "Is it so?\r\nI doubt it.\n")
    comment = answered.json
    assert (comment["version"], comment["pointer"]) == (1, "/decisions/0")
    assert comment["statement"] == document["content"]["decisions"][0]["text"]
    assert comment["text"] == "Is it so?\nI doubt it."
    assert comment["author"]["email"] == bob.email
    assert (comment["resolved_at"], comment["resolved_by"], comment["mentions"]) == (None, None, [])
    own = f"{API}/comments/{comment['id']}"
    assert answered.location.endswith(own)
    etag = ada.client.get(own).headers["ETag"]
    assert ada.client.get(path).json["items"] == [comment]
    resolved = ada.client.patch_json(own, {"resolved": True}, headers={"If-Match": etag}).json
    assert resolved["resolved_by"]["email"] == ada.email
    assert bob.client.patch_json(own, {"resolved": True}).json == resolved
    assert bob.client.patch_json(own, {"resolved": False}).json == comment
    assert "its author" in ada.client.delete(own, status=403).json["detail"]
    bob.client.delete(own, status=204)
    bob.client.get(own, status=404)
    assert bob.client.get(path).json["items"] == []


def test_the_audit_records_deleted_comments_without_their_text(ada, document, say, dbsession):
    comment = say(ada, "A private thought").json
    ada.client.delete(f"{API}/comments/{comment['id']}", status=204)
    deleted = dbsession.scalars(
        select(AuditEvent).where(AuditEvent.action == "comment-delete")
    ).one()
    assert deleted.target == f"comment:{comment['id']}"
    assert deleted.details == {"document": document["id"], "version": 1}


def test_viewers_read_comments_and_strangers_do_not(join, path, say, sign_in, ada):
    comment = say(ada).json
    own = f"{API}/comments/{comment['id']}"
    viewer, stranger = join("vera", Role.VIEWER), sign_in("eve@example.com")
    assert viewer.client.get(path).json["items"] == [comment]
    assert viewer.client.get(own).json == comment
    say(viewer, status=403)
    viewer.client.patch_json(own, {"resolved": True}, status=403)
    viewer.client.delete(own, status=403)
    stranger.client.get(path, status=404)
    stranger.client.get(own, status=404)
    say(stranger, status=404)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"version": 9}, "version"),
        ({"pointer": "/decisions/99"}, "pointer"),
        ({"text": " \n"}, "text"),
        ({"text": "a\0"}, "text"),
    ],
)
def test_invalid_comments_are_rejected(ada, path, say, problem, wrong, field):
    refused = problem(say(ada, status="*", **wrong), 422)
    assert refused["errors"][0]["field"] == field
    assert ada.client.get(path).json["items"] == []


def test_only_members_are_mentioned(ada, join, say, sign_in):
    bob, _ = join("bob", Role.VIEWER), sign_in("eve@example.com")
    words = "@BOB@example.com, look. And @bob@example.com! @eve@example.com @ada@example.com x@y.z"
    assert [one["email"] for one in say(ada, words).json["mentions"]] == [bob.email]


def test_mentions_appear_in_the_inbox(ada, join, say):
    bob, carol = join("bob", Role.VIEWER), join("carol", Role.VIEWER)
    both = "@bob@example.com and @carol@example.com, look."
    first, second = say(ada, both).json, say(ada, "@bob@example.com, look again.").json
    assert bob.client.get(f"{API}/inbox/mentions").json["items"] == [second, first]
    assert ada.client.get(f"{API}/inbox/mentions").json == {"items": [], "next": None}
    for _ in range(2):
        bob.client.post(f"{API}/comments/{first['id']}/read", status=204)
    page = bob.client.get(f"{API}/inbox/mentions?limit=1").json
    assert page == {"items": [second], "next": None}
    assert carol.client.get(f"{API}/inbox/mentions").json["items"] == [first]


def test_comments_follow_their_statement(ada, document, say, sessions):
    say(ada)
    content = document["content"]
    first = content["decisions"][0]
    document_id = uuid.UUID(document["id"])

    def place(content):
        with sessions() as session:
            placed = place_comments(content, list_comments(session, document_id).items)
            return list(placed.at), len(placed.on_earlier)

    assert place(content) == (["/decisions/0"], 0)
    other = {"text": "Another.", "evidence": []}
    assert place({**content, "decisions": [other, first]}) == (["/decisions/1"], 0)
    assert place({**content, "decisions": [first, first]}) == (["/decisions/0"], 0)
    assert place({**content, "decisions": [other]}) == ([], 1)


def test_comments_stay_without_a_name_after_their_author_is_deleted(
    ada, document, join, path, say, sessions, dbsession
):
    bob = join("bob", Role.WRITER)
    say(bob, "@ada@example.com, is it so?")
    say(ada, "@bob@example.com, it is.")
    with sessions.begin() as session:
        delete_user(session, bob.user_id)
    mine, his = ada.client.get(path).json["items"]
    assert (mine["mentions"], his["author"]) == ([], None)
    assert dbsession.scalars(select(CommentMention.user_id)).all() == [ada.user_id]
    plan = ada.client.get(f"{API}/documents/{document['id']}/deletion").json
    assert plan["takes_along"] == {"versions": 1, "comments": 2}
    ada.client.delete(f"{API}/documents/{document['id']}", status=204)
    for table in ("comments", "comment_mentions"):
        assert dbsession.scalar(text(f"SELECT count(*) FROM {table}")) == 0
