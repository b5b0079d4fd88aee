"""Tests review requests, decisions on versions, and the effect of a newer version."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update

from combine_auth.audit import AuditEvent
from combine_auth.tokens.service import create_token
from combine_core.deletion.erasure import erase_source, erase_user
from combine_core.documents import NotNewest, edit_document
from combine_core.reviews import (
    Decision,
    Review,
    ReviewConflict,
    ReviewDecision,
    decide,
    read_review,
)
from combine_core.reviews import edit_and_approve as service_edit_and_approve
from combine_core.users import Membership, Role
from combine_core.users.deletion import delete_user
from tests.functional.conftest import make_client

API = "/api/v1"


@pytest.fixture
def bob(join):
    return join("bob", Role.REVIEWER)


@pytest.fixture
def rewrite(room, document, run_jobs):
    """Run the line again on the same source, which adds a version."""

    def rewrite():
        [source] = [entry for entry in document["inputs"] if entry["kind"] == "source"]
        room.run(source)
        run_jobs()

    return rewrite


@pytest.fixture
def ask(document):
    def ask(person, status=201, **body):
        path = f"{API}/documents/{document['id']}/reviews"
        return person.client.post_json(path, {"version": 1, **body}, status=status)

    return ask


@pytest.fixture
def review(ask, ada, bob):
    return ask(ada).json


def path_of(review):
    return f"{API}/reviews/{review['id']}"


def answer(person, review, decision="approve", status=200, **body):
    body = {"decision": decision, "sha256": review["sha256"], **body}
    return person.client.post_json(f"{path_of(review)}/decisions", body, status=status)


def state(person, review):
    return person.client.get(path_of(review)).json["state"]


def test_a_user_approves_an_exact_version(ada, bob, document, review, room):
    assert (review["state"], review["version"], review["sha256"]) == ("open", 1, document["sha256"])
    assert review["asked_by"]["email"] == ada.email
    approved = answer(bob, review, comment="Read it twice.\n").json
    assert (approved["state"], approved["approvals"]) == ("approved", 1)
    [decision] = approved["decisions"]
    assert decision["decided_by"]["email"] == bob.email
    assert decision["comment"] == "Read it twice."
    assert bob.client.get(path_of(review)).json == approved
    # The document and the lists show the review.
    path = f"{API}/documents/{document['id']}"
    summary = {
        key: approved[key]
        for key in ("id", "state", "version", "sha256", "approvals", "needed", "due_at")
    }
    assert bob.client.get(path).json["review"] == summary
    assert bob.client.get(f"{path}/versions/1").json["review"] == summary
    [listed] = bob.client.get(f"{room.path}/documents").json["items"]
    assert listed["review"] == summary
    assert bob.client.get(f"{path}/reviews").json["items"] == [approved]


def test_a_document_without_a_review(document, ada, room):
    assert document["review"] is None
    assert ada.client.get(f"{room.path}/documents").json["items"][0]["review"] is None
    assert ada.client.get(f"{API}/documents/{document['id']}/reviews").json["items"] == []


@pytest.mark.parametrize(
    ("decision", "ends_as"), [("reject", "rejected"), ("request_changes", "changes_requested")]
)
def test_a_rejection_needs_a_comment(ask, ada, bob, review, decision, ends_as, problem):
    for comment in ({}, {"comment": ""}, {"comment": " \n"}):
        refused = problem(answer(bob, review, decision, status="*", **comment), 422)
        assert refused["errors"][0]["field"] == "comment"
    ended = answer(bob, review, decision, comment="The second date is wrong.").json
    assert ended["state"] == ends_as
    told = problem(answer(ada, review, status="*"), 403)
    assert "somebody else must decide" in told["detail"]
    # Another review may be requested.
    assert ask(ada).json["state"] == "open"


def test_the_same_decision_again_changes_nothing(ada, bob, join, review):
    carol = join("carol", Role.OWNER)
    first = answer(bob, review, comment="Good").json
    assert answer(bob, review, comment="Good").json == first
    told = answer(bob, review, "reject", comment="No", status=409).json["detail"]
    assert "was approved by" in told
    assert "was approved by" in answer(carol, review, status=409).json["detail"]
    assert bob.client.get(path_of(review)).json == first


def test_a_review_may_need_two_approvals(ask, ada, bob, join, problem):
    carol = join("carol", Role.REVIEWER)
    review = ask(ada, needed=2).json
    assert answer(bob, review).json["state"] == "open"
    assert "another comment" in answer(bob, review, comment="Yes", status=409).json["detail"]
    approved = answer(carol, review).json
    assert (approved["state"], approved["approvals"]) == ("approved", 2)


def test_an_approver_may_reject_while_the_review_is_open(ask, ada, bob, join):
    join("carol", Role.REVIEWER)
    review = ask(ada, needed=2).json
    answer(bob, review)
    ended = answer(bob, review, "reject", comment="I have read on.").json
    assert ended["state"] == "rejected"
    assert [each["decision"] for each in ended["decisions"]] == ["approve", "reject"]


def test_a_review_may_name_its_reviewers(ask, ada, bob, join, problem):
    carol = join("carol", Role.REVIEWER)
    writer = join("will", Role.WRITER)
    refused = problem(ask(ada, status="*", people=[str(writer.user_id)]), 422)
    assert refused["errors"][0]["field"] == "people"
    problem(ask(ada, status="*", people=[str(uuid.uuid4())]), 422)
    review = ask(ada, people=[str(carol.user_id)] * 2).json
    assert review["role"] is None
    assert [one["email"] for one in review["people"]] == ["carol@example.com"]
    assert "not one of them" in problem(answer(bob, review, status="*"), 403)["detail"]
    assert answer(carol, review).json["state"] == "approved"


def test_a_review_may_be_for_owners_only(ask, bob, join):
    carol = join("carol", Role.OWNER)
    review = ask(bob, role="owner").json
    dave = join("dave", Role.REVIEWER)
    assert "Only owners" in answer(dave, review, status=403).json["detail"]
    assert answer(carol, review).json["state"] == "approved"


def test_authors_decide_only_if_the_review_allows_it(ask, ada, bob, document, problem):
    # Ada ran the line and Bob requests the review, so nobody may decide.
    refused = problem(ask(bob, status="*"), 422)
    assert refused["errors"][0]["field"] == "needed"
    assert "may decide: 0" in refused["errors"][0]["message"]
    review = ask(bob, author_may_decide=True).json
    assert answer(bob, review).json["state"] == "approved"


def test_one_review_at_a_time(ask, ada, bob, review):
    assert "already in review" in ask(ada, status=409).json["detail"]
    answer(bob, review)
    assert "already approved" in ask(ada, status=409).json["detail"]


def test_a_newer_version_dismisses_the_review(ask, ada, bob, review, rewrite, document, room):
    rewrite()
    assert state(ada, review) == "dismissed"
    told = answer(bob, review, status=409).json["detail"]
    assert "was replaced by version 2" in told
    assert "not the newest" in ask(ada, status=409).json["detail"]
    assert ada.client.get(f"{API}/documents/{document['id']}").json["review"] is None
    second = ask(ada, version=2).json
    answer(bob, second)
    rewrite()
    assert state(ada, second) == "dismissed"
    # The approved version still shows its approval.
    old = ada.client.get(f"{API}/documents/{document['id']}/versions/2").json
    assert (old["review"]["state"], old["review"]["approvals"]) == ("dismissed", 1)
    # A repeated decision gets the same response.
    assert answer(bob, second).json["state"] == "dismissed"


def test_an_edit_dismisses_the_review_and_its_author_cannot_decide(ask, ada, bob, join, document):
    carol = join("carol", Role.REVIEWER)
    approved = ask(ada).json
    answer(bob, approved)
    # An edit without a difference makes no version, and the approval stays.
    path = f"{API}/documents/{document['id']}/versions"
    for content, ends_as in ((document["content"], "approved"), ({}, "dismissed")):
        edited = {"version": 1, "content": {**document["content"], "decisions": []} | content}
        bob.client.post_json(path, edited)
        assert state(ada, approved) == ends_as
    review = ask(ada, version=2).json
    assert "somebody else must decide" in answer(bob, review, status=403).json["detail"]
    assert answer(carol, review).json["state"] == "approved"


def edit_and_approve(person, review, content, status=200, **body):
    body = {"sha256": review["sha256"], "content": content, **body}
    return person.client.post_json(f"{path_of(review)}/edit-and-approve", body, status=status)


def edited(document):
    return {**document["content"], "decisions": []}


def test_an_edit_and_its_approval_in_one_request(ask, ada, bob, join, document, dbsession):
    carol = join("carol", Role.REVIEWER)
    due = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    people = [str(bob.user_id), str(carol.user_id)]
    terms = {"people": people, "needed": 2, "author_may_decide": True, "due_at": due}
    first = ask(ada, **terms).json
    answer(carol, first)
    answered = edit_and_approve(bob, first, edited(document), note="Not decided.", comment="Mine.")
    second = answered.json
    # The approval of the earlier version no longer counts. The terms of the review stay.
    assert state(ada, first) == "dismissed"
    assert (second["state"], second["version"], second["approvals"]) == ("open", 2, 1)
    kept = ("asked_by", "people", "needed", "author_may_decide", "due_at", "on_expiry", "role")
    assert {name: second[name] for name in kept} == {name: first[name] for name in kept}
    [decision] = second["decisions"]
    assert (decision["decided_by"]["email"], decision["comment"]) == (bob.email, "Mine.")
    assert answered.headers["Content-Location"].endswith(path_of(second))
    version = ada.client.get(f"{API}/documents/{document['id']}").json
    assert (version["version"], version["sha256"]) == (2, second["sha256"])
    assert version["author"]["user_id"] == str(bob.user_id)
    assert version["note"] == "Not decided."
    [waiting] = carol.client.get(f"{API}/inbox").json["items"]
    assert waiting["id"] == second["id"]
    assert answer(carol, second).json["state"] == "approved"
    events = dbsession.scalars(
        select(AuditEvent).where(AuditEvent.target == f"review:{second['id']}").order_by("id")
    ).all()
    assert [event.action for event in events[:2]] == ["review-ask", "review-decide"]
    assert events[0].details["follows"] == first["id"]
    edits = select(AuditEvent.details).where(AuditEvent.action == "document-edit")
    assert dbsession.scalars(edits).all() == [{"version": 2}]


def test_an_edit_without_a_difference_approves_the_version_in_review(ask, ada, bob, document):
    review = ask(ada, author_may_decide=True).json
    approved = edit_and_approve(bob, review, document["content"]).json
    assert (approved["id"], approved["state"]) == (review["id"], "approved")
    assert ada.client.get(f"{API}/documents/{document['id']}").json["version"] == 1


def test_an_edit_without_a_valid_approval_is_not_stored(
    app, ask, ada, bob, join, document, review, problem, sessions
):
    # The authors may not decide on this review, and a writer may not decide on any review.
    refused = problem(edit_and_approve(bob, review, edited(document), status="*"), 403)
    assert "makes you an author" in refused["detail"]
    will = join("will", Role.WRITER)
    edit_and_approve(will, review, edited(document), status=403)
    ada.client.post(f"{path_of(review)}/withdraw")
    open_one = ask(ada, author_may_decide=True).json
    other = edit_and_approve(bob, open_one, edited(document), status="*", sha256="0" * 64)
    assert "another version" in problem(other, 409)["detail"]
    wrong = edit_and_approve(bob, open_one, {"decisions": "none"}, status="*")
    assert problem(wrong, 422)["errors"][0]["field"].startswith("content")
    bad = {"comment": "\0"}
    problem(edit_and_approve(bob, open_one, edited(document), status="*", **bad), 422)
    # This token may decide, but it may not write.
    with sessions.begin() as session:
        token, _ = create_token(session, bob.user_id, "decides", scopes=["documents:review"])
    body = {"sha256": open_one["sha256"], "content": edited(document)}
    path = f"{path_of(open_one)}/edit-and-approve"
    refused = make_client(app, token).post_json(path, body, status=403)
    assert "documents:write" in refused.headers["WWW-Authenticate"]
    assert ada.client.get(f"{API}/documents/{document['id']}").json["version"] == 1
    assert state(bob, open_one) == "open"


@pytest.mark.parametrize("needed", [1, 2])
@pytest.mark.parametrize("difference", [True, False])
def test_a_repeated_edit_and_approval_gets_the_same_response(
    ask, ada, bob, join, document, needed, difference
):
    join("carol", Role.REVIEWER)
    review = ask(ada, author_may_decide=True, needed=needed).json
    content = edited(document)
    content["summary"] = [{"text": "It is mine.", "evidence": []}]
    content = content if difference else document["content"]
    first = edit_and_approve(bob, review, content, comment="Good.", note="Shorter.").json
    assert edit_and_approve(bob, review, content, comment="Good.", note="Shorter.").json == first
    version = ada.client.get(f"{API}/documents/{document['id']}").json["version"]
    assert version == (2 if difference else 1)
    # A different request does not get the stored response.
    if difference:
        edit_and_approve(bob, review, document["content"], comment="Good.", status=409)
        edit_and_approve(bob, review, content, comment="Better.", status=409)
        edit_and_approve(ada, review, content, comment="Good.", status=409)
    assert ada.client.get(f"{API}/documents/{document['id']}").json["version"] == version


def test_an_edit_and_approval_of_an_old_version_is_rejected(ask, ada, bob, join, document, problem):
    carol = join("carol", Role.REVIEWER)
    review = ask(ada, author_may_decide=True).json
    edit_and_approve(bob, review, edited(document))
    told = problem(edit_and_approve(carol, review, document["content"], status="*"), 409)
    assert "was replaced by version 2" in told["detail"]
    assert ada.client.get(f"{API}/documents/{document['id']}").json["review"]["state"] == "approved"


def test_one_of_parallel_edits_and_approvals_succeeds(ask, ada, bob, join, document, sessions):
    """One request wins. The others are told that there is a newer version."""
    people = [bob, *(join(f"p{number}", Role.REVIEWER) for number in range(5))]
    review = ask(ada, author_may_decide=True, needed=3).json
    together = threading.Barrier(len(people))
    content = edited(document)

    def one(number):
        together.wait()
        try:
            with sessions.begin() as session:
                if number % 2:
                    edit_document(
                        session,
                        uuid.UUID(document["id"]),
                        {**content, "open_questions": []},
                        base=1,
                        author_id=people[number].user_id,
                    )
                    return "edited"
                approved = service_edit_and_approve(
                    session,
                    uuid.UUID(review["id"]),
                    people[number].user_id,
                    Role.REVIEWER,
                    content,
                    sha256=review["sha256"],
                    notify=lambda _action: None,
                )
                return approved.state
        except (NotNewest, ReviewConflict) as error:
            return str(error)

    with ThreadPoolExecutor(len(people)) as pool:
        said = list(pool.map(one, range(len(people))))
    assert len([each for each in said if each in ("edited", "open")]) == 1
    assert len([each for each in said if "version 2" in each]) == len(people) - 1
    newest = ada.client.get(f"{API}/documents/{document['id']}").json
    assert newest["version"] == 2
    assert (newest["review"] is not None) == ("open" in said)
    assert state(ada, review) == "dismissed"


def test_a_decision_on_other_content_is_rejected(bob, review):
    told = answer(bob, review, sha256="0" * 64, status=409).json["detail"]
    assert "another version" in told
    assert state(bob, review) == "open"


def test_a_review_expires_at_its_time_limit(ask, ada, bob, sessions, problem):
    over = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    assert problem(ask(ada, status="*", due_at=over), 422)["errors"][0]["field"] == "due_at"
    problem(ask(ada, status="*", on_expiry="reject"), 422)
    due = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    review = ask(ada, due_at=due, on_expiry="reject").json
    assert review["state"] == "open"
    _pass_time(sessions)
    assert state(ada, review) == "expired"
    assert "review has expired" in answer(bob, review, status=409).json["detail"]
    # Without an action for its expiry, the review stays open.
    review = ask(ada, due_at=due).json
    _pass_time(sessions)
    assert answer(bob, review).json["state"] == "approved"


def _pass_time(sessions):
    with sessions.begin() as session:
        session.execute(update(Review).values(due_at=func.now()))


def test_a_review_is_withdrawn(ask, ada, bob, join, review):
    carol = join("carol", Role.WRITER)
    path = f"{path_of(review)}/withdraw"
    assert (
        "owners of the project can withdraw" in carol.client.post(path, status=403).json["detail"]
    )
    etag = ada.client.get(path_of(review)).headers["ETag"]
    ada.client.post(path, headers={"If-Match": '"old"'}, status=412)
    ended = ada.client.post(path, headers={"If-Match": etag}, status=200).json
    assert ended["state"] == "withdrawn"
    assert ada.client.post(path, status=200).json == ended
    assert "was withdrawn" in answer(bob, review, status=409).json["detail"]
    # An owner withdraws a review that another user requested.
    other = ask(carol, needed=1).json
    ada.client.post(f"{path_of(other)}/withdraw", status=200)


def test_the_inbox_lists_open_reviews(
    app, ask, ada, bob, join, make_room, review, sessions, rewrite
):
    carol = join("carol", Role.REVIEWER)
    writer = join("will", Role.WRITER)

    def inbox(person):
        return [one["id"] for one in person.client.get(f"{API}/inbox").json["items"]]

    assert inbox(bob) == inbox(carol) == [review["id"]]
    # It is not in the inbox of the authors or of members who may not decide.
    assert inbox(ada) == inbox(writer) == []
    answer(bob, review, "request_changes", comment="More")
    assert inbox(carol) == []
    named = ask(ada, people=[str(carol.user_id)]).json
    assert (inbox(bob), inbox(carol)) == ([], [named["id"]])
    with sessions.begin() as session:
        left = Membership.user_id == carol.user_id
        session.execute(update(Membership).where(left).values(role=Role.VIEWER))
    assert inbox(carol) == []
    ada.client.post(f"{path_of(named)}/withdraw")
    two = ask(ada, role="reviewer", needed=1).json
    assert inbox(bob) == [two["id"]]
    rewrite()
    assert inbox(bob) == []
    with sessions.begin() as session:
        token, _ = create_token(session, bob.user_id, "runs", scopes=["runs:read"])
    make_client(app, token).get(f"{API}/inbox", status=403)


def test_an_approved_review_leaves_the_inbox_of_its_approver(ask, ada, bob, join):
    carol = join("carol", Role.REVIEWER)
    review = ask(ada, needed=2).json
    answer(bob, review)
    assert bob.client.get(f"{API}/inbox").json["items"] == []
    assert len(carol.client.get(f"{API}/inbox").json["items"]) == 1


def test_archived_objects_are_not_in_the_inbox(ada, bob, review, document):
    ada.client.patch_json(f"{API}/documents/{document['id']}", {"archived": True}, status=200)
    assert bob.client.get(f"{API}/inbox").json["items"] == []


def test_the_audit_contains_no_texts(ada, bob, review, dbsession):
    answer(bob, review, "reject", comment="A private thought")
    events = dbsession.scalars(
        select(AuditEvent).where(AuditEvent.target == f"review:{review['id']}").order_by("id")
    ).all()
    assert [event.action for event in events] == ["review-ask", "review-decide"]
    assert events[1].details["decision"] == "reject"
    assert "thought" not in str([event.details for event in events])


def test_a_token_without_the_scope_cannot_decide(app, bob, review, sessions):
    with sessions.begin() as session:
        token, _ = create_token(session, bob.user_id, "writes", scopes=["documents:write"])
    body = {"decision": "approve", "sha256": review["sha256"]}
    refused = make_client(app, token).post_json(f"{path_of(review)}/decisions", body, status=403)
    assert "documents:review" in refused.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 0},
        {"version": "1"},
        {"version": 1, "needed": 0},
        {"version": 1, "needed": 21},
        {"version": 1, "role": "writer"},
        {"version": 1, "people": ["x"]},
        {"version": 1, "due_at": "tomorrow"},
        {"version": 1, "on_expiry": "approve"},
        {"version": 1, "else": 1},
    ],
)
def test_invalid_review_requests_are_rejected(ada, document, body, problem):
    problem(
        ada.client.post_json(f"{API}/documents/{document['id']}/reviews", body, status="*"), 422
    )


def test_invalid_decisions_are_rejected(bob, review, problem):
    for body in (
        {"decision": "maybe"},
        {"sha256": "x"},
        {"comment": "\0"},
        {"decision": "reject", "comment": "x" * 10_001},
        {"decision": "reject", "comment": "é" * 10_000},
    ):
        sent = {"decision": "approve", "sha256": review["sha256"], **body}
        refused = bob.client.post_json(f"{path_of(review)}/decisions", sent, status="*")
        assert refused.status_int in (413, 422)
    assert state(bob, review) == "open"


def test_one_of_twenty_parallel_decisions_succeeds(review, room, sessions, sign_in, add_member):
    """One decision wins, and nineteen are rejected with a reason."""
    people = [sign_in(f"p{number}@example.com") for number in range(20)]
    for person in people:
        add_member(room.id, person.user_id, Role.REVIEWER)
    together = threading.Barrier(20)

    def one(person):
        together.wait()
        try:
            with sessions.begin() as session:
                decided = decide(
                    session,
                    uuid.UUID(review["id"]),
                    person.user_id,
                    Role.REVIEWER,
                    Decision.APPROVE,
                    sha256=review["sha256"],
                    notify=lambda _action: None,
                )
                return decided.state
        except ReviewConflict as error:
            return str(error)

    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(one, people))
    assert said.count("approved") == 1
    assert len([each for each in said if "was approved by" in each]) == 19
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(ReviewDecision)) == 1


def test_a_new_version_during_a_decision(review, bob, sessions, document, wait_for_lock):
    """Check that a decision waits for the writer's lock on the document and is then rejected as too late."""
    found = threading.Event()

    def decides():
        with sessions.begin() as session:
            return decide(
                session,
                uuid.UUID(review["id"]),
                bob.user_id,
                Role.REVIEWER,
                Decision.APPROVE,
                sha256=review["sha256"],
                notify=lambda _action: found.set(),
            )

    with ThreadPoolExecutor(1) as pool, sessions.begin() as writer:
        writer.execute(text("UPDATE documents SET head = 2 WHERE id = :id"), {"id": document["id"]})
        decision = pool.submit(decides)
        wait_for_lock()
        assert not decision.done()
        writer.commit()
        with pytest.raises(ReviewConflict, match="was replaced by"):
            decision.result()
    assert not found.is_set()


def test_reviews_lose_names_with_users_and_are_deleted_with_documents(
    ada, bob, review, document, dbsession, sessions
):
    answer(bob, review, comment="Fine")
    with sessions.begin() as session:
        delete_user(session, bob.user_id)
    [decision] = ada.client.get(path_of(review)).json["decisions"]
    assert (decision["decided_by"], decision["comment"]) == (None, "Fine")
    plan = ada.client.get(f"{API}/documents/{document['id']}/deletion").json
    assert plan["takes_along"] == {"versions": 1, "reviews": 1}
    ada.client.delete(f"{API}/documents/{document['id']}", status=204)
    ada.client.get(path_of(review), status=404)
    for table in ("reviews", "review_people", "review_decisions"):
        assert dbsession.scalar(text(f"SELECT count(*) FROM {table}")) == 0


def test_erasing_a_source_erases_its_reviews(ask, ada, bob, join, document, sessions):
    carol = join("carol", Role.REVIEWER)
    review = ask(ada, people=[str(bob.user_id), str(carol.user_id)], needed=2).json
    answer(bob, review)
    with sessions.begin() as session:
        erase_user(session, bob.user_id)
        [left] = read_review(session, uuid.UUID(review["id"])).people
        assert left.id == carol.user_id
    [source] = [entry for entry in document["inputs"] if entry["kind"] == "source"]
    with sessions.begin() as session:
        plan = erase_source(session, uuid.UUID(source["id"]))
    assert plan.takes["reviews"] == 1
    ada.client.get(path_of(review), status=404)
