"""Tests that the number of SQL statements of a page does not depend on the amount of data shown."""

import pytest

ITEM = {
    "text": "It runs.",
    "evidence": [{"source": "S1", "line_from": 3, "line_to": 3, "quote": "The oven runs"}],
}


@pytest.fixture
def fill(place, ada, slug):
    """``fill(n)``: add n sources, and n runs with documents of n versions and n statements."""

    def fill(number):
        sources = [place.source(slug, ada, name=f"{n}.md") for n in range(number)]
        runs = [place.run(slug, ada, *sources) for _ in range(number)]
        for run in runs:
            written = {f"S{n}": source for n, source in enumerate(sources, 1)}
            version = place.write(run, {"summary": [ITEM] * number}, written)
        return sources[-1], runs[-1], version

    return fill


def test_the_number_of_statements_is_constant(place, ada, slug, fill):
    def statements(number):
        source, run, version = fill(number)
        paths = {
            "projects": "/projects",
            "project": f"/projects/{slug}",
            "source": f"/projects/{slug}/sources/{source.id}",
            "quote": f"/projects/{slug}/sources/{source.id}?lines=3-3&version={version.id}"
            "&statement=/summary/0",
            "run": f"/runs/{run.id}",
            "live": f"/runs/{run.id}/live",
            "costs": f"/projects/{slug}/costs",
            "document": f"/documents/{version.document_id}",
            "version": f"/documents/{version.document_id}/versions/1",
            "markdown": f"/documents/{version.document_id}.md",
            "json": f"/documents/{version.document_id}.json",
        }
        counts = {}
        for name, path in paths.items():
            with place.statements() as sent:
                ada.get(path)
            counts[name] = len(sent)
        return counts

    few = statements(1)
    for number in range(5):
        place.project(ada, f"Further {number}")
    assert statements(12) == few
    # One for the session with the membership, one for the inbox in the header, and one for each
    # part of the page.
    assert few == {
        "projects": 3,
        "project": 6,
        "source": 6,  # the text is read only if memory is available
        "quote": 7,
        "run": 9,  # its calls, and their totals by step and for the run
        "live": 8,
        "costs": 3,
        "document": 9,
        "version": 9,
        "markdown": 5,  # the cost of its run is at the end of the page
        "json": 7,  # with its reviews and the cost of its run
    }


def test_static_files_send_no_statement(place, ada):
    with place.statements() as sent:
        ada.get("/static/poll.js")
    assert sent == []
