"""Tests the search page of a project."""

import pytest

from combine_core.search.indexing import index_missing


@pytest.fixture
def source(place, ada, slug):
    text = "Notes\n\nThe oven <b>burns</b> at 200 degrees.\n"
    return place.source(slug, ada, text)


def test_a_result_is_marked_and_linked(place, ada, slug, source):
    page = ada.get(f"/projects/{slug}").click("Search", href="/search")
    assert "Found" not in page
    index_missing(place.sessions)
    page = ada.get(f"/projects/{slug}/search?q=burn")
    assert "The oven &lt;b&gt;<mark>burns</mark>&lt;/b&gt; at" in page
    assert "line 3" in page
    there = ada.get(page.html.select_one("a.row-title")["href"])
    assert "burns" in there


def test_texts_that_are_not_indexed_yet_are_reported(ada, slug, source):
    assert "Search again in a moment" in ada.get(f"/projects/{slug}/search?q=burn")


def test_an_empty_result_is_explained(place, ada, slug, source):
    index_missing(place.sessions)
    page = ada.get(f"/projects/{slug}/search?q=fridge&kind=source")
    assert "No results" in page


@pytest.mark.parametrize("q", ["", "%00", "!!!", "x" * 10_000])
def test_an_invalid_query_is_explained(ada, slug, q):
    page = ada.get(f"/projects/{slug}/search?q={q}", expect_errors=True)
    assert page.status_int == 400


def test_results_come_in_pages(place, ada, slug):
    for number in range(21):
        place.source(slug, ada, f"Oven number {number}.", f"{number}.md")
    while index_missing(place.sessions):
        pass
    page = ada.get(f"/projects/{slug}/search?q=oven")
    assert len(page.html.select("a.row-title")) == 20
    assert len(page.click("More").html.select("a.row-title")) == 1


def test_the_page_sends_a_constant_number_of_statements(place, ada, slug, source):
    index_missing(place.sessions)
    with place.statements() as sent:
        ada.get(f"/projects/{slug}/search?q=burn")
    assert len(sent) == 4
