"""Completes a quote to what it stands in: its sentence, row or message, with what is known of the block."""

from __future__ import annotations

from dataclasses import dataclass

from combine_core.evidence.quotes import Place, SourceText
from combine_core.language import plain_text, sentence_spans, silenced_at
from combine_core.readers import SILENT, Block, BlockKind, block_at

# So much is looked at on both sides of a quote.
_WINDOW = 2000
# What an item of a list begins with.
_MARKERS = "-*+•"


@dataclass(frozen=True, slots=True)
class Passage:
    """What a quote stands in.

    :ivar known: what the block says beside its words, such as its headings
    :ivar titles: the headings alone
    :ivar open_task: whether it is a task whose box is not checked
    :ivar silent: why nothing can rest on it: a code, or empty
    """

    text: str
    known: str
    speaker: str
    titles: tuple[str, ...] = ()
    silent: str = ""
    open_task: bool = False


def passage_of(source: SourceText, place: Place) -> Passage:
    """The whole sentences of the quote at ``place``."""
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
        # A quote over several blocks: each in its whole.
        text = source.text[start : _whole_sentences(source, last, place)[1]]
    text, speaker = plain_text(text).replace("\u00ad", ""), block.speaker
    open_task = block.done is False
    is_item = source.text[block.start] in _MARKERS and text[:1].islower()
    if speaker and (is_item or block.done is not None):
        # "- Raj: rotate the keys" names who has to do it.
        known, speaker, open_task = f"{speaker} — {known}", "", not block.done
    return Passage(text, known, speaker, block.headings, open_task=open_task)


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
