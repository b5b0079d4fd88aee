"""Reads captions: WebVTT (https://www.w3.org/TR/webvtt1/) and SRT.

What one person says in several cues is one block, with the time of its first cue.
"""

from __future__ import annotations

import html
import itertools
import re
from collections import Counter
from collections.abc import Iterator

from combine_core.readers.block import BlockKind
from combine_core.readers.plain import decoded
from combine_core.readers.reading import Builder, Reading, Unreadable, one_line

_CUE = re.compile(
    r"^(?P<start>(?:\d+:)?\d{2}:\d{2}[.,]\d{1,3})[ \t]*-->[ \t]*(?:\d+:)?\d{2}:\d{2}[.,]\d{1,3}[^\n]*\n"
    r"(?P<words>(?:(?![ \t]*\n)[^\n]*\n?)+)",
    re.MULTILINE,
)
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,40})?\s+(?P<name>[^<>]{1,100})>")
_TAG = re.compile(r"</?[a-zA-Z0-9.:]{1,40}[^<>]{0,200}>|\{\\[^{}]{0,200}\}")
_NAME = re.compile(r"(?P<name>[^\W\d_][^:\n]{0,60}?):\s+")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*\Z")
# A block without a speaker ends with a sentence behind so many characters.
_LONG = 400


def read(data: bytes, name: str) -> Reading:
    """The captions of a recording."""
    del name
    text, notes = decoded(data)
    builder = Builder()
    speaker = time = words = ""
    for cue_time, cue_speaker, cue_words in _cues(text.replace("\r\n", "\n")):
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


def _cues(text: str) -> Iterator[tuple[str, str, str]]:
    """Start, speaker and words of each cue."""
    found = False
    names = Counter(match["name"] for match in re.finditer(rf"(?m)^{_NAME.pattern}", text))
    for cue in _CUE.finditer(text):
        found = True
        written = cue["words"]
        voices = [voice.start() for voice in _VOICE.finditer(written)]
        for begin, end in itertools.pairwise([0, *voices[1:], len(written)]):
            voice = _VOICE.search(written, begin, end)
            words = one_line(html.unescape(_TAG.sub("", written[begin:end])).replace("\n", " "))
            speaker = voice["name"].strip() if voice else ""
            name = _NAME.match(words)
            if not speaker and name is not None and _is_name(name["name"], names):
                speaker, words = name["name"], words[name.end() :]
            if words:
                yield cue["start"], speaker, words
    if not found:
        raise Unreadable("holds no captions. Export it again as .vtt or .srt.")


def _is_name(words: str, names: Counter[str]) -> bool:
    """Check for a name: it stands before several cues, or is up to three capitalised words.

    With something in brackets at its end, such as "Ann Lee (she/her)", it may have more.
    """
    written = words.split()
    return names[words] > 1 or (
        len(written) <= (5 if words.endswith(")") else 3)
        and all(word[:1].isupper() or word[:1] == "(" for word in written)
    )
