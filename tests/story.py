"""The story of four users: the sources of two meetings, a model that reads them, and the exports."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from zipfile import ZipFile

import pypdfium2

from tests.vendor_server import Exchange, ok

MODEL = "openai/gpt-5-mini"
SOURCES = {
    "minutes.md": """# Harbour council

We decided to open the harbour on 3 May 2027.
Ada sends the building plan to the council by 2027-02-01.
Who pays for the tugs?
""",
    "budget.md": """# Budget

The budget of the harbour is 40,000 euros.
We decided to hire two pilots.
""",
    "letter.md": """# Letter of the port office

We decided to open the harbour on 9 June 2027.
Bob orders the buoys by 2027-03-01.
""",
}
CORRECTED = SOURCES["budget.md"].replace("40,000", "45,000")
SECOND_MEETING = """# Harbour council, second meeting

Ada sends the building plan to the council by 2027-03-15.
Tom paints the lighthouse by 2027-04-01.
"""
_SECTIONS = ("summary", "key_points", "decisions", "numbers", "open_questions", "next_steps")
_KINDS = {
    "decision": "decisions",
    "question": "open_questions",
    "action": "next_steps",
    "number": "numbers",
}


def reads_with_care(exchange: Exchange) -> None:
    """Return every line of a source as a fact, and every fact as a statement with evidence."""
    prompt = exchange.request.prompt
    label = re.search(r"^## Source (\S+):", prompt, re.MULTILINE)
    if label is not None:
        lines = re.findall(r"^ *(\d+)\| ([^#\s].*)$", prompt, re.MULTILINE)
        facts = [_fact(label[1], int(number), text) for number, text in lines]
        ok({"facts": facts})(exchange)
        return
    brief: dict[str, list[object]] = {section: [] for section in _SECTIONS}
    found = re.findall(
        r"^- \[(\w+)\] (.*)\n(?:  (?!evidence).*\n)*  evidence: (.*)$", prompt, re.MULTILINE
    )
    for kind, text, evidence in found:
        brief[_KINDS[kind]].append(
            {"text": text, **_who_and_when(text), "evidence": [json.loads(evidence)]}
        )
    ok(brief)(exchange)


def _fact(source: str, number: int, text: str) -> dict[str, object]:
    evidence = {"source": source, "line_from": number, "line_to": number, "quote": text}
    return {"text": text, "kind": _kind(text), **_who_and_when(text), "evidence": [evidence]}


def _kind(text: str) -> str:
    if text.startswith("We decided"):
        return "decision"
    if text.endswith("?"):
        return "question"
    return "action" if " by 2027" in text else "number"


def _who_and_when(text: str) -> dict[str, str]:
    action = re.match(r"(\w+) .* by (2027-\S+)\.$", text)
    return {"owner": action[1], "due": action[2]} if action else {}


def words_of_pdf(file: Path) -> str:
    """Return the text of a PDF without white space, because lines can be broken anywhere."""
    if shutil.which("pdftotext") is not None:
        command = ["pdftotext", "-enc", "UTF-8", str(file), "-"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    else:
        pages = pypdfium2.PdfDocument(file)
        text = "".join(page.get_textpage().get_text_range() for page in pages)
    return without_white_space(unicodedata.normalize("NFKC", text))


def words_of_docx(file: Path) -> str:
    """Return the text of a DOCX file and its footnotes without white space."""
    with ZipFile(file) as parts:
        text = "".join(
            parts.read(f"word/{name}.xml").decode() for name in ("document", "footnotes")
        )
    return without_white_space(html.unescape(re.sub(r"<[^>]*>", "", text)))


def without_white_space(text: str) -> str:
    return "".join(text.split())
