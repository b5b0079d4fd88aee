"""Tests Markdown output: sentences are unchanged and cannot break the format."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from combine_core.documents.render import plain, render_markdown
from combine_core.lines import find_line

SECTIONS = ["summary", "key_points", "decisions", "numbers", "open_questions", "next_steps"]


def content(**lists: list[object]) -> dict[str, object]:
    return {section: lists.get(section, []) for section in SECTIONS}


def item(text: str, **more: object) -> dict[str, object]:
    return {"text": text, "evidence": [], "verdict": "supported", **more}


def render(*, used_llm: bool = True, **lists: list[object]) -> str:
    template = find_line("brief").step("brief").template
    assert template is not None
    return render_markdown(
        template,
        title="Brief: notes.md",
        content=content(**lists),
        source_names={"s": "notes.md"},
        colophon="Made by the line brief.",
        used_llm=used_llm,
    )


def test_a_brief_has_ordered_headings_and_marks_empty_ones() -> None:
    markdown = render(summary=[item("One thing.")])
    headings = [line for line in markdown.splitlines() if line.startswith("#")]
    assert headings == [
        "# Brief: notes.md",
        "## Summary",
        "## Key points",
        "## Decisions",
        "## Numbers",
        "## Open questions",
        "## Next steps",
    ]
    assert (
        "# Brief: notes.md\n\n1 of 1 statement (100 %) is supported by the quotes.\n\n"
        "## Summary\n\n- One thing.\n\n## Key points\n\nThe model"
    ) in markdown
    assert markdown.count("The model named nothing here.") == 5
    assert render(used_llm=False).count("The rules found nothing here.") == 7
    assert markdown.endswith("Made by the line brief.\n")


def test_evidence_is_numbered_and_shared() -> None:
    proof = {"source_id": "s", "line_from": 3, "line_to": 4, "quote": "a\nb"}
    markdown = render(
        summary=[item("A.", evidence=[proof])], numbers=[item("B.", evidence=[proof])]
    )
    assert "- A. [1]\n" in markdown
    assert "- B. [1]\n" in markdown
    assert "1. notes.md, lines 3-4: “a b”" in markdown


def test_an_unsupported_statement_shows_the_reason() -> None:
    markdown = render(
        summary=[item("A.", verdict="unsupported", reasons=["quote_not_found", "negation"])]
    )
    assert "\n0 of 1 statement (0 %) is supported by the quotes. Do not rely on" in markdown
    assert (
        "- A. **(unsupported: The cited quote is not in the source. Only one of the statement and"
        " the source says “not”.)**"
    ) in markdown


def test_details_and_repairs_follow_the_text() -> None:
    more = {"due": "by Friday", "owner": "Tom", "speaker": None, "heading": "Next <b>steps"}
    markdown = render(
        next_steps=[item("Order it.", verdict="repaired", repairs=["case", "lines"], **more)]
    )
    assert (
        "- Order it. (repaired: the case of the first letter, the line numbers)\n"
        "  - Owner: Tom; Due: by Friday; Heading: Next \\<b>steps\n"
    ) in markdown


@pytest.mark.parametrize(
    "sentence",
    [
        "Check DATABASE_URL format",
        "a * b",
        "Set it to 5.",
        "`docker stats` shows it",
        "50 % of [it] (x)",
        "a[0] and b[1]",
    ],
)
def test_ordinary_sentences_are_not_changed(sentence: str) -> None:
    assert plain(sentence) == sentence


@given(st.text(max_size=80))
def test_no_text_starts_a_block_or_adds_html(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"- {plain(text)}")
    kinds = {token.type for token in tokens}
    assert kinds <= {
        "bullet_list_open",
        "list_item_open",
        "paragraph_open",
        "inline",
        "paragraph_close",
        "list_item_close",
        "bullet_list_close",
    }
    inline = [child.type for token in tokens for child in token.children or ()]
    assert not {"html_inline", "link_open", "image"}.intersection(inline)


HOSTILE = [
    "[press](javascript:alert(1))",
    "[press](https://evil.example/)",
    "![logo](https://evil.example/pixel.png)",
    "[![logo](https://evil.example/pixel.png)](https://evil.example/)",
    "<https://evil.example/>",
    "<javascript:alert(1)>",
    "\\<javascript:alert(1)>",
    "\\\\<img src=x>",
    "[a\\](javascript:alert(1))",
    "[a](<javascript:alert(1)>)",
    "[1]: javascript:alert(1)",
    "[a\n](\njavascript:alert(1))",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_source_adds_no_link_and_no_image(text: str) -> None:
    """This applies to statements, details, names and quotes."""
    proof = {"source_id": "s", "line_from": 1, "line_to": 1, "quote": text}
    template = find_line("brief").step("brief").template
    assert template is not None
    markdown = render_markdown(
        template,
        title=text,
        content=content(summary=[item(text, owner=text, evidence=[proof]), item("Then. [1]")]),
        source_names={"s": text},
        colophon="Made by the line brief.",
        used_llm=True,
    )
    html = MarkdownIt("commonmark").render(markdown)
    assert "<a" not in html
    assert "<img" not in html
    # The words themselves are still there.
    words = unescape(re.sub("<[^>]*>", "", html))
    assert " ".join(text.split()) in words or "\\" in text


@given(st.text(alphabet="[]()!<>\\` a:/", max_size=40))
def test_no_text_adds_a_link(text: str) -> None:
    html = MarkdownIt("commonmark").render(f"- {plain(text)}\n- x {plain(text)} [1]\n")
    assert "<a" not in html
    assert "<img" not in html
