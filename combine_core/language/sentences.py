"""Splits prose into sentences, and takes the marks of Markdown off them."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator

from combine_core.language.language import Language

# Characters that the library gets at a time, because its time grows with their square.
_WINDOW = 2000
# A line that is shorter than the others is not wrapped, unless all are short.
_LEAST_WIDTH = 50
# A line of wrapped prose is as full.
_FULL = 0.7

# Full stops in these end no sentence. The library knows abbreviations, but only of one language.
_ABBREVIATIONS = (
    "approx|est|max|min|resp|incl|excl|vs|cf"
    "|Mio|Mrd|Fa|Nr|bzw|ca|evtl|ggf|inkl|vgl|zzgl|stellv|sog|bzgl|gem"
)
_BEFORE_FIGURES = "No|Art|Abs|Ziff|Tel|Str"
_OPAQUE = re.compile(
    r"`[^`\n]*`|https?://\S*\w|\.{1,2}/|\b[^\W\d_]\.[ ]?[^\W\d_]\.(?=\s)"
    rf"|\b(?:{_ABBREVIATIONS})\.(?=\s)|\b(?:{_BEFORE_FIGURES})\.(?=\s\d)|\d\.(?=[^\W\d_])"
    r"|\b[A-Z]\w*\.(?=[^\W\d_])|\.(?=[a-z])"
)
# A full stop that may be one of them. To begin with a letter of its own makes a pattern fast.
_OPAQUE_STOP = re.compile(
    rf"\.(?:/|(?=[^\W_])|(?<=[. ][^\W\d_]\.)|(?<=\d\.)"
    rf"{''.join(rf'|(?<={word}[.])' for word in f'{_ABBREVIATIONS}|{_BEFORE_FIGURES}'.split('|'))})"
)
_STOPS = str.maketrans(".?!", "___")
_DAY = re.compile(r"(?:^|\s)\d{1,2}\.\s*$")
# "Der 1. Vorsitzende" and "in der 2. und 3. Zeile" go on.
_GERMAN_ORDINAL = re.compile(
    r"(?<!\w)(?:de[rmns]|die|das|zu[mr]|vom|[ai]m|beim)(?:\s\d{1,2}\.?(?:,|\s(?:und|oder|bis)))?\s\d{1,2}\.\s*$",
    re.IGNORECASE,
)
# "1. a pump, 2. a valve" goes on.
_LISTED_FIRST = re.compile(r"[^\W\d_]:?\s1\.\s*$")
_LISTED = re.compile(r"[,;]\s(?P<number>\d{1,2})\.\s*$")
_MONTH = re.compile(
    r"(?:Jan|Feb|Mär|Mar|Apr|Mai|May|Jun|Jul|Aug|Sep|Okt|Oct|Nov|De[zc])\w*", re.IGNORECASE
)
_SENTENCE_WITHIN = re.compile(r"[^\W\d_]{2}[.!?] \S")
_SENTENCE_END = re.compile(r"[.!?…:;][\"'”’»)\]*_]*\s*\Z")
_FIRST_WORD = re.compile(r"`[^`]*`\S*|\S+")
_LEADING_MARKS = re.compile(r"[\s>*_]*")

_STRUCK = re.compile(
    r"~~.+?~~|<(?P<tag>del|s|strike)\b[^>]*>.*?</(?P=tag)>", re.DOTALL | re.IGNORECASE
)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_MARKER = re.compile(
    r"^[ \t]*(?:>[ \t]?)*(?:(?:[-*+]|\d{1,9}[.)])(?=[ \t]|$))?[ \t]*(?:\[[ xX]\][ \t]+)?",
    re.MULTILINE,
)
_LINK = re.compile(
    r"!?\[(?P<text>[^\[\]]{0,200})\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)"
    r"|(?<!\w)\[(?P<words>[^\[\]\n]{1,200})\]\[[^\[\]\n]{0,100}\]"
)
# Most sentences have no marks; to look once is faster than to look for each.
_MARKED = re.compile(r"[~<*_`\[|\n\\&]")
_MARKED_LINE = re.compile(r"[ \t]*[-+>\d]")
# A break within a paragraph.
_BREAK = re.compile(r"\\$", re.MULTILINE)
_TAG = re.compile(
    r"</?(?P<tag>br|p|div|b|i|u|em|strong|span|a|sub|sup|small|code|kbd|details|summary|center|font|img|iframe|video)"
    r"\b[^<>]{0,300}>",
    re.IGNORECASE,
)
# Code keeps its letters, and so does what a backslash escapes. "a * b" is a product.
_INLINE = re.compile(
    r"(?P<fence>`+)(?P<code>[^`]+)(?P=fence)|\\(?P<escaped>[!-/:-@\[-`{-~])|(?P<cell>(?<!\|)\|(?!\|))"
    r"|(?!\*in(?:nen)?\b)(?:(?<!\s)\*+|\*+(?!\s))|~~|`|(?<![^\W_])_+(?=\w)|(?<=[^\W_])_+(?![^\W_])"
)


def sentence_spans(
    text: str, start: int, end: int, language: Language
) -> Iterator[tuple[int, int]]:
    """The sentences between two offsets, each as its offsets without space at its ends.

    Lines of wrapped prose belong together. A line of its own is a sentence without a full stop.
    """
    for first, behind in _unwrapped(text, start, end):
        stretch = text[first:behind].replace("\n", " ")
        begin = 0
        for stop in _ends(stretch, language):
            sentence = stretch[begin:stop]
            stripped = sentence.strip().removesuffix("\\")
            if stripped:
                at = first + begin + sentence.index(stripped[0])
                yield at, at + len(stripped)
            begin = stop


def plain_text(text: str) -> str:
    """The words without the marks of Markdown and without what is struck out, on one line."""
    if not _MARKED.search(text) and not _MARKED_LINE.match(text):
        return " ".join(text.split())
    text = _STRUCK.sub(" ", _COMMENT.sub(" ", text))
    text = _LINK.sub(lambda match: match["text"] or match["words"] or "", text)
    text = _BREAK.sub("", _MARKER.sub("", text))
    if "<" in text:
        text = _TAG.sub(lambda tag: " " if tag["tag"].lower() in ("br", "p", "div") else "", text)
    text = _INLINE.sub(_written, text)
    return " ".join((html.unescape(text) if "&" in text else text).split())


def _written(mark: re.Match[str]) -> str:
    """Return the letters that a mark of Markdown stands for."""
    return " ; " if mark["cell"] else mark["code"] or mark["escaped"] or ""


def silenced_at(text: str, start: int, end: int, within: tuple[int, int]) -> str:
    """``struck_out`` or ``comment`` if a part of ``text[start:end]`` is; else an empty text.

    :param within: the block that holds it
    """
    if text.find("<", *within) == -1 and text.find("~~", *within) == -1:
        return ""
    for pattern, reason in ((_STRUCK, "struck_out"), (_COMMENT, "comment")):
        for match in pattern.finditer(text, *within):
            if match.start() < end and start < match.end():
                return reason
    return ""


def _unwrapped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Stretches of lines that belong together."""
    lines = text[start:end].split("\n")
    # A long address must not make all other lines look short.
    width = max(
        map(len, (line for line in lines if "://" not in line)), default=max(map(len, lines))
    )
    first = offset = start
    for line, following in itertools.pairwise(lines):
        offset += len(line) + 1
        if not _continues(line, following, width):
            yield first, offset
            first = offset
    yield first, end


def _continues(line: str, following: str, width: int) -> bool:
    """Check whether a sentence continues in the next line: in lower case, or because the line was full."""
    if line.endswith("\\"):
        return False  # Markdown for a break
    marks = _LEADING_MARKS.match(following)
    assert marks is not None
    begins = following[marks.end() : marks.end() + 1]
    if not begins or begins.islower() or begins in "/)]}&+=":
        return True
    if _SENTENCE_END.search(line) or width < _LEAST_WIDTH:
        return False
    if begins == "[" or _SENTENCE_WITHIN.search(line):
        return True  # a link with its words, or a sentence that began within the line
    word = _FIRST_WORD.search(following)
    assert word is not None
    return len(line) + 1 + word.end() > width or len(line) > _FULL * width


def _ends(stretch: str, language: Language) -> Iterator[int]:
    """Offsets behind each sentence; the last is the end of the stretch."""
    if "." not in stretch and "?" not in stretch and "!" not in stretch and stretch.isascii():
        yield len(stretch)
        return
    masked = stretch
    if "`" in stretch or "://" in stretch or _OPAQUE_STOP.search(stretch):
        masked = _OPAQUE.sub(lambda match: match[0].translate(_STOPS), stretch)
    begin = 0
    while begin < len(masked):
        window = masked[begin : begin + _WINDOW]
        ends = [begin + end for end in _ends_within(window, language)]
        if begin + len(window) < len(masked) and len(ends) > 1:
            ends.pop()  # it continues after the window
        yield from ends
        begin = ends[-1]


def _ends_within(window: str, language: Language) -> list[int]:
    # Here, because most web processes never look for sentences.
    import sentencex  # type: ignore[import-untyped]

    # The library takes "May." for an abbreviation, as "Jan." is one.
    text = window.replace(" May.", " Day.")
    boundaries = sentencex.get_sentence_boundaries(language.code or "en", text)
    ends = [boundary["end_index"] for boundary in boundaries]
    return [end for end in ends[:-1] if not _is_ordinal(window, end, language)] + [len(window)]


def _is_ordinal(window: str, end: int, language: Language) -> bool:
    """Check whether a number with a full stop ends there, and no sentence: "1. Oktober"."""
    if _DAY.search(window, max(0, end - 6), end) is None:
        return False
    if _LISTED_FIRST.search(window, max(0, end - 8), end) and ", 2. " in window[end:]:
        return True
    listed = _LISTED.search(window, max(0, end - 8), end)
    if listed and f"{int(listed['number']) - 1}. " in window[:end]:
        return True
    if language.code == "de" and _GERMAN_ORDINAL.search(window, max(0, end - 20), end):
        return True
    return _MONTH.match(window, end) is not None
