"""Extends a quote to its whole sentence, table row or message, with the context of its block."""

from __future__ import annotations

from dataclasses import dataclass

from combine_core.evidence.quotes import Place, SourceText
from combine_core.language import plain_text, sentence_spans, silenced_at
from combine_core.readers import SILENT, Block, BlockKind, block_at

# The number of characters that are read before and after a quote.
_WINDOW = 2000
# The first character of a list item.
_MARKERS = "-*+•"


@dataclass(frozen=True, slots=True)
class Passage:
    """The text that contains a quote, with the context of its block.

    :ivar known: the headings, column names and time of the block
    :ivar titles: the headings alone
    :ivar columns: the column names of a table row
    :ivar open_task: whether the block is a task whose box is not checked
    :ivar done: whether the block is a task whose box is checked
    :ivar silent: the code of the reason why the text is no evidence, or empty
    """

    text: str
    known: str
    speaker: str
    titles: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    silent: str = ""
    open_task: bool = False
    done: bool = False


def passage_of(source: SourceText, place: Place) -> Passage:
    """Return the passage with the whole sentences of the quote at ``place``."""
    block = block_at(source.blocks, place.start)
    if block is None:
        return Passage(source.text[place.start : place.end], "", "")
    known = " — ".join([*block.headings, *block.columns, block.time])
    silenced = silenced_at(source.text, place.start, place.end, (block.start, block.end))
    if silenced:
        return Passage("", known, block.speaker, silent=silenced)
    if block.kind in SILENT:
        return Passage("", known, block.speaker, silent=block.kind.value)
    if place.end <= block.body:
        return Passage("", known, block.speaker, silent="speaker")
    start, end = _whole_sentences(source, block, place)
    last = block_at(source.blocks, place.end - 1)
    text = source.text[start:end]
    if last is not None and last is not block and last.kind not in SILENT:
        # The quote spans several blocks. The last one is extended as well.
        text = source.text[start : _whole_sentences(source, last, place)[1]]
    text, speaker = plain_text(text).replace("\u00ad", ""), block.speaker
    open_task = block.done is False
    is_item = source.text[block.start] in _MARKERS and (
        text[:1].islower()
        or source.language.tasks.search(" ".join(block.headings[-1:])) is not None
    )
    if speaker and (is_item or block.done is not None):
        # "- Raj: rotate the keys" names the owner of a task and no speaker.
        known, speaker, open_task = f"{speaker} — {known}", "", not block.done
    done = block.done is True
    return Passage(
        text, known, speaker, block.headings, block.columns, open_task=open_task, done=done
    )


def _whole_sentences(source: SourceText, block: Block, place: Place) -> tuple[int, int]:
    begin = max(block.body, place.start - _WINDOW)
    behind = min(block.end, place.end + _WINDOW)
    if block.kind is BlockKind.TABLE_ROW:
        return begin, behind
    spans = [
        (start, end)
        for start, end in sentence_spans(source.text, begin, behind, source.language)
        if start < place.end and place.start < end
    ]
    return (spans[0][0], spans[-1][1]) if spans else (place.start, place.end)
