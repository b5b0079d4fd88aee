"""Documents as Markdown, by the template that the line names."""

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

# What begins a block of CommonMark at the start of a line: heading, quotation, fence, list, rule, link
# definition. A number is told from the others: its dot is what must be escaped.
_BLOCK_START = re.compile(
    r"#{1,6}(?= |$)|>|`{3}|~{3}|[-+*](?= |$)|(?:[-*_] ?){3,}$|\[[^]]+\]:|\d{1,9}(?=[.)](?: |$))"
)
# HTML or a link in angle brackets. A backslash before it would undo ours, unless it is escaped as well.
_ANGLE = re.compile(r"(\\*)<(?=[a-zA-Z/!?])")


def plain(text: str) -> str:
    """``text`` to the letter, on one line that begins no block and holds no HTML, link or image."""
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
    """The document as Markdown: the template's text, then the evidence by number, then how it was made.

    :param content: its statements are judged
    :param source_names: by source id
    :param colophon: how it was made, in one paragraph
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
            # The name is put in when it is read, so that it goes with its user.
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
    # Without definitions of links, the target in parentheses is what makes a link or an image.
    return line.replace("](", "]\\(")
