"""Tests the register: items from approved documents, changes by users, and permissions."""

import csv
import datetime
import io
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import icalendar
import pytest
from sqlalchemy import func, select

from combine_core.deletion.erasure import erase_source
from combine_core.register import (
    Change,
    Item,
    NothingProposed,
    Saying,
    decide_sameness,
    enter_version,
    lock_item,
)
from combine_core.users import Role

API = "/api/v1"
FIRST = """# Harbour

We decided to open the harbour on 3 May 2027.
Next step: Ada sends the building plan to the council by 2027-02-01.
Who pays for the tugs?
"""
SECOND = """# Harbour, second meeting

We decided to open the harbour on 9 June 2027.
Next step: Ada sends the building plan to the council by 2027-03-15.
Next step: Tom paints the lighthouse by 2027-04-01.
"""


@pytest.fixture
def viewer(room, sign_in, add_member):
    person = sign_in("vera@example.com")
    add_member(room.id, person.user_id, Role.VIEWER)
    return person


@pytest.fixture
def approve(room):
    """Approve the newest version of a document."""

    def approve(document):
        path = f"{API}/documents/{document['id']}"
        newest = room.client.get(path).json
        body = {"version": newest["version"], "author_may_decide": True}
        review = room.client.post_json(f"{path}/reviews", body, status=201).json
        decision = {"decision": "approve", "sha256": review["sha256"]}
        room.client.post_json(f"{API}/reviews/{review['id']}/decisions", decision)
        return newest

    return approve


@pytest.fixture
def meet(room, run_jobs, approve):
    """``meet("a.md", TEXT)``: an approved brief of a source, and the source."""

    def meet(name, text):
        source = room.add(name, text)
        run = room.run(source)
        run_jobs()
        [written] = room.client.get(f"{API}/runs/{run['id']}").json["documents"]
        return approve(written), source

    return meet


@pytest.fixture
def register(room):
    """``register(kind="action")``: the register items by their text."""

    def register(**query):
        items = room.client.get(f"{room.path}/register", query).json["items"]
        return {one["text"]: one for one in items}

    return register


def find(items, words):
    [item] = [one for text, one in items.items() if words in text]
    return item


@pytest.fixture
def both(meet):
    return meet("first.md", FIRST), meet("second.md", SECOND)


def test_an_approved_brief_adds_its_items(room, run_jobs, approve, register):
    run = room.run(room.add("first.md", FIRST))
    run_jobs()
    [written] = room.client.get(f"{API}/runs/{run['id']}").json["documents"]
    assert register() == {}
    document = approve(written)
    items = register()
    assert {one["kind"] for one in items.values()} == {"decision", "action", "question"}
    action = find(items, "building plan")
    assert (action["state"], action["due_on"]) == ("open", "2027-02-01")
    said = action["first_said"]
    assert said == action["last_said"]
    assert (said["document"]["id"], said["version"]) == (document["id"], 1)
    assert said["pointer"].startswith("/next_steps/")
    whole = room.client.get(f"{room.path}/register/{action['id']}").json
    [entered] = whole["history"]
    assert (entered["event"], entered["user"]["email"]) == ("entered", "ada@example.com")


def test_the_next_brief_proposes_possible_duplicates(both, register):
    items = register()
    proposed = {one["same_as"]["text"] for one in items.values() if one["same_as"]}
    assert len(proposed) == 2
    assert all("9 June" not in text and "2027-03-15" not in text for text in proposed)
    opening = find(items, "9 June")
    assert opening["last_said"]["contradicts"] == ["text"]
    assert find(items, "2027-03-15")["contradictions"][0]["contradicts"] == ["text", "due"]
    assert find(items, "lighthouse")["same_as"] is None
    assert set(register(undecided="true")) == {one for one in items if items[one]["same_as"]}


def test_a_user_confirms_a_duplicate_and_accepts_its_change(room, both, register, problem):
    new = find(register(), "2027-03-15")
    same = f"{room.path}/register/{new['id']}/same"
    left = room.client.post_json(same, {"same": True}).json
    assert left["id"] == new["same_as"]["id"]
    assert left["due_on"] == "2027-02-01"
    assert left["first_said"]["document"] != left["last_said"]["document"]
    assert left["history"][-1]["event"] == "joined"
    room.client.get(f"{room.path}/register/{new['id']}", status=404)
    [other] = left["contradictions"]
    assert other["due_on"] == "2027-03-15"
    settle = f"{room.path}/register/{left['id']}/settle"
    accepted = room.client.post_json(settle, {"saying": other["id"], "accept": True}).json
    assert (accepted["due_on"], accepted["contradictions"]) == ("2027-03-15", [])
    assert "2027-03-15" in accepted["text"]
    assert accepted["history"][-1]["changes"]["due_on"] == ["2027-02-01", "2027-03-15"]
    again = {"saying": other["id"], "accept": True}
    problem(room.client.post_json(settle, again, status="*"), 409)


def test_a_user_rejects_a_duplicate_and_a_change(room, both, register, problem):
    items = register()
    new = find(items, "2027-03-15")
    same = f"{room.path}/register/{new['id']}/same"
    apart = room.client.post_json(same, {"same": False}).json
    assert (apart["id"], apart["same_as"], apart["contradictions"]) == (new["id"], None, [])
    problem(room.client.post_json(same, {"same": True}, status="*"), 409)
    opening = find(items, "9 June")
    same = f"{room.path}/register/{opening['id']}/same"
    left = room.client.post_json(same, {"same": True}).json
    [other] = left["contradictions"]
    settle = f"{room.path}/register/{left['id']}/settle"
    kept = room.client.post_json(settle, {"saying": other["id"], "accept": False}).json
    assert "3 May" in kept["text"]
    assert (kept["contradictions"], kept["history"][-1]["event"]) == ([], "declined")


def test_a_newer_version_keeps_items_with_the_same_words(room, run_jobs, meet, approve, register):
    document, source = meet("first.md", FIRST)
    before = register()
    path = f"{room.path}/sources/{source['id']}"
    for version in (2, 3):
        text = f"{FIRST}\nNext step: Tom buys {version} boats by 2027-05-01.\n"
        room.client.post_json(f"{path}/revisions", {"text": text}, status=201)
        room.run(source)
        run_jobs()
        assert approve(document)["version"] == version
    after = register()
    assert {after[text]["id"] for text in before} == {one["id"] for one in before.values()}
    for text in before:
        assert (after[text]["first_said"]["version"], after[text]["last_said"]["version"]) == (1, 3)
        assert after[text]["same_as"] is None


def test_sources_of_one_run_contradict_each_other(room, run_jobs, approve, register):
    run = room.run(room.add("a.md", FIRST), room.add("b.md", SECOND))
    run_jobs()
    [written] = room.client.get(f"{API}/runs/{run['id']}").json["documents"]
    approve(written)
    listed = register(undecided="true", kind="decision")
    [text] = listed
    assert {text, listed[text]["same_as"]["text"]} == {
        "We decided to open the harbour on 3 May 2027.",
        "We decided to open the harbour on 9 June 2027.",
    }


def test_a_user_changes_an_item(room, both, register, fields, problem):
    item = find(register(), "lighthouse")
    path = f"{room.path}/register/{item['id']}"
    read = room.client.get(path)
    body = {"owner": "Tom", "due": "3 June 2027", "state": "done"}
    changed = room.client.patch_json(path, body, headers={"If-Match": read.headers["ETag"]}).json
    assert (changed["owner"], changed["due_on"], changed["state"]) == ("Tom", "2027-06-03", "done")
    assert changed["history"][-1]["changes"]["state"] == ["open", "done"]
    assert changed["text"] == item["text"]
    late = room.client.patch_json(
        path, {"state": "open"}, headers={"If-Match": read.headers["ETag"]}, status="*"
    )
    problem(late, 412)
    assert room.client.patch_json(path, body).json == changed
    refused = room.client.patch_json(path, {"text": " "}, status="*")
    assert fields(problem(refused, 422)) == ["text"]
    assert room.client.patch_json(path, {"due": None}).json["due_on"] is None


def test_items_are_filtered_and_come_in_pages(room, both, register):
    item = find(register(), "lighthouse")
    path = f"{room.path}/register/{item['id']}"
    room.client.patch_json(path, {"owner": "Tom Tar", "state": "dropped"})
    assert list(register(owner="tom tar")) == [item["text"]]
    assert list(register(state="dropped")) == [item["text"]]
    assert {one["kind"] for one in register(kind="question").values()} == {"question"}
    assert list(register(due_after="2027-04-01")) == [item["text"]]
    early = register(due_before="2027-03-15", kind="action")
    assert {one["due_on"] for one in early.values()} == {"2027-02-01", "2027-03-15"}
    seen, query = [], {"limit": 2}
    while query.get("cursor", "") is not None:
        page = room.client.get(f"{room.path}/register", query).json
        seen += [one["id"] for one in page["items"]]
        query["cursor"] = page["next"]
    assert seen == sorted((one["id"] for one in register().values()), reverse=True)


def test_the_register_is_exported_as_files(room, both, register):
    item = find(register(), "lighthouse")
    path = f"{room.path}/register/{item['id']}"
    room.client.patch_json(path, {"text": "=HYPERLINK(1)", "owner": "@tom", "due": "2027-04-02"})
    answer = room.client.get(f"{room.path}/register/csv")
    assert answer.content_type == "text/csv"
    assert "harbour-register.csv" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert len(rows) == len(register())
    [row] = [row for row in rows if row["Id"] == item["id"]]
    assert (row["Text"], row["Owner"], row["Day"]) == ("'=HYPERLINK(1)", "'@tom", "2027-04-02")
    assert row["First said in"].endswith("version 1")
    answer = room.client.get(f"{room.path}/register/ics", {"due_after": "2027-04-01"})
    assert answer.content_type == "text/calendar"
    [event] = icalendar.Calendar.from_ical(answer.body).walk("VEVENT")
    assert (str(event["SUMMARY"]), event["DTSTART"].dt.isoformat()) == (
        "@tom: =HYPERLINK(1)",
        "2027-04-02",
    )


def test_viewers_read_items_and_cannot_change_them(room, viewer, both, register, problem):
    item = find(register(), "2027-03-15")
    path = f"{room.path}/register/{item['id']}"
    for place in ("", f"/{item['id']}", "/csv", "/ics"):
        viewer.client.get(f"{room.path}/register{place}", status=200)
    problem(viewer.client.patch_json(path, {"state": "done"}, status="*"), 403)
    problem(viewer.client.post_json(f"{path}/same", {"same": True}, status="*"), 403)
    body = {"saying": item["last_said"]["id"], "accept": True}
    problem(viewer.client.post_json(f"{path}/settle", body, status="*"), 403)


def test_items_outlive_their_document(room, both, register):
    (document, _), _ = both
    room.client.delete(f"{API}/documents/{document['id']}", status=204)
    item = find(register(), "tugs")
    assert (item["first_said"]["document"], item["first_said"]["version"]) == (None, None)


def test_erasing_a_source_erases_its_quotes_in_the_register(room, both, register, sessions):
    (document, source), _ = both
    new = find(register(), "2027-03-15")
    room.client.post_json(f"{room.path}/register/{new['id']}/same", {"same": True})
    # The register still quotes a source after its documents are deleted.
    room.client.delete(f"{API}/documents/{document['id']}", status=204)
    room.client.delete(f"{room.path}/sources/{source['id']}?force=true", status=204)
    with sessions.begin() as session:
        plan = erase_source(session, source["id"])
    assert plan.takes["items"] == 2
    items = register()
    assert not [text for text in items if "tugs" in text or "3 May" in text]
    left = find(items, "building plan")
    assert (left["id"], left["due_on"]) == (new["same_as"]["id"], "2027-03-15")
    with sessions.begin() as session:
        assert not any(session.scalars(select(Change.changes)))
        assert "2027-02-01" not in "".join(session.scalars(select(Saying.text)))


def test_deleting_a_project_deletes_its_register(room, both, sessions):
    number = len(room.client.get(f"{room.path}/register").json["items"])
    plan = room.client.get(f"{room.path}/deletion").json
    assert plan["takes_along"]["items"] == number
    room.client.delete(room.path, status=204)
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Item)) == 0


THIRD = """# Harbour, third meeting

Next step: Ada sends the building plan to the council by 2027-05-20.
"""


def join(session, item, user_id):
    """Confirm that the item is the same as the proposed one. Return None if another user was faster."""
    found = lock_item(session, uuid.UUID(item["project_id"]), uuid.UUID(item["id"]))
    try:
        return found and decide_sameness(session, found, user_id, same=True)
    except NothingProposed:
        return None


@pytest.fixture
def while_joined(sessions, room, ada, wait_for_lock):
    """``while_joined(item, act)``: merge the item into the proposed one while ``act`` waits for the lock."""

    def while_joined(item, act):
        with ThreadPoolExecutor(1) as pool, sessions.begin() as first:
            left = join(first, {**item, "project_id": room.id}, ada.user_id)
            answer = pool.submit(act)
            wait_for_lock()
            first.commit()
            return left, answer.result()

    return while_joined


def test_parallel_confirmations_merge_once(room, both, meet, register, while_joined, sessions, ada):
    """Check parallel decisions on the same proposal, and on two proposals in a row."""
    meet("third.md", THIRD)
    items = register(kind="action")
    second, third = find(items, "2027-03-15"), find(items, "2027-05-20")
    # The third item is compared only with the second one.
    with sessions.begin() as session:
        session.get(Item, uuid.UUID(third["id"])).same_as_id = uuid.UUID(second["id"])

    def confirm(item):
        with sessions.begin() as session:
            return join(session, {**item, "project_id": room.id}, ada.user_id)

    left, answer = while_joined(second, lambda: (confirm(second), confirm(third)))
    assert str(left) == second["same_as"]["id"]
    assert answer == (None, left)
    whole = room.client.get(f"{room.path}/register/{left}").json
    assert [one["event"] for one in whole["history"]] == ["entered", "joined", "joined"]
    assert whole["last_said"]["text"] == third["text"]


def test_an_approval_while_a_proposal_is_decided(both, meet, register, while_joined):
    """The new item is proposed as a duplicate of the remaining item, not of the merged one."""
    second = find(register(), "2027-03-15")
    left, _ = while_joined(second, lambda: meet("third.md", THIRD))
    assert find(register(), "2027-05-20")["same_as"]["id"] == str(left)


@pytest.fixture
def fill(room, sessions):
    """``fill(1000, "The ship {} sails.")``: add open actions in June 2027."""

    def fill(number, words):
        with sessions.begin() as session:
            session.add_all(
                Item(
                    project_id=uuid.UUID(room.id),
                    kind="action",
                    text=words.format(n),
                    due_on=datetime.date(2027, 6, n % 30 + 1),
                )
                for n in range(number)
            )

    return fill


def test_the_cost_of_an_approval_is_bounded(room, meet, sessions, ada, fill, count):
    """The cost depends neither on the number of open items nor on the number of statements."""
    document, _ = meet("first.md", FIRST)
    with sessions() as session:
        version_id = session.scalars(select(Saying.version_id)).first()

    def enter(number):
        said = [{"text": f"Ada paints the boat {n}.", "evidence": []} for n in range(number)]
        version = SimpleNamespace(
            id=version_id, document_id=document["id"], content={"next_steps": said}
        )
        with sessions() as session, count() as statements:
            enter_version(session, uuid.UUID(room.id), version, ada.user_id)
        return len(statements)

    few = enter(1)
    fill(1000, "Ada paints the mast of ship {}.")
    assert enter(200) == few <= 6


def test_a_page_of_the_list_costs_the_same(room, meet, fill, count):
    meet("first.md", FIRST)
    room.client.get("/api/v1/me")

    def statements(query):
        with count() as sent:
            room.client.get(f"{room.path}/register{query}")
        return len(sent)

    few = statements("")
    meet("second.md", SECOND)
    fill(200, "The ship {} sails.")
    # The user, the project, the items, and the statements that they come from.
    assert statements("?limit=200") == few <= 4
    [item] = room.client.get(f"{room.path}/register?kind=question").json["items"]
    assert statements(f"/{item['id']}") <= 5


def test_files_contain_all_items(room, fill):
    """A file contains more items than a page of the list."""
    fill(450, "The ship {} sails.")
    table = room.client.get(f"{room.path}/register/csv").body.decode("utf-8-sig")
    assert len(list(csv.DictReader(io.StringIO(table)))) == 450
    calendar = icalendar.Calendar.from_ical(room.client.get(f"{room.path}/register/ics").body)
    assert len(calendar.walk("VEVENT")) == 450
