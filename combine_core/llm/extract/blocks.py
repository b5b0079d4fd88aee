"""Splits a text into blocks of prose: paragraphs, list items, table rows, headings; not code."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

Form = Literal["paragraph", "item", "row", "heading"]
Task = Literal["open", "done"]

_CHECK_BOX = re.compile(r"\[([ xX])\][ \t]+")
_TABLE_RULE = re.compile(r"[|:\- \t]*-[|:\- \t]*")
_EMPHASIS = "*_ \t"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of prose.

    `spans` are offsets into the text, one (start, end) per line, without the marks of lists and
    quotations. `first_line` counts from 1. `task` is the state of a check box, `lead` the heading or
    the line with a final ":" directly above a list.
    """

    form: Form
    first_line: int
    spans: tuple[tuple[int, int], ...]
    task: Task | None = None
    lead: str = ""


def find_blocks(text: str) -> Iterator[Block]:
    """The blocks of any text, Markdown or not, in order."""
    starts = _line_starts(text)
    lead = ""
    list_depth = 0
    tokens = _parser().parse(text)
    for token, following in pairwise(tokens):
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                list_depth += 1
            case "bullet_list_close" | "ordered_list_close":
                list_depth -= 1
                if not list_depth:
                    lead = ""
            case "fence" | "hr" if not list_depth:
                lead = ""
            case "heading_open":
                block = _prose(text, starts, token, following, "heading")
                lead = _words_of(text, block)
                yield block
            case "paragraph_open" if list_depth:
                yield from _rows(text, _prose(text, starts, token, following, "item", lead))
            case "paragraph_open":
                block = _prose(text, starts, token, following, "paragraph")
                words = _words_of(text, block)
                lead = words if words.endswith(":") else ""
                yield from _rows(text, block)


def _parser() -> MarkdownIt:
    # In notes, indented lines are not code, and underlined lines and references are not structure.
    # Without "inline" the parser only finds blocks, which is fast even for large texts.
    parser = MarkdownIt("commonmark")
    parser.disable(["code", "html_block", "reference", "lheading"])
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _line_starts(text: str) -> list[int]:
    starts = [0]
    starts.extend(match.end() for match in re.finditer("\n", text))
    starts.append(len(text) + 1)
    return starts


def _prose(
    text: str,
    starts: Sequence[int],
    opening: Token,
    inline: Token,
    form: Form,
    lead: str = "",
) -> Block:
    assert opening.map is not None
    first, behind = opening.map
    contents = inline.content.split("\n")
    spans = []
    for number in range(first, behind):
        start, end = starts[number], starts[number + 1] - 1
        line = text[start:end]
        content = contents[number - first].strip() if number - first < len(contents) else ""
        # The parser has removed the marks of lists and quotations from the line.
        at = line.rfind(content) if content else -1
        # An empty line keeps its place, so that the next lines keep their numbers.
        spans.append((start + at, start + at + len(content)) if at >= 0 else (start, start))
    task: Task | None = None
    if spans and (box := _CHECK_BOX.match(text, *spans[0])):
        task = "open" if box[1] == " " else "done"
        spans[0] = (box.end(), spans[0][1])
    return Block(form, first + 1, tuple(spans), task, lead)


def _rows(text: str, block: Block) -> Iterator[Block]:
    """The block; of one with a table (GFM 4.10), the prose before it and each row of its body."""
    rule = next(
        (
            number
            for number, span in enumerate(block.spans)
            if number and _TABLE_RULE.fullmatch(text, *span) and "|" in text[slice(*span)]
        ),
        None,
    )
    if rule is None:
        yield block
        return
    yield replace(block, spans=block.spans[: rule - 1])
    for number in range(rule + 1, len(block.spans)):
        start, end = block.spans[number]
        row = text[start:end]
        inner = row.strip("| \t")
        if inner:
            at = start + row.index(inner)
            yield Block("row", block.first_line + number, ((at, at + len(inner)),))


def _words_of(text: str, block: Block) -> str:
    return " ".join(text[start:end] for start, end in block.spans).strip(_EMPHASIS)
