"""Read messages: mail, exports of Slack, and JSON lines."""

from __future__ import annotations

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

from combine_core.readers.block import BlockKind
from combine_core.readers.documents import read_page
from combine_core.readers.plain import decoded
from combine_core.readers.reading import Builder, Reading, Unreadable, one_line

_SIGNATURE = re.compile(r"(?m)^-- $")
_ANNOUNCES = re.compile(r"(?:-+ ?)?(?:On|Am) .{4,200}(?:wrote|schrieb.*):", re.IGNORECASE)
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
    {None, "bot_message", "me_message", "thread_broadcast", "file_share", "reply_broadcast"}
)
# The keys under which a message names who wrote it.
_NAMED = ("username", "user", "name", "author", "speaker")
_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read_mail(data: bytes, name: str) -> Reading:
    """A message as mail programs save it (RFC 5322): its headers, its text, and what it quotes."""
    del name
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    if not any(message.get(header) for header in _HEADERS):
        raise Unreadable("is no mail message. Save it again as .eml.")
    builder = Builder()
    builder.heading(1, str(message.get("Subject") or "Without a subject"))
    for header in _HEADERS[:-1]:
        if message.get(header):
            builder.add(BlockKind.FRONT_MATTER, f"{header}: {message[header]}")
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None:
        raise Unreadable("holds no text, only attachments. Send these.")
    content, notes = _content(body)
    if body.get_content_subtype() == "html":
        read = read_page(content)
        for block in read.blocks or ():
            words = read.text[block.body : block.end]
            if block.kind is BlockKind.HEADING:
                builder.heading(2 + len(block.headings), words.lstrip("# "))
            else:
                builder.add(block.kind, words, columns=block.columns)
        return builder.reading(*notes)
    sender = str(message.get("From") or "")
    text = _SIGNATURE.split(content.replace("\r\n", "\n"))[0]
    rest = _REST_IS_QUOTED.search(text)
    own, foreign = (text[: rest.start()], text[rest.start() :]) if rest else (text, "")
    for paragraph in own.split("\n\n"):
        for quoted, lines in itertools.groupby(paragraph.split("\n"), key=_is_quoted):
            kind = BlockKind.QUOTATION if quoted else BlockKind.PARAGRAPH
            speaker = "" if quoted else one_line(sender.split("<", maxsplit=1)[0])
            builder.add(kind, "\n".join(lines), speaker=speaker)
    for paragraph in foreign.split("\n\n"):
        headers = _QUOTED_HEADERS.match(paragraph)
        builder.add(BlockKind.FRONT_MATTER if headers else BlockKind.QUOTATION, paragraph)
    return builder.reading(*notes)


def _content(body: MIMEPart) -> tuple[str, tuple[str, ...]]:
    """Return the text of a part. Programs often name an encoding that is not the one they use."""
    with suppress(LookupError, UnicodeError):
        content = str(body.get_content())
        if "\ufffd" not in content:
            return content, ()
    data = body.get_payload(decode=True)
    assert isinstance(data, bytes)
    return decoded(data)


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
    found = [message for message in messages if isinstance(message, Mapping)]
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
    if isinstance(message.get("text"), str) and message["text"]:
        return str(message["text"])
    found = []
    for attachment in _objects(message.get("attachments")):
        words = attachment.get("text") or attachment.get("fallback")
        if isinstance(words, str):
            found.append(words)
    for block in _objects(message.get("blocks")):
        for section in _objects(block.get("elements")):
            parts = [part.get("text") for part in _objects(section.get("elements"))]
            found.append("".join(part for part in parts if isinstance(part, str)))
    return "\n".join(filter(None, found))


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
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"has no JSON in line {number}. Correct or remove it.") from error
        if isinstance(row, Mapping) and (words := _words_of(row)):
            _add_message(builder, {**row, "text": words})
        elif isinstance(row, Mapping):
            builder.row(row.values(), tuple(map(one_line, row)))
        else:
            builder.row([row])
    return builder.reading(*notes)


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
    time = _time(message.get("ts"))
    prefix = f"{speaker}: " if speaker else ""
    builder.add(BlockKind.MESSAGE, message["text"], prefix=prefix, speaker=speaker, time=time)


def _name_in_profile(message: Mapping[str, Any]) -> str:
    profile = message.get("user_profile")
    if not isinstance(profile, Mapping):
        return ""
    names = (profile.get(key) for key in ("real_name", "display_name", "name"))
    return next((name for name in names if isinstance(name, str) and name), "")


def _time(stamp: object) -> str:
    try:
        moment = datetime.fromtimestamp(float(str(stamp)), UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{moment:%Y-%m-%d %H:%M}"
