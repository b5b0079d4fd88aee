"""Reads text files: finds the encoding, and the chat that Zoom saves as text."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from combine_core.readers.block import BlockKind
from combine_core.readers.reading import Builder, Reading, Unreadable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", ""),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_FOREIGN = {
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a ZIP file, as .docx and .xlsx are",
    b"\xd0\xcf\x11\xe0": "a document of an old Office",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_WESTERN = {"cp1252", "latin_1", "iso8859_15", "cp1140"}
_MESSAGE = re.compile(
    r"^(?P<time>\d{2}:\d{2}:\d{2})\t(?:From )?(?P<name>[^\t\n]+?):?\t"
    r"(?P<words>.*(?:\n(?!\d{2}:\d{2}:\d{2}\t).*)*)",
    re.MULTILINE,
)
_REACTION = re.compile(r"(?:Reacted to|Removed a .{1,40} reaction (?:from|to)) ", re.IGNORECASE)
_REPLY = re.compile(r"\AReplying to \"[^\n]*\"\s*")


def decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The text of a file in any usual encoding, and a note if it was not UTF-8.

    :raises Unreadable: the encoding cannot be found
    """
    for mark, encoding, name in _BOMS:
        if data.startswith(mark):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError as error:
                raise _unknown() from error
            return text, (f"It was converted from {name}.",) if name else ()
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError:
        pass
    if b"\0" in data[:4096]:
        raise _unknown()
    best = from_bytes(data[:200_000]).best()
    encoding = best.encoding if best is not None else ""
    # Short Western texts look alike in all of these. Windows-1252 is what people have.
    if encoding in _WESTERN:
        encoding = "cp1252"
    try:
        text = data.decode(encoding)
        # What reads alike in both is more likely to be what most people have.
        if data.decode("cp1252", "replace") == text:
            encoding = "cp1252"
        return text, (f"It was converted from {_named(encoding)}.",)
    except (LookupError, UnicodeDecodeError) as error:
        raise _unknown() from error


def _named(encoding: str) -> str:
    return {"cp1252": "Windows-1252"}.get(encoding, encoding.replace("_", "-").upper())


def _unknown() -> Unreadable:
    return Unreadable("is in no encoding that can be recognised. Save it as UTF-8.")


def is_chat(data: bytes) -> bool:
    """Whether a file begins like a chat of Zoom."""
    return re.match(rb"\d{2}:\d{2}:\d{2}\t", data) is not None


def read(data: bytes, name: str) -> Reading:
    """A text or Markdown file. Its blocks are those of its Markdown, except in a chat."""
    del name
    for beginning, what in _FOREIGN.items():
        if data.startswith(beginning):
            raise Unreadable(f"is {what}, and not a text. Give its name the right ending.")
    text, notes = decoded(data)
    messages = list(_MESSAGE.finditer(text))
    if len(messages) >= 2 and len(messages) >= 0.5 * len(
        re.findall(r"^\d{2}:\d{2}:\d{2}\t", text, re.M)
    ):
        head = text[: messages[0].start()].strip()
        if not head:
            return _chat(messages, notes)
    return Reading(text, None, notes)


def _chat(messages: list[re.Match[str]], notes: tuple[str, ...]) -> Reading:
    builder = Builder()
    for message in messages:
        words = _REPLY.sub("", message["words"].strip())
        if words and not _REACTION.match(words):
            name = message["name"]
            prefix = f"[{message['time']}] {name}: "
            builder.add(BlockKind.MESSAGE, words, prefix=prefix, speaker=name, time=message["time"])
    return builder.reading(*notes)
