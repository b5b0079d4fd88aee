"""Reads captions: WebVTT (https://www.w3.org/TR/webvtt1/) and SRT.

What one person says in several cues is one block, with the time of its first cue.
"""

from __future__ import annotations

import html
import itertools
import re
from collections import Counter
from collections.abc import Iterator

from combine_core.language import labels
from combine_core.readers.block import BlockKind
from combine_core.readers.plain import decoded
from combine_core.readers.reading import Builder, Reading, Unreadable, one_line

_TIME = r"(?:\d{1,6}:){1,2}\d{1,2}(?:[.,]\d{1,3})?"
# A line of times, though they may be damaged: no words contain such an arrow.
_TIMES = re.compile(rf"^[ \t]*(?:(?P<start>{_TIME})[ \t]*--?>|[^\n]*-->)[^\n]*$", re.MULTILINE)
# What is said by no one, in WebVTT.
_SILENT = re.compile(r"(?:NOTE|STYLE|REGION)\b")
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,40})?\s+(?P<name>[^<>]{1,100})>")
_TAG = re.compile(r"</?[a-zA-Z0-9.:]{1,40}[^<>]{0,200}>|\{\\[^{}]{0,200}\}")
_NAME = re.compile(r"(?P<name>[^\W\d_][^:\n]{0,60}?):\s+")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*\Z")
# A block without a speaker ends with a sentence behind so many characters.
_LONG = 400
# Captions roll up if more than a few cues, and a quarter of all, begin with the line before.
_FEW = 2
_ROLLING = 4


def read(data: bytes, name: str) -> Reading:
    """The captions of a recording."""
    text, notes = decoded(data)
    builder = Builder()
    speaker = time = words = ""
    text = text.replace("\r\n", "\n")
    for cue_time, cue_speaker, cue_words in _cues(text, name.endswith(".vtt")):
        if not cue_words:
            continue
        ended = len(words) > _LONG and _SENTENCE_END.search(words)
        if words and (cue_speaker not in ("", speaker) or ended):
            _add(builder, speaker, time, words)
            words = ""
        if not words:
            time, speaker = cue_time, cue_speaker or speaker
        words = f"{words} {cue_words}".strip()
    if words:
        _add(builder, speaker, time, words)
    return builder.reading(*notes)


def _add(builder: Builder, speaker: str, time: str, words: str) -> None:
    prefix = f"{speaker}: " if speaker else ""
    builder.add(BlockKind.CUE, words, prefix=prefix, speaker=speaker, time=time)


def _cues(text: str, vtt: bool) -> Iterator[tuple[str, str, str]]:
    """Start, speaker and words of each stretch that one person says."""
    names = Counter(match["name"] for match in re.finditer(rf"(?m)^{_NAME.pattern}", text))
    for start, lines in _new_lines(list(_written(text, vtt))):
        written = "\n".join(lines)
        voices = [voice.start() for voice in _VOICE.finditer(written)]
        for begin, end in itertools.pairwise([0, *voices[1:], len(written)]):
            voice = _VOICE.search(written, begin, end)
            speaker = voice["name"].strip() if voice else ""
            said: list[str] = []
            for line in _without_tags(written[begin:end]).split("\n"):
                name = None if voice else _NAME.match(line)
                if name is None or not _is_name(name["name"], names):
                    said.append(line)
                    continue
                yield start, speaker, " ".join(said)
                speaker, said = name["name"], [line[name.end() :]]
            yield start, speaker, " ".join(said)


def _written(text: str, vtt: bool) -> Iterator[tuple[str, list[str]]]:
    """Start and lines of each cue: what stands between two lines of times, without the next one's number."""
    times = list(_TIMES.finditer(text))
    if not times:
        raise Unreadable("holds no captions. Export it again as .vtt or .srt.")
    for one, following in itertools.zip_longest(times, times[1:]):
        words = text[one.end() : following.start() if following else len(text)]
        if following and not words.endswith("\n\n"):
            above, _, last = words.rstrip("\n").rpartition("\n")
            if last.strip().isdigit() or above.endswith("\n"):
                words = above
        parts = [part.strip() for part in _EMPTY_LINES.split(words)]
        said = [part for part in parts if not (vtt and _SILENT.match(part))]
        yield one["start"] or "", [line for part in said for line in part.split("\n") if line]


def _new_lines(cues: list[tuple[str, list[str]]]) -> Iterator[tuple[str, list[str]]]:
    """Leave out the lines that captions repeat while they roll up."""
    plain = [[_without_tags(line) for line in lines] for _, lines in cues]
    repeated = sum(
        bool(before and now) and before[-1] == now[0] for before, now in itertools.pairwise(plain)
    )
    rolling = repeated > _FEW and _ROLLING * repeated >= len(cues)
    before: list[str] = []
    for (start, lines), now in zip(cues, plain, strict=True):
        both = min(len(before), len(now)) if rolling else 0
        known = next((count for count in range(both, 0, -1) if before[-count:] == now[:count]), 0)
        yield start, lines[known:]
        before = now


def _without_tags(written: str) -> str:
    words = html.unescape(_TAG.sub("", written))
    return "\n".join(map(one_line, words.split("\n")))


def _is_name(words: str, names: Counter[str]) -> bool:
    """Check for a name: it stands before several cues, or is up to three capitalised words.

    With something in brackets at its end, such as "Ann Lee (she/her)", it may have more.
    """
    written = words.split()
    if written[0].lower() in labels() or written[-1].lower() in labels():
        return False
    return names[words] > 1 or (
        len(written) <= (5 if words.endswith(")") else 3)
        and all(word[:1].isupper() or word[:1] == "(" for word in written)
    )
