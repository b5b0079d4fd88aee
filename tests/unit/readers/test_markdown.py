"""Tests the structure of a source: headings, messages, rows and code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from combine_core.readers import BlockKind, block_at, read_blocks
from combine_core.readers.markdown import _leaves, _parser

TEXT = """---
title: Notes
---
# Meeting

Anna: The pilot starts.
It runs for 15 weeks.
**Ben Weber** (Legal) [10:31]: Yes.
Decision: go.

## Prices

| Item | Price |
| --- | --- |
| Door | 900 |

- [ ] Call the vendor
  > Quoted.

```
code
```
<!-- hidden -->
"""


def test_blocks_have_kind_headings_and_speaker() -> None:
    found = [
        (
            block.kind.value,
            block.headings,
            block.speaker,
            TEXT[block.body or block.start : block.end].strip(),
        )
        for block in read_blocks(TEXT)
    ]
    assert found == [
        ("front_matter", (), "", "---\ntitle: Notes\n---"),
        ("heading", (), "", "# Meeting"),
        ("message", ("Meeting",), "Anna", "The pilot starts.\nIt runs for 15 weeks."),
        ("message", ("Meeting",), "Ben Weber", "Yes.\nDecision: go."),
        ("heading", ("Meeting",), "", "## Prices"),
        ("table_row", ("Meeting", "Prices"), "", "| Door | 900 |"),
        ("list_item", ("Meeting", "Prices"), "", "Call the vendor"),
        ("quotation", ("Meeting", "Prices"), "", "> Quoted."),
        ("code", ("Meeting", "Prices"), "", "```\ncode\n```"),
        ("comment", ("Meeting", "Prices"), "", "<!-- hidden -->"),
    ]


NOTES = """**Decisions**

1. We take oak.
2. [x] Tell the vendor

Action items:
- Tom to call
  - [ ] by Friday

[10:31] Anna: Done at 10:45.

- [the plan](https://example.org/plan)

Background:
The river rises.

A statement.
---
"""


def test_a_block_has_its_attributes() -> None:
    found = [
        (block.kind.value, block.headings, block.number, block.done, block.speaker, block.time)
        for block in read_blocks(NOTES)
    ]
    assert found == [
        ("heading", (), "", None, "", ""),
        ("list_item", ("Decisions",), "1", None, "", ""),
        ("list_item", ("Decisions",), "2", True, "", ""),
        ("heading", ("Decisions",), "", None, "", ""),
        ("list_item", ("Decisions", "Action items"), "", None, "", ""),
        ("list_item", ("Decisions", "Action items", "Tom to call"), "", False, "", ""),
        ("message", ("Decisions",), "", None, "Anna", "10:31"),
        ("links", ("Decisions",), "", None, "", ""),
        ("heading", ("Decisions",), "", None, "", ""),
        ("paragraph", ("Decisions", "Background"), "", None, "", ""),
        ("paragraph", ("Decisions",), "", None, "", ""),
    ]


def test_a_repeated_name_above_lists_is_a_speaker() -> None:
    text = "".join(f"- Anna\n  - word {number}\n- Prices\n  - high\n" for number in range(3))
    text = text.replace("- Prices", "- The prices")
    said = {(block.speaker, block.headings) for block in read_blocks(text) if block.speaker}
    assert said == {("Anna", ())}
    assert not any(block.speaker for block in read_blocks("- Anna\n  - word\n"))


def test_a_table_row_has_its_column_names() -> None:
    row = next(block for block in read_blocks(TEXT) if block.kind is BlockKind.TABLE_ROW)
    assert row.columns == ("Item", "Price")


@pytest.mark.parametrize(("indented_code", "kind"), [(True, "code"), (False, "paragraph")])
def test_indented_lines_are_code_only_in_markdown(indented_code: bool, kind: str) -> None:
    blocks = read_blocks("    We agreed.\n", indented_code=indented_code)
    assert [block.kind.value for block in blocks] == [kind]


@given(st.text(alphabet="ab:#-|>`* \n\t~[]()<!1.", max_size=200))
def test_blocks_of_any_text_are_in_order(text: str) -> None:
    blocks = read_blocks(text)
    assert all(
        0 <= block.start <= block.body <= block.end <= len(text) for block in blocks if block.body
    )
    assert [block.start for block in blocks] == sorted(block.start for block in blocks)
    for block in blocks:
        if block.end > block.start:
            found = block_at(blocks, block.start)
            assert found is not None
            assert found.kind in BlockKind


@given(st.text(alphabet="ab:#-|>`* \n\n\t=1.", max_size=200))
def test_plain_lines_match_the_parser(text: str) -> None:
    slow = MarkdownIt("commonmark").enable("table")
    slow.core.ruler.enableOnly(["block"])
    found = _leaves(_parser(True).parse(text))
    assert list(found) == list(_leaves(slow.parse(text)))


def test_a_heading_needs_no_space() -> None:
    text = "Before.\n##TOP 5. Keys\nThe board agrees.\n\n#roof is a subject.\n"
    blocks = [(block.kind, block.headings) for block in read_blocks(text)]
    assert blocks == [
        (BlockKind.PARAGRAPH, ()),
        (BlockKind.HEADING, ()),
        (BlockKind.PARAGRAPH, ("TOP 5. Keys",)),
        (BlockKind.PARAGRAPH, ("TOP 5. Keys",)),
    ]


def test_titles_of_entries_are_no_speakers() -> None:
    incident = "Impact: no user could sign in.\nDuration: 47 minutes\nAI (Chen): add an alert\n"
    minutes = "- Protokollführung: Anna\n- Nächster Schritt: Angebote einholen\n- Follow-up: Tom\n"
    interview = "Interviewer: What broke?\n\nMaria Stage: The pump.\n"

    assert not any(block.speaker for block in read_blocks(incident))
    assert not any(block.speaker for block in read_blocks(minutes))
    assert [block.speaker for block in read_blocks(interview)] == ["Interviewer", "Maria Stage"]


def test_months_of_a_list_are_no_speakers() -> None:
    months = read_blocks("- Jan: 400 visitors\n- Feb: 300 visitors\n")
    people = read_blocks("Jan: The pump leaks.\n\nTom: Since May.\n")

    assert [block.speaker for block in months] == ["", ""]
    assert [block.speaker for block in people] == ["Jan", "Tom"]


def test_footnotes_are_content_and_addresses_are_not() -> None:
    text = "The fee is 900.[^1]\n\n[^1]: Agreed.\n\n[plan]: https://example.org/plan\n[b]: /b 'B'\n"
    assert [block.kind.value for block in read_blocks(text)] == ["paragraph", "paragraph", "links"]


def test_front_matter_may_be_toml() -> None:
    blocks = read_blocks("+++\ntitle = 'Minutes'\n+++\nWe take oak.\n")
    assert [block.kind.value for block in blocks] == ["front_matter", "paragraph"]


def test_words_behind_a_comment_are_content() -> None:
    blocks = read_blocks("<!-- draft --> We take oak.\n\n<!-- a\n\nb -->\n")
    assert [block.kind.value for block in blocks] == ["paragraph", "comment"]
