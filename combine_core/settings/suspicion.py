"""What a text betrays before anyone reads it as a value: quotes, stray whitespace, placeholders."""

import re
import unicodedata
from dataclasses import dataclass

from combine_core.settings.declare import Kind
from combine_core.settings.environment import NOT_DEVELOPMENT
from combine_core.settings.problems import Finding

# Also those that word processors and chats put in place of the plain ones.
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
# In a key: sk-xxxxxxxx, changeme-changeme-changeme. So long that no random key holds one by chance.
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


@dataclass(frozen=True, slots=True)
class Examined:
    """A text with what is wrong around it, and the text as it was probably meant."""

    text: str
    findings: tuple[Finding, ...]
    placeholder: bool


def examine(raw: str, kind: Kind, *, many: bool = False) -> Examined:
    """Look at a text as it was found.

    :param many: the setting is a list, which may run over several lines
    """
    findings: list[Finding] = []
    value = raw.strip()
    if value != raw:
        what = "has whitespace around its value" if value else "consists of whitespace"
        findings.append(Finding(what, "remove the spaces and line ends", NOT_DEVELOPMENT))
    invisible = _invisible(value, kind, many=many)
    if invisible:
        findings.append(Finding(f"contains {invisible}", "type the value anew, in one line"))
    quoted = [end in _QUOTES for end in (value[:1], value[-1:]) if end]
    if (all(quoted) and len(value) > 1) or (any(quoted) and kind is not Kind.PROSE):
        what = "is still in quotes" if all(quoted) else "has a quote at one end"
        findings.append(Finding(what, "write it without quotes", NOT_DEVELOPMENT))
        value = value.strip(_QUOTES).strip()
    placeholder = True
    if is_reference(value):
        findings.append(
            Finding("is a reference that nothing has replaced", refused_in=NOT_DEVELOPMENT)
        )
    elif kind is not Kind.PROSE and is_placeholder(value, kind):
        findings.append(Finding("still holds a placeholder", refused_in=NOT_DEVELOPMENT))
    else:
        placeholder = False
    return Examined(value, tuple(findings), placeholder)


def is_placeholder(value: str, kind: Kind) -> bool:
    """Whether someone was meant to replace the text: changeme, your-key-here, <key>, None."""
    if _PLACEHOLDER.fullmatch(value):
        return True
    return kind is Kind.KEY and bool(_NO_KEY.fullmatch(value) or _PLACEHOLDER_IN_KEY.search(value))


def is_reference(value: str) -> bool:
    """Whether the whole text is a reference to a variable, such as ${SECRET_KEY}."""
    return _REFERENCE.fullmatch(value) is not None


def _invisible(value: str, kind: Kind, *, many: bool) -> str:
    """The first character that nobody can see or that is no text, in words; else ""."""
    # People's names may hold joiners and no-break spaces.
    suspects = ("Cc", "Cs") if kind is Kind.PROSE else ("Cc", "Cs", "Cf", "Zs", "Zl", "Zp")
    for character in value:
        if character == " " or (many and character in "\r\n\t"):
            continue
        if unicodedata.category(character) == "Cs":
            return "bytes that are not UTF-8"
        if unicodedata.category(character) in suspects:
            named = {"\n": "a line break", "\r": "a line break", "\t": "a tab"}
            return named.get(character, f"an invisible character (U+{ord(character):04X})")
    return ""
