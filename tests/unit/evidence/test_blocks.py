"""The structure of a source: which lines are headings, messages, rows, code."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from combine_core.evidence.blocks import BlockKind, block_at, read_blocks

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
        ("list_item", ("Meeting", "Prices"), "", "- [ ] Call the vendor"),
        ("quotation", ("Meeting", "Prices"), "", "> Quoted."),
        ("code", ("Meeting", "Prices"), "", "```\ncode\n```"),
        ("comment", ("Meeting", "Prices"), "", "<!-- hidden -->"),
    ]


@given(st.text(alphabet="ab:#-|>`* \n\t~[]()<!1.", max_size=200))
def test_blocks_of_any_text_follow_each_other(text: str) -> None:
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
