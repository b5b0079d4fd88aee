"""Read messages: mail, exports of Slack, and JSON lines."""

from __future__ import annotations

import codecs
import html
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from typing import Any

from combine_core.readers.block import SILENT, BlockKind
from combine_core.readers.documents import read_page
from combine_core.readers.markdown import read_blocks
from combine_core.readers.plain import decoded, decoded_as
from combine_core.readers.reading import Builder, Reading, Unreadable, one_line

_SIGNATURE = re.compile(r"(?m)^-- $")
_ANNOUNCES = re.compile(r"(?:-+ ?)?(?:On|Am) .{4,200}(?:wrote|schrieb.*):", re.IGNORECASE)
_WRAPPED = re.compile(
    r"^((?:On|Am) [^\n]{4,200})\n([^\n]{0,80}\b(?:wrote|schrieb[^\n]{0,80}):)[ \t]*$", re.MULTILINE
)
# What Outlook writes above the message that it answers.
_ANSWERED = re.compile(r"(?:From|Von): .{1,400}?(?:Sent|Date|Gesendet|Datum): ", re.DOTALL)
# A boundary with such a character needs quotation marks, which careless programs forget.
_UNQUOTED = re.compile(rb"(boundary=)([^\s\";]*[=?:/][^\s\";]*)", re.IGNORECASE)
_EMPTY_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
# Everything below such a line is somebody else's, though no line has a mark.
_REST_IS_QUOTED = re.compile(
    r"^(?:-{2,} ?(?:(?:Original|Forwarded|Ursprüngliche|Weitergeleitete)\b.*"
    r"|(?:On|Am) .{4,200}(?:wrote|schrieb.*):)"
    r"|_{10,}(?=\n+(?:From|Von):)"
    r"|Begin forwarded message:"
    r"|(?:From|Von): .+(?=\n(?:Sent|Date|Gesendet|Datum|To|An|Subject|Betreff): ))",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTED_HEADERS = re.compile(
    r"\s*(?:-{2,}.*\n+)?(?:(?:From|To|Subject|Von|An|Betreff): |-{2,}|_{10,})"
)
# How Slack writes people, channels, groups and addresses: "<@U2>", "<#C1|general>", "<https://…|label>".
_REFERENCE = re.compile(
    r"<(?P<mark>@|#|!subteam\^|!)?(?P<target>[^<>|\n]+)(?:\|(?P<label>[^<>\n]*))?>"
)
# Kinds of messages that people write. The others tell who joined, left or renamed a channel.
_WRITTEN = frozenset(
    (None, "bot_message", "me_message", "thread_broadcast", "file_share", "reply_broadcast",
     "slackbot_response")
)  # fmt: skip
# The keys under which a message names who wrote it.
_NAMED = ("username", "user", "name", "author", "speaker", "role")
_TIMED = ("ts", "timestamp", "time", "date", "created_at")
# In milliseconds, a moment has more digits.
_MOST_SECONDS = 100_000_000_000
# Texts that programs read, not people.
_DATA = frozenset(("calendar", "x-vcard", "vcard", "directory", "css", "rfc822-headers"))
_ENCRYPTED = frozenset(
    ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")
)
_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read_mail(data: bytes, name: str) -> Reading:
    """A message as mail programs save it (RFC 5322): its headers and texts, what it quotes or forwards."""
    del name
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = decoded(data)[0].encode()
    data = _UNQUOTED.sub(rb'\1"\2"', data)
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    if not any(message.get(header) for header in _HEADERS):
        raise Unreadable("is no mail message. Save it again as .eml.")
    reader = _Mail()
    reader.builder.heading(1, _header(message, "Subject") or "Without a subject")
    reader.read(message)
    if not reader.texts:
        if message.get_content_type() in _ENCRYPTED:
            raise Unreadable("is encrypted. Save its text as .txt.")
        raise reader.refused
    if reader.attachments:
        names = ", ".join(reader.attachments)
        reader.notes.append(f"These attachments are not read: {names}. Add them as sources.")
    return reader.builder.reading(*reader.notes)


class _Mail:
    """Reads a message and those it forwards.

    :ivar texts: the number of texts that are not empty
    :ivar refused: why the mail cannot be read, if it has no texts
    """

    def __init__(self) -> None:
        self.builder = Builder()
        self.notes: list[str] = []
        self.attachments: list[str] = []
        self.texts = 0
        self.refused = Unreadable("holds no text, only attachments. Send these.")

    def read(self, message: EmailMessage, *, forwarded: bool = False) -> None:
        for header in _HEADERS if forwarded else _HEADERS[:-1]:
            if words := _header(message, header):
                self.builder.add(BlockKind.FRONT_MATTER, f"{header}: {words}")
        sender = one_line(_header(message, "From").split("<", maxsplit=1)[0]).strip('" ')
        self._part(message, "" if forwarded else sender, forwarded)

    def _part(self, part: MIMEPart, sender: str, forwarded: bool) -> None:
        main, _, kind = part.get_content_type().partition("/")
        if part.is_attachment() and main != "message":
            self._attach(part)
        elif kind == "alternative":
            texts = list(part.iter_parts())
            # The last form that is not empty, but rather a plain one than HTML.
            texts.sort(key=lambda one: one.get_content_type() == "text/plain")
            chosen = next((one for one in reversed(texts) if _has_words(one)), None)
            if chosen is not None:
                self._part(chosen, sender, forwarded)
        elif main in ("multipart", "message") and part.is_multipart():
            for inner in part.iter_parts() if main == "multipart" else part.get_payload():
                if main == "message" and isinstance(inner, EmailMessage):
                    self.read(inner, forwarded=True)
                elif isinstance(inner, MIMEPart):
                    self._part(inner, sender, forwarded)
        elif main == "text" and kind not in _DATA:
            content, notes = _content(part)
            self.notes += [note for note in notes if note not in self.notes]
            self.texts += bool(content.strip())
            if kind == "html":
                self._page(content, sender, forwarded)
            else:
                self._text(content.replace("\r\n", "\n"), sender, forwarded)
        else:
            self._attach(part)

    def _attach(self, part: MIMEPart) -> None:
        # Pictures within the text, such as logos, have no name that says something.
        if part.is_attachment() or part.get_content_maintype() not in ("image", "multipart"):
            self.attachments.append(one_line(part.get_filename() or part.get_content_type()))

    def _page(self, content: str, sender: str, quoted: bool) -> None:
        try:
            read = read_page(content)
        except Unreadable as error:
            if content.strip():
                self.texts -= 1
                self.refused = error
            return
        for block in read.blocks or ():
            words = read.text[block.body : block.end]
            if block.kind is BlockKind.HEADING and not block.columns and words.startswith("#"):
                self.builder.heading(2 + len(block.headings), words.lstrip("# "))
                continue
            kind = block.kind
            if _ANSWERED.match(words):
                quoted, kind = True, BlockKind.FRONT_MATTER
            elif kind is not BlockKind.LINKS and (quoted or _ANNOUNCES.fullmatch(words.strip())):
                kind = BlockKind.QUOTATION
            speaker = "" if kind in (*SILENT, BlockKind.QUOTATION) else sender
            prefix = read.text[block.start : block.body]
            self.builder.add(
                kind,
                words,
                prefix=prefix,
                speaker=speaker,
                number=block.number,
                done=block.done,
                columns=block.columns,
            )

    def _text(self, content: str, sender: str, forwarded: bool) -> None:
        text = _WRAPPED.sub(r"\1 \2", _SIGNATURE.split(content)[0])
        rest = _REST_IS_QUOTED.search(text)
        own, foreign = (text[: rest.start()], text[rest.start() :]) if rest else (text, "")
        if forwarded:
            own, foreign = "", text
        for quoted, lines in itertools.groupby(own.split("\n"), key=_is_quoted):
            if quoted:
                self.builder.add(BlockKind.QUOTATION, "\n".join(lines))
            else:
                self._own("\n".join(map(one_line, lines)), sender)
        for paragraph in _EMPTY_LINES.split(foreign):
            headers = _QUOTED_HEADERS.match(paragraph)
            self.builder.add(BlockKind.FRONT_MATTER if headers else BlockKind.QUOTATION, paragraph)

    def _own(self, text: str, sender: str) -> None:
        """Add what the sender wrote: paragraphs, lists and whatever else Markdown has."""
        for block in read_blocks(text, indented_code=False):
            self.builder.add(
                block.kind,
                text[block.body : block.end],
                prefix=text[block.start : block.body],
                below=block.headings,
                speaker=block.speaker or ("" if block.kind in SILENT else sender),
                number=block.number,
                done=block.done,
                time=block.time,
                columns=block.columns,
            )


def _has_words(part: MIMEPart) -> bool:
    if part.get_content_maintype() != "text":
        return part.is_multipart()
    return part.get_content_subtype() not in _DATA and bool(_content(part)[0].strip())


def _header(message: EmailMessage, name: str) -> str:
    """Return a header. Careless programs write its characters without an encoding."""
    words = str(message.get(name) or "")
    if "\ufffd" in words:
        written = next(value for key, value in message.raw_items() if key.lower() == name.lower())
        with suppress(Unreadable):
            return decoded(str(written).encode("utf-8", "surrogateescape"))[0]
    return words


def _content(part: MIMEPart) -> tuple[str, tuple[str, ...]]:
    """Return the text of a part. Programs often name an encoding that is not the one they use."""
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    label = part.get_content_charset()
    return decoded_as(data, label) if label else decoded(data)


def _is_quoted(line: str) -> bool:
    """Check for a quoted line, or one that announces a quotation."""
    return line.lstrip().startswith(">") or _ANNOUNCES.fullmatch(line.strip()) is not None


def read_json(data: bytes, name: str) -> Reading:
    """A day of a channel, as Slack exports it: a list of messages."""
    del name
    text, notes = decoded(data)
    try:
        messages = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable("is no JSON. Export it again.") from error
    builder = Builder()
    if isinstance(messages, Mapping):
        # Programs that fetch one channel write an object around its messages.
        messages = messages.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unreadable("is no list of messages. Send a day of a channel from an export of Slack.")
    found = [
        message["message"]
        if message.get("subtype") == "message_changed"
        and isinstance(message.get("message"), Mapping)
        else message
        for message in _objects(messages)
    ]
    people = {
        str(message["user"]): name
        for message in found
        if message.get("user") and (name := _name_in_profile(message))
    }
    for message in found:
        text = _text_of(message)
        if text and message.get("subtype") in _WRITTEN:
            written = {**message, "text": _without_marks(text, people)}
            if "user" in message:
                written["user"] = people.get(str(message["user"]), message["user"])
            _add_message(builder, written)
    return builder.reading(*notes)


def _text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message of Slack, which programs may put into its attachments or blocks."""
    text = message.get("text")
    found = [text if isinstance(text, str) else ""]
    if not found[0]:
        found += map(_words_of_block, _objects(message.get("blocks")))
    if not any(found) or "bot_id" in message or message.get("subtype") == "bot_message":
        for attachment in _objects(message.get("attachments")):
            # What Slack shows of an address in the text is no part of the message.
            if "from_url" not in attachment:
                words = attachment.get("text") or attachment.get("fallback")
                found.append(words if isinstance(words, str) else "")
    return "\n".join(filter(None, found))


def _words_of_block(block: Mapping[str, Any]) -> str:
    """Return the words of a block, as the text of a message would have them."""
    inner = block.get("text")
    match block.get("type"):
        case "user":
            return f"<@{block.get('user_id')}>"
        case "emoji":
            return f":{block.get('name')}:"
        case "link" if not inner:
            return f"<{block.get('url')}>"
        case "link":
            return f"<{block.get('url')}|{inner}>"
    words = _words_of_block(inner) if isinstance(inner, Mapping) else str(inner or "")
    parts = [*_objects(block.get("elements")), *_objects(block.get("fields"))]
    between = "" if any(part.get("type") == "text" for part in parts) else "\n"
    return between.join(filter(None, [words, *map(_words_of_block, parts)]))


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, Mapping))


def _without_marks(text: str, people: Mapping[str, str]) -> str:
    """The text of a message of Slack as people read it."""

    def shown(reference: re.Match[str]) -> str:
        mark, target, label = reference["mark"], reference["target"], reference["label"]
        if mark == "@":
            return f"@{people.get(target) or label or target}"
        if mark:
            return f"{'#' if mark == '#' else '@'}{(label or target).lstrip('@')}"
        address = target.removeprefix("mailto:")
        return f"[{label}]({target})" if label and label not in (target, address) else address

    return html.unescape(_REFERENCE.sub(shown, text))


def read_json_lines(data: bytes, name: str) -> Reading:
    """A JSON object per line: a message, or a row with the names of its values."""
    del name
    text, notes = decoded(data)
    builder = Builder()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_unambiguous)
        except _NamedTwice as error:
            raise Unreadable(f"names {error} twice in line {number}. Remove one.") from error
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"has no JSON in line {number}. Correct or remove it.") from error
        for one in _conversation(row):
            if isinstance(one, Mapping) and (words := _words_of(one)):
                _add_message(builder, {**one, "text": words})
            elif isinstance(one, Mapping):
                builder.row(map(_shown, one.values()), tuple(map(one_line, one)))
            else:
                builder.row([_shown(one)])
    return builder.reading(*notes)


class _NamedTwice(ValueError):
    """An object has two values of one name, of which programs take one or the other."""


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known = dict(pairs)
    if len(known) < len(pairs):
        names = [name for name, _ in pairs]
        raise _NamedTwice(next(repr(name)[:80] for name in names if names.count(name) > 1))
    return known


def _conversation(row: Any) -> list[Any]:
    """The messages of a row that is a conversation; else the row."""
    messages = row.get("messages") if isinstance(row, Mapping) else None
    said = isinstance(messages, list) and all(
        isinstance(one, Mapping) and _words_of(one) for one in messages
    )
    return messages if messages and said else [row]


def _shown(value: object) -> object:
    """The value as JSON has it, but words without quotation marks."""
    return (
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )


def _words_of(row: Mapping[str, Any]) -> str:
    """Return what somebody says in a row; empty if it is no message."""
    if isinstance(row.get("text"), str):
        return str(row["text"])
    said = next((row[key] for key in ("content", "message", "body") if key in row), None)
    return said if isinstance(said, str) and any(row.get(key) for key in _NAMED) else ""


def _add_message(builder: Builder, message: Mapping[str, Any]) -> None:
    names = [message.get(key) for key in _NAMED]
    names.insert(0, _name_in_profile(message))
    speaker = one_line(next((name for name in names if isinstance(name, str) and name), ""))
    time = next(filter(None, (_time(message.get(key)) for key in _TIMED)), "")
    prefix = f"{speaker}: " if speaker else ""
    builder.add(BlockKind.MESSAGE, message["text"], prefix=prefix, speaker=speaker, time=time)


def _name_in_profile(message: Mapping[str, Any]) -> str:
    profile = message.get("user_profile")
    if not isinstance(profile, Mapping):
        return ""
    names = (profile.get(key) for key in ("real_name", "display_name", "name"))
    return next((name for name in names if isinstance(name, str) and name), "")


def _time(stamp: object) -> str:
    """Return a moment in UTC, or as it is written."""
    if isinstance(stamp, str) and ("-" in stamp or ":" in stamp):
        return one_line(stamp)[:40]
    try:
        seconds = float(str(stamp))
        moment = datetime.fromtimestamp(seconds / (1000 if seconds > _MOST_SECONDS else 1), UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{moment:%Y-%m-%d %H:%M}"
