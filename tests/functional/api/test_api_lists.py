"""Tests lists: filters, sorting and pages."""

from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from combine_core.database import session_factory
from combine_core.runs import Run

NAMES = ["b.md", "a.md", "c.md", "a.md", "\U0001f6a2 \xe4.md"]


@pytest.fixture
def sources(room):
    return [room.add(name, "Nothing.\n") for name in NAMES]


def walk(client, path, query):
    """Return the items of all pages through the header ``Link``. ``next`` must lead to the same pages."""
    items, asked = [], dict(query)
    answer = client.get(path, asked, status=200)
    while True:
        items += answer.json["items"]
        if answer.json["next"] is None:
            assert "Link" not in answer.headers
            return items
        asked["cursor"] = answer.json["next"]
        url, rel = answer.headers["Link"].split("; ")
        assert (url[0], url[-1], rel) == ("<", ">", 'rel="next"')
        assert urlsplit(url[1:-1]).path == path
        linked = client.get(url[1:-1], status=200)
        answer = client.get(path, asked, status=200)
        assert linked.body == answer.body


@pytest.mark.parametrize("limit", ["1", "2", "200"])
def test_lists_are_sorted(room, sources, limit):
    ids = [source["id"] for source in sources]

    def listed(sort):
        query = {"limit": limit, **({"sort": sort} if sort else {})}
        return [item["id"] for item in walk(room.client, f"{room.path}/sources", query)]

    assert listed("") == listed("-created_at") == ids[::-1]
    assert listed("created_at") == ids
    by_name = listed("name")
    assert listed("-name") == by_name[::-1]
    assert set(by_name) == set(ids)
    names = dict(zip(ids, NAMES, strict=True))
    shown = [names[found] for found in by_name if names[found].isascii()]
    assert shown == ["a.md", "a.md", "b.md", "c.md"]


def test_projects_and_versions_are_sorted(room, signed_in, document):
    signed_in.post_json("/api/v1/projects", {"name": "Anchor"}, status=201)
    by_name = walk(signed_in, "/api/v1/projects", {"sort": "name", "limit": "1"})
    assert [project["name"] for project in by_name] == ["Anchor", "Harbour"]
    versions = f"/api/v1/documents/{document['id']}/versions"
    assert len(walk(signed_in, versions, {"sort": "created_at"})) == 1


def test_a_cursor_of_another_order_skips_no_item(room, sources):
    """The list by name starts again. The list by time continues after the same source."""
    path = f"{room.path}/sources"

    def second(first, then):
        cursor = room.client.get(path, {"sort": first, "limit": "1"}).json["next"]
        return room.client.get(path, {"sort": then, "cursor": cursor}).json["items"]

    assert len(second("created_at", "-name")) == len(second("created_at", "name")) == len(NAMES)
    assert [source["id"] for source in second("name", "created_at")] == [
        source["id"] for source in sources[2:]
    ]


def test_sources_are_filtered_by_name(room, sources):
    def found(name):
        return walk(room.client, f"{room.path}/sources", {"name": name, "limit": "1"})

    assert [source["id"] for source in found("a.md")] == [sources[3]["id"], sources[1]["id"]]
    assert len(found(NAMES[-1])) == 1
    assert found("A.md") == found("%.md") == found("a") == []


def test_documents_are_filtered_by_title(room, document):
    path = f"{room.path}/documents"
    assert len(walk(room.client, path, {"title": document["title"]})) == 1
    assert walk(room.client, path, {"title": "Nothing"}) == []
    assert len(walk(room.client, path, {"sort": "title"})) == 1
    room.client.get(path, {"sort": "name"}, status=400)


def test_runs_are_filtered_by_state_and_line(app, room):
    source = room.add()
    failed, running = room.run(source), room.run(source)
    with session_factory(app.registry).begin() as session:
        session.execute(update(Run).where(Run.id == failed["id"]).values(state="failed"))

    def found(**query):
        return [run["id"] for run in walk(room.client, f"{room.path}/runs", query)]

    assert found(state="failed") == [failed["id"]]
    assert found(state="running", line="brief") == [running["id"]]
    assert found(line="brief", sort="created_at", limit="1") == [failed["id"], running["id"]]
    assert found(line="nothing") == found(state="paused") == []
    room.client.get(f"{room.path}/runs", {"state": "ended"}, status=400)


def test_a_semicolon_belongs_to_the_value(room):
    """Check that a semicolon works both unescaped and as %3B."""
    made = room.add("a;name=b.md", "Nothing.\n")
    for written in ("a;name=b.md", "a%3Bname%3Db.md"):
        [found] = room.client.get(f"{room.path}/sources?name={written}").json["items"]
        assert found["id"] == made["id"]
