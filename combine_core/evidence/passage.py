"""Completes a quote to what it stands in: its sentence, row or message, with what is known of the block."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sentencex  # type: ignore[import-untyped]

from combine_core.evidence.quotes import Place, SourceText
from combine_core.readers import SILENT, Block, BlockKind, block_at

# The splitter's time grows with the square of the text.
_WINDOW = 2000

_STRUCK = re.compile(
    r"~~.+?~~|<(?P<tag>del|s|strike)\b[^>]*>.*?</(?P=tag)>", re.DOTALL | re.IGNORECASE
)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_MARKER = re.compile(
    r"^[ \t]*(?:>[ \t]?)*(?:[-*+]|\d{1,9}[.)])?[ \t]*(?:\[[ xX]\][ \t]+)?", re.MULTILINE
)
_LINK = re.compile(r"!?\[(?P<text>[^\]\n]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)")
_EMPHASIS = re.compile(r"\*+|~~|`|(?<![^\W_])_+(?=\w)|(?<=[^\W_])_+(?![^\W_])")
_SENTENCE_END = re.compile(r"[.!?…:;][\"'”’»)\]*_]*\s*$")


@dataclass(frozen=True, slots=True)
class Passage:
    """What a quote stands in. ``known``: what the block says beside its words, such as its headings."""

    text: str
    known: str
    speaker: str
    # Why nothing can rest on it: a code, or empty.
    silent: str = ""


def passage_of(source: SourceText, place: Place) -> Passage:
    """The whole sentences of the quote at ``place``."""
    block = block_at(source.blocks, place.start)
    if block is None:
        return Passage(source.text[place.start : place.end], "", "")
    known = " — ".join(block.headings)
    for pattern, reason in ((_STRUCK, "struck_out"), (_COMMENT, "comment")):
        for match in pattern.finditer(source.text, block.start, block.end):
            if match.start() < place.end and place.start < match.end():
                return Passage("", known, block.speaker, reason)
    if block.kind in SILENT:
        return Passage("", known, block.speaker, block.kind.value)
    if place.end <= block.body:
        return Passage("", known, block.speaker, "speaker")
    start, end = _whole_sentences(source.text, block, place)
    last = block_at(source.blocks, place.end - 1)
    text = source.text[start:end]
    if last is not None and last is not block and last.kind not in SILENT:
        # A quote over several blocks: each in its whole.
        text = source.text[start : _whole_sentences(source.text, last, place)[1]]
    return Passage(_plain(text), known, block.speaker)


def _whole_sentences(text: str, block: Block, place: Place) -> tuple[int, int]:
    if block.kind is BlockKind.TABLE_ROW:
        return block.start, block.end
    begin = max(block.body, place.start - _WINDOW)
    behind = min(block.end, place.end + _WINDOW)
    bounds = [begin, *_sentence_ends(text, begin, behind), behind]
    start = max((bound for bound in bounds if bound <= place.start), default=begin)
    end = min((bound for bound in bounds if bound >= place.end), default=behind)
    return start, end


def _sentence_ends(text: str, begin: int, behind: int) -> list[int]:
    """Offsets behind the sentences that end between ``begin`` and ``behind``."""
    ends: list[int] = []
    for line_group in _thoughts(text, begin, behind):
        stretch = text[slice(*line_group)].replace("\n", " ")
        ends += [
            line_group[0] + boundary["end_index"]
            for boundary in sentencex.get_sentence_boundaries("en", stretch)
        ]
        ends.append(line_group[1])
    return ends


def _thoughts(text: str, begin: int, behind: int) -> list[tuple[int, int]]:
    """Stretches of lines that belong together: a short line before a capital is a thought of its own."""
    groups: list[tuple[int, int]] = []
    start = begin
    for match in re.finditer("\n", text[begin:behind]):
        offset = begin + match.end()
        line = text[text.rfind("\n", 0, offset - 1) + 1 : offset - 1]
        following = text[offset:behind].lstrip(" \t>*_")[:1]
        if following.islower() or not following:
            continue
        if _SENTENCE_END.search(line) or len(line) < 60:
            groups.append((start, offset))
            start = offset
    groups.append((start, behind))
    return groups


def _plain(text: str) -> str:
    """The words without the marks of Markdown, on one line."""
    text = _STRUCK.sub(" ", _COMMENT.sub(" ", text))
    text = _LINK.sub(lambda match: match["text"], text)
    text = _MARKER.sub("", text)
    return " ".join(_EMPHASIS.sub("", text.replace("|", " ; ")).split())
