"""Tests that a page is read once, whole and in order, whatever its markup."""

from __future__ import annotations

import pytest

from combine_core.readers import Unreadable
from tests.unit.readers.shown import read, shown


def test_tables_for_layout_are_no_rows() -> None:
    page = (
        "<body><table><tr><td><ul><li><a href=a>Home</a></ul></td><td><h1>Minutes</h1><p>We take oak.</p>"
        "<table><tr><td>Door</td><td>900 EUR</td></tr></table>Tom calls.</td></tr></table>"
    )
    assert shown(read("html", page)) == [
        ("links", "Home"),
        ("heading", "# Minutes"),
        ("paragraph", "We take oak."),
        ("table_row", "Door | 900 EUR"),
        ("paragraph", "Tom calls."),
    ]


def test_cells_stand_below_the_names_of_their_columns() -> None:
    page = (
        "<table><caption>Prices</caption><tr><th>Item<th>2025<th>2026<tr><td colspan=2>Door<td>900"
        "<tr><td rowspan=2>Roof<td>1<td>2<tr><td>3<td>4</table>"
    )
    assert [words for _, words in shown(read("html", page))] == [
        "Prices",
        "Item | 2025 | 2026",
        "Door | | 900",
        "Roof | 1 | 2",
        "Roof | 3 | 4",
    ]


@pytest.mark.parametrize(
    "page",
    [
        "<form><h1>Title</h1><p>Words.</p></form>",
        "<article><header><h1>Title</h1></header><p>Words.</p></article>",
        "<header><h1>Title</h1></header><p>Words.</p>",
        "<main></main><h1>Title</h1><p>Words.</p>",
        "<h1>Title</h1><p>Words<!-- no --><template>no</template>.<p hidden>no<p style='display: none'>no",
        "<h1>Title</h1>Words<article></article>.",
        "<div>" * 1000 + "<h1>Title</h1><p>Words.</p>" + "</div>" * 1000,
    ],
)
def test_the_content_is_found(page: str) -> None:
    found = shown(read("html", f"<body>{page}"))
    assert found[0] == ("heading", "# Title")
    assert "".join(words for _, words in found[1:]) == "Words."


def test_no_article_of_many_is_left_out() -> None:
    page = "".join(f"<article><p>Number {number}.</p></article>" for number in range(80))
    assert len(shown(read("html", f"<body>{page}"))) == 80


def test_an_article_that_announces_another_is_not_the_content() -> None:
    page = "<body><p>The board takes oak for the new door.</p><article>Next: the roof</article>"
    assert shown(read("html", page))[0] == ("paragraph", "The board takes oak for the new door.")


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("<frameset><frame src=a.html><frame src=b.html></frameset>", "frames"),
        ("<body>" + "<div>" * 5000 + "words", "nested"),
    ],
)
def test_a_page_that_cannot_be_read_whole_is_refused(page: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read("html", page)


@pytest.mark.parametrize(
    ("label", "data", "words"),
    [
        ("iso-8859-1", "Größe “5”".encode(), "Größe “5”"),
        ("utf-16", "Größe".encode(), "Größe"),
        ("iso-8859-1", b"\x93A\x94 \x80 5", "“A” € 5"),
        ("gb2312", "朱镕基 € 5".encode("gb18030"), "朱镕基 € 5"),
        ("iso-2022-jp", "会議".encode("iso2022_jp"), "会議"),
        ("unicode_escape", b"a\\u0041", "a\\u0041"),
        ("hex", b"616263", "616263"),
    ],
)
def test_the_named_encoding_may_be_wrong(label: str, data: bytes, words: str) -> None:
    page = f"<meta charset={label}><body><p>".encode() + data
    assert shown(read("html", page)) == [("paragraph", words)]


def test_items_keep_their_numbers_and_check_boxes() -> None:
    page = (
        "<ol start=3><li>Third<ul><li>Within</ul>behind</li><li value=7>Seventh</ol>"
        "<ul><li><input type=checkbox checked> Done<li><input type=checkbox> Open</ul>"
    )
    reading = read("html", page)
    assert [words for _, words in shown(reading)] == [
        "Third", "Within", "behind", "Seventh", "Done", "Open"
    ]  # fmt: skip
    assert [(block.number, block.done) for block in reading.blocks or ()] == [
        ("3", None),
        ("", None),
        ("", None),
        ("7", None),
        ("", True),
        ("", False),
    ]


def test_struck_out_words_are_marked_and_powers_are_no_digits() -> None:
    page = "<p>Fee <del>800 <b>EUR</b></del> 900<sup>1</sup> EUR, 10<sup>6</sup> m<sup>2</sup><br><br>Next"
    assert shown(read("html", page)) == [
        ("paragraph", "Fee ~~800~~ ~~EUR~~ 900^1 EUR, 10^6 m2"),
        ("paragraph", "Next"),
    ]
