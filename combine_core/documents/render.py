"""Renders documents as Markdown with the template of their line."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import ChoiceLoader, PackageLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from combine_core.documents.statements import details_of, nothing_in_words, support_in_words
from combine_core.evidence import Verdict, count_verdicts, reason_in_words, repair_in_words
from combine_core.lines import line_packages

# The start of a CommonMark block: heading, quotation, fence, list, rule or link definition. For a number, the
# dot after it must be escaped; otherwise the first character.
_BLOCK_START = re.compile(
    r"#{1,6}(?= |$)|>|`{3}|~{3}|[-+*](?= |$)|(?:[-*_] ?){3,}$|\[[^]]+\]:|\d{1,9}(?=[.)](?: |$))"
)
# HTML or a link in angle brackets. Backslashes before it are escaped too, or they would undo the escape.
_ANGLE = re.compile(r"(\\*)<(?=[a-zA-Z/!?])")


def plain(text: str) -> str:
    """Escape ``text`` for Markdown, as one line of plain text without blocks, HTML, links or images."""
    line = _inline(text)
    match = _BLOCK_START.match(line)
    if match is None:
        return line
    if match.group().isdigit():
        return f"{match.group()}\\{line[match.end() :]}"
    return f"\\{line}"


@functools.cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([PackageLoader(package, "") for package in line_packages()]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = plain
    return environment


def render_markdown(
    template: str,
    *,
    title: str,
    content: Mapping[str, Any],
    source_names: Mapping[str, str],
    colophon: str,
    used_llm: bool,
) -> str:
    """Render the document as Markdown: the template, the numbered evidence and the colophon.

    :param content: judged content
    :param source_names: the names of the sources by id
    :param colophon: a paragraph on the line and model that made the document
    """
    evidence: list[str] = []

    def cite(item: Mapping[str, Any]) -> str:
        marks = ""
        for proof in item["evidence"]:
            name = plain(source_names[proof["source_id"]])
            first, last = proof["line_from"], proof["line_to"]
            lines = f"line {first}" if first == last else f"lines {first}-{last}"
            entry = f"{name}, {lines}: “{_inline(proof['quote'])}”"
            if entry not in evidence:
                evidence.append(entry)
            marks += f" [{evidence.index(entry) + 1}]"
        if item.get("verdict") == Verdict.UNSUPPORTED:
            reasons = " ".join(reason_in_words(code) for code in item["reasons"])
            marks += f" **(unsupported: {reasons})**"
        elif item.get("verdict") == Verdict.OWN:
            # markdown_of replaces the id by the name, so that the name disappears with the user.
            marks += f" **(own words of {item['author_id']})**"
        elif item.get("repairs"):
            marks += f" (repaired: {', '.join(map(repair_in_words, item['repairs']))})"
        details = "; ".join(f"{label}: {value}" for label, value in details_of(item))
        return f"{marks}\n  - {plain(details)}" if details else marks

    body = (
        _environment()
        .get_template(template)
        .render(
            title=title,
            content=content,
            cite=cite,
            support=support_in_words(count_verdicts(content).as_json(), used_llm),
            nothing=nothing_in_words(used_llm),
        )
    )
    parts = [body.strip()]
    if evidence:
        numbered = "\n".join(f"{number}. {entry}" for number, entry in enumerate(evidence, 1))
        parts.append(f"## Evidence\n\n{numbered}")
    parts.append(f"---\n\n{colophon}")
    return "\n\n".join(parts) + "\n"


def _inline(text: str) -> str:
    line = _ANGLE.sub(r"\1\1\\<", " ".join(text.split()))
    # Link definitions are escaped, so only a target in parentheses can make a link or an image.
    return line.replace("](", "]\\(")
