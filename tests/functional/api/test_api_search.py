"""Tests the full-text search in the sources and documents of a project."""

import uuid

import pytest
from sqlalchemy import event, func, select, text, update

from combine_core.database import encode_cursor
from combine_core.deletion.erasure import erase_source
from combine_core.search import EntryKind, SearchEntry, search
from combine_core.search.indexing import PASSAGE_LINES, index_missing, is_indexing, passages
from combine_core.sources.model import Source


@pytest.fixture
def find(sessions, room):
    """``find(q)``: the search results, after every text is indexed."""

    def find(q, **options):
        while index_missing(sessions):
            pass
        with sessions() as session:
            return search(session, uuid.UUID(room.id), q, **options).items

    return find


def marked(found):
    return [text for text, is_marked in found.parts if is_marked]


def test_search_returns_lines_of_a_source(find, room):
    source = room.add(text="\n\nOne line.\nThe pilots were hired.\nA last line.\n")
    [found] = find("pilot")
    assert (str(found.id), found.title, found.kind) == (source["id"], "notes.md", EntryKind.SOURCE)
    assert (found.revision, found.line_from, found.line_to) == (1, 4, 4)
    assert marked(found) == ["pilots"]
    assert "".join(text for text, _ in found.parts).strip().startswith("One line.")


@pytest.mark.parametrize(
    ("text", "q"),
    [
        ("Wir haben mit Frau Müller über die Häuser gesprochen und das ist gut.", "müller"),
        ("Wir haben mit Frau Müller über die Häuser gesprochen und das ist gut.", "Haus"),
        ("Wir haben mit Frau Mu\u0308ller gesprochen.", "Müller"),
        ("Wir haben mit Frau Müller gesprochen.", "Mu\u0308ller"),
        ("Jalousie Œuvre Łódź", "łódź"),
        ("We decided to hire two pilots.", '"hire two"'),
        ("We decided to hire two pilots.", "nothing or hiring"),
        ("We decided to hire two pilots.", "the or to"),
        ("We decided to hire two pilots.", "WE -tugs"),
    ],
)
def test_words_are_found(find, room, text, q):
    room.add(text=text)
    assert len(find(q)) == 1


def test_excluded_words_are_not_found(find, room):
    room.add(text="We decided to hire two pilots.")
    assert find("hire -pilots") == []
    assert find('"two hire"') == []


def test_statements_are_found(find, room, document):
    [found] = find("pilots", kinds=[EntryKind.STATEMENT])
    assert (str(found.id), found.number) == (document["id"], 1)
    section, index = found.pointer.strip("/").split("/")
    assert "pilots" in document["content"][section][int(index)]["text"]


def test_the_best_result_is_first_and_no_result_is_repeated(sessions, find, room):
    for number in range(7):
        room.add(f"{number}.md", f"Note {number} on a tug. Nothing else is in it.")
    best = room.add("best.md", "tug tug tug tug")
    everything = find("tug", limit=50)
    assert str(everything[0].id) == best["id"]
    paged, cursor = [], None
    with sessions() as session:
        while True:
            page = search(session, uuid.UUID(room.id), "tug", cursor=cursor, limit=3)
            paged += page.items
            cursor = page.next
            if cursor is None:
                break
    assert paged == everything
    assert len(paged) == 8


def test_only_the_newest_revision_is_found(sessions, find, room):
    source = room.add(text="The old harbour.")
    assert find("old")
    room.client.post_json(
        f"{room.path}/sources/{source['id']}/revisions", {"text": "The new quay."}, status=201
    )
    with sessions() as session:
        assert is_indexing(session, uuid.UUID(room.id))
        assert search(session, uuid.UUID(room.id), "old").items == []
    assert find("old") == []
    [found] = find("new")
    assert found.revision == 2
    with sessions() as session:
        assert not is_indexing(session, uuid.UUID(room.id))


def test_a_locked_text_is_indexed_later(sessions, find, room):
    source = uuid.UUID(room.add(text="The harbour.")["id"])
    with sessions.begin() as session:
        session.execute(update(Source).where(Source.id == source).values(name="locked"))
        assert index_missing(sessions) == 0
    assert find("harbour")


def test_index_entries_are_deleted_with_their_source_or_document(sessions, find, room, document):
    assert find("harbour")
    [source] = [entry for entry in document["inputs"] if entry["kind"] == "source"]
    with sessions.begin() as session:
        erase_source(session, uuid.UUID(source["id"]))
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(SearchEntry)) == 0


def test_passages_have_few_lines_and_long_lines_are_cut():
    text = "\n".join(["short"] * 7 + ["x" * 5000, "", "last"])
    cut = list(passages(text))
    assert [line for line, _ in cut] == [1, 1 + PASSAGE_LINES, 8, 8, 8, 9]
    assert [len(passage) for line, passage in cut if line == 8] == [2000, 2000, 1000]
    assert cut[-1] == (9, "\nlast")


def test_a_huge_source_is_indexed(find, room):
    words = "".join(f"w{number} " for number in range(300_000))
    room.add(text=words)
    [found] = find("w299999")
    assert found.line_from == 1


def test_search_uses_an_index(sessions, find, room):
    source = room.add(text="One line.\n")
    assert find("line")
    with sessions() as session:
        session.execute(
            text(
                "INSERT INTO search_entries (id, project_id, source_id, revision, line_from,"
                " configuration, text, words) SELECT gen_random_uuid(), :project, :source, 1, n,"
                " 'simple', 'word ' || n, to_tsvector('simple', 'word ' || n)"
                " FROM generate_series(1, 30000) n"
            ),
            {"project": uuid.UUID(room.id), "source": uuid.UUID(source["id"])},
        )
        # This is the effect of vacuum on a table that has grown.
        session.execute(text("SELECT gin_clean_pending_list('ix_search_entries_words')"))
        session.execute(text("ANALYZE search_entries"))
        connection, asked = session.connection(), []
        event.listen(
            connection,
            "before_cursor_execute",
            lambda _c, _cursor, statement, values, *_: asked.append((statement, values)),
        )
        [found] = search(session, uuid.UUID(room.id), "29999").items
        assert found.line_from == 29999
        [(statement, values)] = asked
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", values).scalars().all()
        session.rollback()
    assert any("ix_search_entries_words" in step for step in plan), plan


def test_the_api_returns_results_in_pages(sessions, room, document):
    path = f"{room.path}/search"
    assert room.client.get(f"{path}?q=harbour", status=200).json == {
        "items": [],
        "next": None,
        "complete": False,
    }
    index_missing(sessions)
    answer = room.client.get(f"{path}?q=harbour&kind=source", status=200).json
    assert answer["complete"]
    [found] = answer["items"]
    assert (found["kind"], found["title"], found["line_from"]) == ("source", "notes.md", 1)
    assert {"text": "harbour", "found": True} in found["parts"]
    [found] = room.client.get(f"{path}?q=pilots&kind=statement", status=200).json["items"]
    assert (found["id"], found["version"], found["line_from"]) == (document["id"], 1, None)
    first = room.client.get(f"{path}?q=harbour&limit=1", status=200)
    assert first.json["next"] in first.headers["Link"]
    second = room.client.get(f"{path}?q=harbour&limit=1&cursor={first.json['next']}", status=200)
    assert second.json["items"] != first.json["items"]


@pytest.mark.parametrize(
    "q", ["%00", "a%00b", "x" * 10_000, "", "%20", "!!!", "%22%22", "a%0Ab", "a%1Fb"]
)
def test_an_invalid_query_is_rejected(room, problem, q):
    answer = room.client.get(f"{room.path}/search?q={q}", expect_errors=True)
    assert answer.status_int in (400, 422)
    assert answer.json["detail"]


@pytest.mark.parametrize(
    "q",
    ["-", "a%20-", "%22open", "a%20or", "or", "-a", "(a", "a%26%7Cb!", "%27", "%5C", "the", "a:*b"],
)
def test_unusual_queries_cause_no_error(sessions, room, q):
    room.add()
    index_missing(sessions)
    answer = room.client.get(f"{room.path}/search?q={q}", expect_errors=True)
    assert answer.status_int in (200, 422), answer.text


def test_a_cursor_of_another_list_starts_at_the_beginning(find, room):
    room.add(text="The harbour opens in May.\n")
    assert find("harbour")
    first = room.client.get(f"{room.path}/search?q=harbour", status=200)
    key = uuid.UUID(int=2**128 - 1)
    for name in ("", "nan", "-1", "1e10", "nothing"):
        cursor = encode_cursor(key, name)
        again = room.client.get(f"{room.path}/search?q=harbour&cursor={cursor}", status=200)
        assert again.json == first.json
    # PostgreSQL never returns such a small rank, but it is not an error.
    cursor = encode_cursor(key, "1e-300")
    assert room.client.get(f"{room.path}/search?q=harbour&cursor={cursor}").json["items"] == []
