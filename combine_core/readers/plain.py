"""Reads text files: finds the encoding, the chat that Zoom saves as text, and logs of IRC."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from pathlib import PurePath

from combine_core.readers.block import BlockKind
from combine_core.readers.reading import Builder, Reading, Unreadable
from combine_core.readers.signature import check_signature

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", ""),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
# The letters that languages have beside A to Z, by the encoding in which their texts are written. One in
# which almost every further letter belongs to one language is right; statistics take Spanish for Hungarian.
_CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čćđšž", "ăâîşţ")
_ALPHABETS = {
    "cp1252": (
        "äöüßé",
        "àâæçéèêëîïôœùûü",
        "áéíóúüñ",
        "àáâãçéêíóôõúü",
        "àèéìíîòóùú",
        "åäöéü",
        "æøåéèêòô",
        "áðéíóúýþæö",
    ),
    "cp1250": _CENTRAL,
    "cp1254": ("çğıi̇öşüâîû",),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äöõüšž"),
    "iso8859_2": _CENTRAL,
}
_ALMOST_EVERY = 0.95
_SIGNS = frozenset("“”„‘’‚–—…•€£§°©®™«»¿¡·´×½¼²³µºª\xa0\xad")
_SAMPLE = 200_000
# A text in UTF-8 has so many letters beyond A to Z for one that is damaged.
_MOSTLY = 10
_MANY_ZEROS = 0.6
# Some versions of Zoom add the day, or AM and PM.
_AT = r"(?:\d{4}-\d\d-\d\d[ T])?\d{1,2}:\d{2}:\d{2}(?: ?[AP]M)?"
_MESSAGE = re.compile(
    rf"^(?P<time>{_AT})\t(?:From )?(?P<name>[^\t\n]+?):?\t"
    rf"(?P<words>.*(?:\n(?!{_AT}\t[^\t\n]+\t).*)*)",
    re.MULTILINE,
)
# A newer Zoom writes "14:01:02 From Anna to Everyone:", and the words in the next line.
_SAVED = re.compile(
    rf"^(?P<time>{_AT})[ \t]+From (?P<name>[^\t\n:]+?)[ \t]*:[ \t]*\n?[ \t]*"
    rf"(?P<words>.*(?:\n(?!{_AT}[ \t]+From ).*)*)",
    re.MULTILINE,
)
_BEGINS_CHAT = re.compile(rf"{_AT}(?:\t|[ \t]+From )".encode())
# A log of IRC: "13:02 < anna> The pump leaks". Other lines say who joined or waves.
_LOGGED = re.compile(
    r"^\[?(?:\d{4}-\d\d-\d\d[ T])?(?P<time>\d{1,2}:\d\d(?::\d\d)?)(?:\.\d+)?Z?\]?[ \t]+"
    r"<[ @+%~&]?(?P<name>[^\s<>]{1,40})>[ \t]+(?P<words>.*)",
    re.MULTILINE,
)
_HEAD = 2_000
_RECIPIENT = re.compile(r"\s+to\s+\S.*", re.IGNORECASE)
_REACTION = re.compile(r"(?:Reacted to|Removed a .{1,40} reaction (?:from|to)) ", re.IGNORECASE)
_REPLY = re.compile(r"\AReplying to \"[^\n]*\"\s*")


def decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file in any usual encoding, and a note if it was not UTF-8.

    :raises Unreadable: the encoding cannot be found
    """
    text, notes = _decoded(data)
    # Programs of old end lines with a carriage return alone.
    return (text.replace("\r", "\n") if "\r" in text and "\n" not in text else text), notes


def _decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    for mark, encoding, name in _BOMS:
        if data.startswith(mark):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError as error:
                raise _unknown() from error
            return text, (f"It was converted from {name}.",) if name else ()
    encoding = _encoding_without_mark(data[:4096])
    with suppress(UnicodeDecodeError):
        if encoding:
            return data.decode(encoding), (f"It was converted from {encoding.upper()[:6]}.",)
        if b"\x1b$" in data:
            return data.decode("iso2022_jp_ext"), ("It was converted from ISO-2022-JP.",)
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8"), ()
    damaged = data.decode("utf-8", "replace")
    wrong = damaged.count("\ufffd")
    if _MOSTLY * wrong < sum(letter > "\x7f" for letter in damaged[:_SAMPLE]):
        # Another encoding would make nonsense of all letters beyond A to Z.
        return damaged, (f"{wrong} characters are damaged in the file.",)
    if b"\0" in data[:4096]:
        raise _unknown()
    encoding = _latin_encoding(data[:_SAMPLE])
    if not encoding:
        # Here, because few files need it.
        from charset_normalizer import from_bytes

        best = from_bytes(data[:_SAMPLE]).best()
        encoding = best.encoding if best is not None else ""
    try:
        text = data.decode(encoding)
        # What reads alike in both is more likely to be what most people have.
        if data.decode("cp1252", "replace") == text:
            encoding = "cp1252"
        return text, (f"It was converted from {_named(encoding)}.",)
    except (LookupError, UnicodeDecodeError) as error:
        raise _unknown() from error


def _encoding_without_mark(head: bytes) -> str:
    """Return UTF-16 or UTF-32 for a text whose characters have zero bytes; empty if there are none."""
    if b"\0" not in head:
        return ""
    for name, (zeros, width) in {
        "utf-32-be": ((0, 1), 4),
        "utf-32-le": ((2, 3), 4),
        "utf-16-be": ((0,), 2),
        "utf-16-le": ((1,), 2),
    }.items():
        # The first byte of each character is zero in most texts, the others hardly ever.
        share = [head[at::width].count(0) * width / len(head) for at in range(width)]
        if min(share[at] for at in zeros) > _MANY_ZEROS and min(share) == 0:
            return name
    return ""


# What the labels of encodings mean in practice (https://encoding.spec.whatwg.org/#names-and-labels).
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
}
# A label within a text of these is a mistake, or an attack.
_NEVER_NAMED = re.compile(r"utf|unicode|punycode|idna|undefined|raw")


def decoded_as(data: bytes, label: str) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file that names its encoding, which may be wrong.

    :raises Unreadable: the encoding cannot be found
    """
    # Texts in UTF-8 read as something else too, but hardly anything else reads as UTF-8.
    with suppress(LookupError, UnicodeError):
        named = codecs.lookup(label).name
        encoding = _MEANT.get(named, named)
        if not _NEVER_NAMED.match(named) and (b"\x1b" in data or not _is_utf_8(data)):
            return data.decode(encoding), (f"It was converted from {_named(encoding)}.",)
    return decoded(data)


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _latin_encoding(data: bytes) -> str:
    """The encoding that makes words of one language of a text in Latin letters; empty if there is none."""
    fitting = {}
    for encoding, alphabets in _ALPHABETS.items():
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        letters = [letter for letter in text.lower() if letter > "\x7f" and letter not in _SIGNS]
        most = max(sum(map(alphabet.__contains__, letters)) for alphabet in alphabets)
        fitting[encoding] = most / len(letters) if letters else 1.0
    best = max(fitting, key=fitting.__getitem__, default="")
    return best if best and fitting[best] >= _ALMOST_EVERY else ""


def _named(encoding: str) -> str:
    if encoding.startswith("cp125"):
        return f"Windows-{encoding.removeprefix('cp')}"
    return encoding.replace("_", "-").upper()


def _unknown() -> Unreadable:
    return Unreadable("is in no encoding that can be recognised. Save it as UTF-8.")


def is_chat(data: bytes) -> bool:
    """Check whether a file begins like a Zoom chat."""
    return _BEGINS_CHAT.match(data) is not None


def read(data: bytes, name: str) -> Reading:
    """A text or Markdown file. Its blocks are those of its Markdown, except in a chat."""
    check_signature(PurePath(name.lower()).suffix, data)
    text, notes = decoded(data)
    if _SAVED.match(text):
        return _chat(list(_SAVED.finditer(text)), notes)
    messages = list(_MESSAGE.finditer(text)) if _MESSAGE.match(text) else []
    if len(messages) >= 2 and len(messages) >= 0.5 * len(re.findall(rf"^{_AT}\t", text, re.M)):
        return _chat(messages, notes)
    logged = list(_LOGGED.finditer(text)) if "<" in text[:_HEAD] else []
    if len(logged) >= 2 and 3 * len(logged) >= text.count("\n") - text.count("\n\n"):
        return _chat(logged, notes)
    return Reading(text, None, notes)


def _chat(messages: list[re.Match[str]], notes: tuple[str, ...]) -> Reading:
    builder = Builder()
    for message in messages:
        words = _REPLY.sub("", message["words"].strip())
        if words and not _REACTION.match(words):
            name = _RECIPIENT.sub("", message["name"].strip())
            prefix = f"[{message['time']}] {name}: "
            builder.add(BlockKind.MESSAGE, words, prefix=prefix, speaker=name, time=message["time"])
    return builder.reading(*notes)
