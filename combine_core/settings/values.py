"""Parses texts as numbers, sizes, switches, lists and web addresses.

Each parser raises ``Unusable`` with a remedy instead of guessing. :func:`examine` checks a text before it is
parsed, for quotes, stray white space and placeholders.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from combine_core.settings.declaration import NOT_DEVELOPMENT, Finding, Kind, Unusable

E = TypeVar("E", bound=StrEnum)

_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}
_SWITCH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = "scheme://host or scheme://host:port"

# Including the typographic quotes of word processors and chats.
_QUOTES = "\"'`\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}" + (
    "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
    "\N{DOUBLE LOW-9 QUOTATION MARK}\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}"
    "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"
)
_PLACEHOLDER = re.compile(
    r"""
      (change|replace|set|edit|fill|insert|enter|put)[-_ ]?(me|this|it|in|here|before.*)
    | your[-_ ].* | your(key|secret|password|token|id)
    | <.*> | \[[\w\ -]*\] | \{[\w\ -]*\}
    | x{3,} | \.{3} | \u2026 | \*{3,} | -+ | \?+ | _+
    | example([-_ ].*)? | sample | dummy | placeholder | fixme | todo([-_: ].*)? | tbd
    | none | null | nil | undefined | nan
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Matches inside a key: sk-xxxxxxxx, changeme-changeme. Too long to occur in a random key by chance.
_PLACEHOLDER_IN_KEY = re.compile(
    r"""
      (change|replace)[-_ ]?(me|this) | placeholder | your[-_ ](secret|key|api|client|own)
    | x{8,} | \.\.\. | \u2026 | <[a-z _-]+>
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NO_KEY = re.compile(
    r"secret|secret[-_ ]?key|password|passwd|key|token|api[-_ ]?key", re.IGNORECASE
)
_REFERENCE = re.compile(
    r"\$\{[^}]*\}|\$[A-Z_][A-Z0-9_]*|\$\([^)]*\)|%\([^)]*\)s|%[A-Z_]{2,}%|\{\{.*\}\}"
)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a parser for whole numbers from `low` to `high`, in ASCII digits."""

    def parse(text: str) -> int:
        # int() would accept 1_000, digits of other scripts, and thousands of digits.
        if not re.fullmatch(r"-?[0-9]{1,15}", text):
            raise Unusable(Finding("is not a whole number", f"write a number from {low} to {high}"))
        if not low <= int(text) <= high:
            raise Unusable(Finding("is out of range", f"write a whole number from {low} to {high}"))
        return int(text)

    return parse


def size(low: int, high: int) -> Callable[[str], int]:
    """Return a parser for sizes in bytes. The suffixes k and m mean 1024 and 1024 * 1024 bytes."""

    def parse(text: str) -> int:
        match = re.fullmatch(r"([0-9]{1,15})([kKmM]?)", text)
        remedy = f"write {_as_size(low)} to {_as_size(high)}, such as 10m"
        if match is None:
            raise Unusable(Finding("is not a size in bytes (with k or m, if you like)", remedy))
        number = int(match[1]) * _UNITS[match[2].lower()]
        if not low <= number <= high:
            raise Unusable(Finding("is out of range", remedy))
        return number

    return parse


def _as_size(number: int) -> str:
    unit = next(unit for unit in ("m", "k", "") if number % _UNITS[unit] == 0)
    return f"{number // _UNITS[unit]}{unit}"


def switch(text: str) -> bool:
    """Parse true, yes, on, 1 or false, no, off, 0."""
    if text.casefold() not in _SWITCH:
        raise Unusable(Finding("is neither true nor false", "write true or false"))
    return _SWITCH[text.casefold()]


def one_of(choices: type[E], *, any_case: bool = False) -> Callable[[str], E]:
    """Return a parser for the values of an enumeration."""
    names = [choice.value for choice in choices]

    def parse(text: str) -> E:
        try:
            return choices(text.casefold() if any_case else text)
        except ValueError:
            listed = f"{', '.join(names[:-1])} or {names[-1]}"
            raise Unusable(
                Finding(f"is not one of {', '.join(names)}", f"write {listed}")
            ) from None

    return parse


def one_word(text: str) -> str:
    """Parse a text without white space, such as a key, an identifier or the name of a model."""
    if re.search(r"\s", text):
        raise Unusable(Finding("contains a space", "write it in one piece"))
    return text


def words(text: str) -> tuple[str, ...]:
    """Split a list that is separated by commas, spaces or line breaks."""
    if text.startswith(("[", "(", "{")):
        remedy = "write the entries without brackets, separated by commas"
        raise Unusable(Finding("is in brackets", remedy))
    return tuple(entry for entry in re.split(r"[,\s]+", text) if entry)


def is_host(text: str) -> bool:
    """Check whether `text` is a host name, an IPv4 address, or an IPv6 address without brackets."""
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return False
        return True
    name = text.removesuffix(".")
    return 0 < len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


def is_port(text: str) -> bool:
    """Check whether `text` is a port number, 1 to 65535, in ASCII digits."""
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= 65535


def is_loopback(host: str) -> bool:
    """Check whether `host` can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_of(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def origin(text: str) -> str:
    """Parse an origin, in the form that browsers send (RFC 6454, 6.2): no path and no default port."""
    if text == "null":
        raise Unusable(Finding("is null, which every sandboxed page sends", f"write {_ORIGIN}"))
    if "*" in text:
        fault = "contains a wildcard, which would allow other people's sites"
        raise Unusable(Finding(fault, f"write {_ORIGIN}, each"))
    parts = _web_url(text)
    plain = _origin_of(parts)
    extras = {
        "a trailing slash": parts.path == "/",
        "a path": parts.path not in ("", "/"),
        "a query": "?" in text,
        "a fragment": "#" in text,
    }
    present = [name for name, is_there in extras.items() if is_there]
    if present:
        raise Unusable(Finding(f"has {' and '.join(present)}", f"write {plain}"))
    return plain


def origins(text: str) -> tuple[str, ...]:
    """Parse a list of origins, and remove duplicates."""
    findings: list[Finding] = []
    accepted: dict[str, None] = {}
    entries = words(text)
    if not entries:
        raise Unusable(Finding("contains no origin", f"write {_ORIGIN}"))
    for number, entry in enumerate(entries, 1):
        try:
            accepted[origin(entry)] = None
        except Unusable as problem:
            where = f"entry {number} " if len(entries) > 1 else ""
            findings += (Finding(where + found.fault, found.remedy) for found in problem.findings)
    if findings:
        raise Unusable(*findings)
    return tuple(accepted)


def base_url(text: str) -> str:
    """Parse the address of an API, which may have a path, and remove a slash at its end."""
    parts = _web_url(text)
    if "?" in text or "#" in text:
        remedy = "remove everything after the path"
        raise Unusable(Finding("has a query or a fragment", remedy))
    return _origin_of(parts) + parts.path.rstrip("/")


def _web_url(text: str) -> SplitResult:
    """Split an http(s) URL.

    :raises Unusable: lists every part that is not valid
    """
    form = f"write {_ORIGIN}"
    if re.search(r"[\s\\\x00-\x1f]", text):
        raise Unusable(Finding("contains a space or a backslash", form))
    if "://" not in text:
        raise Unusable(Finding("has no scheme", "write https:// (or http://) before the host"))
    try:
        parts = urlsplit(text)
        hostname = parts.hostname or ""
    except ValueError:
        raise Unusable(Finding("has an unusable host", form)) from None
    findings = []
    if text.partition("://")[0].lower() not in _DEFAULT_PORTS:
        findings.append(Finding("has a scheme that is not http or https", "write https://"))
    if "@" in parts.netloc:
        findings.append(Finding("contains a user name or password", "remove the part up to @"))
    if not hostname:
        findings.append(Finding("has no host", form))
    elif not is_host(hostname):
        findings.append(Finding("has an unusable host", _host_remedy(hostname)))
    _, colon, port = parts.netloc.rpartition("@")[2].rpartition("]")[2].partition(":")
    if colon and not is_port(port):
        findings.append(Finding("has a port that is not from 1 to 65535", form))
    if findings:
        raise Unusable(*findings)
    return parts


def _host_remedy(hostname: str) -> str:
    try:
        ascii_name = hostname.encode("idna").decode("ascii")
    except UnicodeError:
        ascii_name = hostname
    if ascii_name != hostname and is_host(ascii_name):
        return f"write the host as {ascii_name}"
    return "write a host name or an IP address"


def _origin_of(parts: SplitResult) -> str:
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    default = parts.port in (None, _DEFAULT_PORTS[scheme])
    return f"{scheme}://{host}" if default else f"{scheme}://{host}:{parts.port}"


@dataclass(frozen=True, slots=True)
class Examined:
    """The result of examining a text: its faults, and the text as it was probably meant."""

    text: str
    findings: tuple[Finding, ...]
    placeholder: bool


def examine(raw: str, kind: Kind, *, many: bool = False) -> Examined:
    """Examine a text before it is parsed.

    :param many: whether the setting is a list, which may contain line breaks
    """
    findings: list[Finding] = []
    value = raw.strip()
    if value != raw:
        fault = "has whitespace around its value" if value else "consists of whitespace"
        findings.append(Finding(fault, "remove the spaces and line ends", NOT_DEVELOPMENT))
    invisible = _invisible(value, kind, many=many)
    if invisible:
        findings.append(Finding(f"contains {invisible}", "type the value again, on one line"))
    quoted = [end in _QUOTES for end in (value[:1], value[-1:]) if end]
    if (all(quoted) and len(value) > 1) or (any(quoted) and kind is not Kind.PROSE):
        fault = "is still in quotes" if all(quoted) else "has a quote at one end"
        findings.append(Finding(fault, "write it without quotes", NOT_DEVELOPMENT))
        value = value.strip(_QUOTES).strip()
    unreplaced = ""
    if is_reference(value):
        unreplaced = "is a reference to a variable that was not replaced"
    elif kind is not Kind.PROSE and is_placeholder(value, kind):
        unreplaced = "still holds a placeholder"
    if unreplaced:
        findings.append(Finding(unreplaced, refused_in=NOT_DEVELOPMENT))
    return Examined(value, tuple(findings), bool(unreplaced))


def is_placeholder(value: str, kind: Kind) -> bool:
    """Check whether the text is a placeholder, such as changeme, your-key-here, <key> or None."""
    if _PLACEHOLDER.fullmatch(value):
        return True
    return kind is Kind.KEY and bool(_NO_KEY.fullmatch(value) or _PLACEHOLDER_IN_KEY.search(value))


def is_reference(value: str) -> bool:
    """Check whether the whole text is a reference to a variable, such as ${SECRET_KEY}."""
    return _REFERENCE.fullmatch(value) is not None


def _invisible(value: str, kind: Kind, *, many: bool) -> str:
    """Describe the first character that is invisible or not text, or return an empty string."""
    # Names of people may contain joiners and no-break spaces.
    suspects = ("Cc",) if kind is Kind.PROSE else ("Cc", "Cf", "Zs", "Zl", "Zp")
    for character in value:
        if character == " " or (many and character in "\r\n\t"):
            continue
        category = unicodedata.category(character)
        if category == "Cs":
            return "bytes that are not UTF-8"
        if category in suspects:
            named = {"\n": "a line break", "\r": "a line break", "\t": "a tab"}
            return named.get(character, f"an invisible character (U+{ord(character):04X})")
    return ""
