"""What a text betrays before anyone reads it as a value: quotes, stray whitespace, placeholders."""

import re
import unicodedata
from dataclasses import dataclass

from combine_core.settings.problems import NOT_DEVELOPMENT, Finding

_QUOTES = "\"'`“”‘’„«»"
_PLACEHOLDERS = re.compile(
    r"""
      (change|replace|set|edit|fill|insert|enter|put)[-_ ]?(me|this|it|in|here|before.*)
    | (your|my|the)[-_ ]?.*(key|secret|password|token|id|value|url|here)
    | your[-_ ].*
    | <.*> | \[.*\] | \{.*\}
    | x{3,} | \.{3} | … | \*+ | -+ | \?+ | _+
    | example([-_ ].*)? | sample | dummy | placeholder | fixme | todo([-_: ].*)? | tbd
    | none | null | nil | undefined | nan
    """,
    re.VERBOSE | re.IGNORECASE,
)
# In the middle of a secret: sk-xxxxxxxx, changeme-changeme-changeme. Long enough that no random key holds one.
_PLACEHOLDER_INSIDE = re.compile(
    r"change[-_ ]?me|change[-_ ]?this|replace[-_ ]?me|placeholder|your[-_ ](secret|key|api|client)|x{8,}|\.\.\.|…|<[a-z -]+>",
    re.IGNORECASE,
)
_OBVIOUS_SECRET = re.compile(r"(secret|password|passwd|key|token)", re.IGNORECASE)
_REFERENCE = re.compile(
    r"\$\{[^}]*\}|\$[A-Z_][A-Z0-9_]*|\$\([^)]*\)|%\([^)]*\)s|%[A-Z_]{2,}%|\{\{.*\}\}"
)


@dataclass(frozen=True, slots=True)
class Examined:
    """A text with what is wrong around it, and the text as it was probably meant."""

    text: str
    findings: tuple[Finding, ...]
    placeholder: bool


def examine(raw: str, *, secret: bool, text: bool, many: bool) -> Examined:
    """Look at a text as it was found.

    :param secret: the setting is a secret
    :param text: the setting is free text, where quotes and words are the writer's business
    :param many: the setting is a list, which may run over several lines
    """
    findings: list[Finding] = []
    value = raw
    invisible = _invisible(value, many=many)
    if invisible:
        findings.append(
            Finding(f"contains an invisible character ({invisible})", "type the value anew")
        )
    if value != value.strip():
        value = value.strip()
        what = "consists of whitespace" if not value else "has whitespace around its value"
        findings.append(Finding(what, "remove the spaces and line ends", NOT_DEVELOPMENT))
    unquoted = value.strip(_QUOTES).strip()
    if len(value) > 1 and value[0] in _QUOTES and value[-1] in _QUOTES:
        value = unquoted
        findings.append(Finding("is still in quotes", "write it without quotes", NOT_DEVELOPMENT))
    elif not text and value and (value[0] in _QUOTES or value[-1] in _QUOTES):
        value = unquoted
        findings.append(
            Finding("has a quote at one end", "write it without quotes", NOT_DEVELOPMENT)
        )
    if is_reference(value):
        findings.append(
            Finding("is a reference that nothing has replaced", "", frozenset(NOT_DEVELOPMENT))
        )
        return Examined(value, tuple(findings), placeholder=True)
    if not text and is_placeholder(value, secret=secret):
        findings.append(Finding("still holds a placeholder", "", NOT_DEVELOPMENT))
        return Examined(value, tuple(findings), placeholder=True)
    return Examined(value, tuple(findings), placeholder=False)


def is_placeholder(value: str, *, secret: bool) -> bool:
    """Whether someone was meant to replace the text: changeme, your-key-here, <key>, None."""
    if _PLACEHOLDERS.fullmatch(value):
        return True
    return secret and bool(_PLACEHOLDER_INSIDE.search(value) or _OBVIOUS_SECRET.fullmatch(value))


def is_reference(value: str) -> bool:
    """Whether the whole text is a reference to a variable, such as ${SECRET_KEY}."""
    return _REFERENCE.fullmatch(value) is not None


def _invisible(value: str, *, many: bool) -> str:
    for character in value.strip() if many else value.strip():
        if character == " " or (many and character in "\r\n\t"):
            continue
        category = unicodedata.category(character)
        if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"):
            return {"\n": "a line break", "\r": "a line break", "\t": "a tab"}.get(
                character, f"U+{ord(character):04X}"
            )
    return ""
