"""Splits a text into sentences, each with its lines and an exact quote."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import sentencex  # type: ignore[import-untyped]

from combine_core.llm.extract.blocks import Block, Form, Task, find_blocks

# Longer text without a full stop is cut between words.
MAX_SENTENCE = 600

# Characters that the library gets at a time, because its time grows with their square.
_WINDOW = 2000

# Characters that disturb the parsers: carriage returns, NUL, halves of surrogate pairs. One character
# replaces each, so that offsets stay correct.
_UNSAFE = re.compile("[\r\x00\ud800-\udfff]")
_UNQUOTABLE = re.compile("[\x00\ud800-\udfff]")

_LABEL = re.compile(r"[\w@(\[][^:.?!]{0,30}:(?=\s)")
_DAY = re.compile(r"(?:^|\s)\d{1,2}\.\s*$")
_MONTH = re.compile(
    r"(?:Jan|Feb|Mär|Mar|Apr|Mai|May|Jun|Jul|Aug|Sep|Okt|Oct|Nov|De[zc])\w*", re.IGNORECASE
)
_GERMAN = (" der ", " die ", " das ", " und ", " ist ", " nicht ", " wird ", " mit ", " für ")
_ENGLISH = (" the ", " and ", " is ", " of ", " to ", " in ", " for ", " with ", " not ")
_MIN_WRAP = 50
# Text that an editor does not break at the end of a line.
_UNBROKEN = re.compile(r"`[^`]*`\S*|\S+")
# Full stops in these end no sentence. The library knows abbreviations, but only of one language.
_OPAQUE = re.compile(
    r"`[^`]*`|https?://\S*\w|\.{1,2}/"
    r"|\b(?:approx|est|max|min)\.(?=\s\d)|\b(?:Mio|Mrd|Fa|Nr|bzw|ca|evtl|ggf|inkl|vgl|zzgl)\.(?=\s)"
)
_STOPS = str.maketrans(".?!", "___")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a text.

    `quote` is a literal part of the lines `line_from` to `line_to` (counted from 1, joined by "\\n"),
    with line ends and quotation marks between them. `text` is the same on one line.
    """

    text: str
    quote: str
    line_from: int
    line_to: int
    form: Form
    task: Task | None
    lead: str


def find_sentences(text: str) -> Iterator[Sentence]:
    """The sentences of a text, in its order."""
    safe = _UNSAFE.sub(lambda match: " " if match[0] == "\r" else "\ufffd", text)
    language = _language(safe)
    for block in find_blocks(safe):
        for first, behind in _unwrap(safe, block):
            yield from _split(text, safe, block, first, behind, language)


def _language(text: str) -> str:
    german = sum(text.count(word) for word in _GERMAN)
    return "de" if german > sum(text.count(word) for word in _ENGLISH) else "en"


def _unwrap(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """Ranges (first, behind) of `block.spans` with lines that belong together.

    Wrapped prose is joined, notes with one thought per line are not. A line continues if the next one
    starts in lower case, or if its first word did not fit into the longest line of the block.
    """
    lines = [text[start:end] for start, end in block.spans]
    if not lines:
        return
    width = max(len(line) for line in lines)
    first = 0
    for number in range(1, len(lines)):
        if not _continues(lines[number - 1], lines[number], width):
            yield first, number
            first = number
    yield first, len(lines)


def _continues(line: str, following: str, width: int) -> bool:
    if following[:1].islower():
        return True
    if _LABEL.match(following):
        return False
    word = _UNBROKEN.match(following)
    return width >= _MIN_WRAP and word is not None and len(line) + 1 + word.end() > width


def _split(
    text: str, safe: str, block: Block, first: int, behind: int, language: str
) -> Iterator[Sentence]:
    spans = block.spans[first:behind]
    joined = " ".join(safe[start:end] for start, end in spans)
    # The offset of each line in `joined`.
    at = [0]
    for start, end in spans[:-1]:
        at.append(at[-1] + end - start + 1)
    for begin, stop in _sentence_spans(joined, language):
        line_from = bisect_right(at, begin) - 1
        line_to = bisect_right(at, stop - 1) - 1
        quote = text[
            spans[line_from][0] + begin - at[line_from] : spans[line_to][0] + stop - at[line_to]
        ]
        if _UNQUOTABLE.search(quote):
            continue
        yield Sentence(
            text=" ".join(joined[begin:stop].split()),
            quote=quote,
            line_from=block.first_line + first + line_from,
            line_to=block.first_line + first + line_to,
            form=block.form,
            task=block.task,
            lead=block.lead,
        )


def _sentence_spans(joined: str, language: str) -> Iterator[tuple[int, int]]:
    masked = _OPAQUE.sub(lambda match: match[0].translate(_STOPS), joined)
    begin = 0
    while begin < len(masked):
        window = masked[begin : begin + _WINDOW]
        ends = [begin + end for end in _sentence_ends(window, language)]
        if begin + len(window) < len(masked) and len(ends) > 1:
            ends.pop()  # it continues after the window
        for end in ends:
            yield from _cut(joined, begin, end)
            begin = end


def _sentence_ends(text: str, language: str) -> list[int]:
    """The end of each sentence. The last one ends with the text."""
    ends = [boundary["end_index"] for boundary in sentencex.get_sentence_boundaries(language, text)]
    # "1. Oktober" is a date, not the end of a sentence.
    return [
        end
        for end in ends[:-1]
        if not (_DAY.search(text, max(0, end - 6), end) and _MONTH.match(text, end))
    ] + [len(text)]


def _cut(joined: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The text without space at its ends, in pieces of at most `MAX_SENTENCE`."""
    while True:
        while begin < end and joined[begin].isspace():
            begin += 1
        while begin < end and joined[end - 1].isspace():
            end -= 1
        if begin == end:
            return
        stop = end
        if end - begin > MAX_SENTENCE:
            space = joined.rfind(" ", begin + 1, begin + MAX_SENTENCE + 1)
            stop = space if space > 0 else begin + MAX_SENTENCE
        yield begin, stop
        begin = stop
