"""Reads Word documents: headings, paragraphs, lists, tables, text boxes, notes and comments."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from combine_core.readers.block import BlockKind
from combine_core.readers.reading import Builder, Reading, Unreadable, table

# Around paragraphs, rows, cells and runs, without a meaning of their own.
_WRAPPERS = frozenset(("sdt", "sdtContent", "ins", "moveTo", "smartTag", "customXml"))
# Properties, tracked deletions, the second form of a drawing; text boxes are blocks of their own.
_LEFT_OUT = frozenset(
    (
        "pPr",
        "rPr",
        "sdtPr",
        "del",
        "moveFrom",
        "Fallback",
        "txbxContent",
        "rt",
        "instrText",
        "docPr",
    )
)
_SPACES = frozenset(("tab", "br", "cr", "ptab"))
_OFF = ("0", "false", "off")
# Check boxes, and what Word's own fonts show for letters: Wingdings and Wingdings 2.
_BOXES = {"☐": False, "☑": True, "☒": True, "✓": True, "✔": True}
_SYMBOLS = {
    **dict.fromkeys(("F0FE", "F0FD", "F053", "F052", "F051", "F054"), "☒"),
    **dict.fromkeys(("F0A8", "F06F", "F0A3", "F035", "F071"), "☐"),
}
_QUOTATIONS = ("quote", "intense quote")
_LISTS = ("list bullet", "list number")
# Before raised words, which may be a power or a note behind a number.
_RAISED = "\0"
_RAISED_NUMBER = re.compile(rf"(?<=\d){_RAISED}(?=\d)")
_MOST_COLUMNS = 100
_LEVELS = 9
_ROMAN = (
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)


def read_docx(data: bytes, name: str) -> Reading:
    """Read a Word document, with tracked insertions and without tracked deletions."""
    del name
    import docx

    try:
        document = docx.Document(io.BytesIO(data))
        reader = _Reader(document)
    except Exception as error:
        raise Unreadable(
            f"is no Word document that can be read ({type(error).__name__}). Save it again as .docx."
        ) from error
    for part in _inner(document.element.body, "p", "tbl"):
        reader.read(part)
    return reader.builder.reading()


def _name(node: Any) -> str:
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _inner(node: Any, *names: str) -> Iterator[Any]:
    """Yield the children with these names, including those in content controls and insertions."""
    for child in node.iterchildren():
        name = _name(child)
        if name in names:
            yield child
        elif name in _WRAPPERS:
            yield from _inner(child, *names)


def _child(node: Any, *path: str) -> Any:
    """Return the element at this path, or ``None``."""
    for name in path:
        node = (
            next((child for child in node if _name(child) == name), None)
            if node is not None
            else None
        )
    return node


def _value(node: Any, *path: str, name: str = "val") -> str:
    """Return an attribute of the element at this path; empty if there is none."""
    node = _child(node, *path) if node is not None else None
    if node is None:
        return ""
    return next((value for key, value in node.attrib.items() if key.rpartition("}")[2] == name), "")


def _is_on(node: Any, *path: str) -> bool:
    return _child(node, *path) is not None and _value(node, *path) not in _OFF


@dataclass
class _Style:
    """The properties of a style, with those of the styles it is based on."""

    names: list[str] = field(default_factory=list)
    outline: str = ""
    numbering: Any = None


class _Reader:
    """Reads the parts of a document in their order.

    ``_notes`` are the numbers of the notes and comments to which the paragraph refers, with their elements.
    """

    def __init__(self, document: Any) -> None:
        self.builder = Builder()
        self._styles = {
            _value(style, name="styleId"): style
            for style in _inner(document.styles.element, "style")
        }
        self._read_styles: dict[str, _Style] = {}
        self._numbering = _Numbering(_related(document, "numbering"))
        self._known = {
            kind: {_value(note, name="id"): note for note in _related(document, f"{kind}s")}
            for kind in ("footnote", "endnote", "comment")
        }
        self._notes: list[tuple[str, Any]] = []
        self._count = 0

    def read(self, part: Any) -> None:
        """Read a paragraph or a table, then its text boxes, notes and comments."""
        if _name(part) == "tbl":
            self._table(part)
        else:
            self._paragraph(part)
        notes, self._notes = self._notes, []
        for box in _boxes(part):
            for inner in _inner(box, "p", "tbl"):
                self.read(inner)
        for mark, note in notes:
            words = " ".join(map(self._words, _inner(note, "p", "tbl")))
            if mark:
                self.builder.add(BlockKind.PARAGRAPH, words, prefix=f"{mark} ")
            else:
                author = _value(note, name="author")
                prefix = f"{author}: " if author else ""
                self.builder.add(BlockKind.COMMENT, words, prefix=prefix, speaker=author)

    def _paragraph(self, part: Any) -> None:
        words = self._words(part)
        style_id = _value(part, "pPr", "pStyle")
        if style_id not in self._read_styles:
            self._read_styles[style_id] = self._style(style_id)
        style = self._read_styles[style_id]
        outline = _value(part, "pPr", "outlineLvl") or style.outline
        level = next(
            (name.removeprefix("heading ") for name in style.names if name.startswith("heading ")),
            "",
        )
        label = self._numbering.label(_child(part, "pPr", "numPr"), style.numbering)
        box = _BOXES.get(words.lstrip()[:1])
        if (
            level.isdigit()
            or "title" in style.names[:1]
            or (outline.isdigit() and int(outline) < _LEVELS)
        ):
            self.builder.heading(int(level) if level.isdigit() else int(outline or 0) + 1, words)
        elif any(name.startswith("toc ") for name in style.names):
            self.builder.add(BlockKind.LINKS, words)
        elif label or box is not None or any(name.startswith(_LISTS) for name in style.names):
            words = words.lstrip()[1:] if box is not None else words
            mark = {None: "", True: "[x] ", False: "[ ] "}[box]
            number = "" if label in ("", "-") else label.strip("().: ")
            prefix = f"{label or '-'} {mark}"
            self.builder.add(BlockKind.LIST_ITEM, words, prefix=prefix, number=number, done=box)
        else:
            quoted = any(name in _QUOTATIONS for name in style.names)
            self.builder.add(BlockKind.QUOTATION if quoted else BlockKind.PARAGRAPH, words)

    def _style(self, style_id: str) -> _Style:
        found = _Style()
        while (style := self._styles.get(style_id)) is not None and len(found.names) < _LEVELS:
            found.names.append(_value(style, "name").lower())
            found.outline = found.outline or _value(style, "pPr", "outlineLvl")
            if found.numbering is None:
                found.numbering = _child(style, "pPr", "numPr")
            style_id = _value(style, "basedOn")
        return found

    def _words(self, node: Any) -> str:
        words = _RAISED_NUMBER.sub("^", "".join(self._texts(node)))
        return words.replace(_RAISED, "").strip()

    def _texts(self, node: Any) -> Iterator[str]:
        for child in node.iterchildren():
            name = _name(child)
            if name == "t":
                yield child.text or ""
            elif name in _LEFT_OUT or not name:
                continue
            elif name == "r":
                yield from self._run(child)
            elif name in _SPACES:
                yield " "
            elif name == "noBreakHyphen":
                yield "-"
            elif name == "sym":
                yield _SYMBOLS.get(_value(child, name="char").upper(), "")
            elif name == "checkBox":
                state = "checked" if _child(child, "checked") is not None else "default"
                yield "☒" if _is_on(child, state) else "☐"
            elif name.endswith("Reference"):
                yield self._refer(name.removesuffix("Reference"), _value(child, name="id"))
            else:
                if name in ("p", "tc"):
                    yield " "
                yield from self._texts(child)

    def _run(self, run: Any) -> Iterator[str]:
        if _is_on(run, "rPr", "vanish"):
            return
        words = "".join(self._texts(run))
        if _value(run, "rPr", "vertAlign") == "superscript":
            words = _RAISED + words
        struck = _is_on(run, "rPr", "strike") or _is_on(run, "rPr", "dstrike")
        yield (
            words.replace(words.strip(), f"~~{words.strip()}~~")
            if struck and words.strip()
            else words
        )

    def _refer(self, kind: str, note_id: str) -> str:
        note = self._known.get(kind, {}).get(note_id)
        if note is None:
            return ""
        if kind == "comment":
            self._notes.append(("", note))
            return ""
        self._count += 1
        self._notes.append((f"[{self._count}]", note))
        return f"[{self._count}]"

    def _table(self, part: Any) -> None:
        rows = [list(_inner(row, "tc")) for row in _inner(part, "tr")]
        nested = any(next(_inner(cell, "tbl"), None) is not None for row in rows for cell in row)
        if (nested and len(rows) == 1) or all(len(row) <= 1 for row in rows):
            # A table for the layout of its texts.
            for row in rows:
                for cell in row:
                    for inner in _inner(cell, "p", "tbl"):
                        self.read(inner)
            return
        table(self.builder, _filled(_inner(part, "tr"), self._words))


def _filled(rows: Iterator[Any], words_of: Callable[[Any], str]) -> Iterator[list[str]]:
    """The texts of the cells, each below the name of its column.

    A cell that spans several rows stands in each of them.
    """
    above: list[str] = []
    for row in rows:
        written = [""] * min(_number(_value(row, "trPr", "gridBefore"), 0), _MOST_COLUMNS)
        for cell in _inner(row, "tc"):
            merged = _child(cell, "tcPr", "vMerge")
            goes_on = merged is not None and _value(cell, "tcPr", "vMerge") != "restart"
            at = len(written)
            words = above[at] if goes_on and at < len(above) else words_of(cell)
            width = min(_number(_value(cell, "tcPr", "gridSpan"), 1), _MOST_COLUMNS)
            written += [words, *[""] * (width - 1)]
        yield written
        above = written


def _boxes(node: Any) -> Iterator[Any]:
    """Yield the outermost text boxes."""
    for child in node.iterchildren():
        name = _name(child)
        if name == "txbxContent":
            yield child
        elif name not in _LEFT_OUT:
            yield from _boxes(child)


def _related(document: Any, name: str) -> Any:
    """Return the root element of another part of the document, such as its footnotes; else nothing."""
    from docx.oxml import parse_xml

    for relation in document.part.rels.values():
        if relation.reltype.endswith(f"/{name}") and not relation.is_external:
            return parse_xml(relation.target_part.blob)
    return ()


class _Numbering:
    """Counts the items of lists, whose numbers are not part of the text of a document."""

    def __init__(self, root: Any) -> None:
        lists = {
            _value(one, name="abstractNumId"): one for one in root if _name(one) == "abstractNum"
        }
        self._lists = {
            _value(one, name="numId"): (list_id, one, lists[list_id])
            for one in root
            if _name(one) == "num" and (list_id := _value(one, "abstractNumId")) in lists
        }
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[str] = set()

    def label(self, *properties: Any) -> str:
        """Return what stands before the next item: "3." or "-"; empty if it is no item of a list.

        :param properties: ``numPr`` of the paragraph and of its style
        """
        known = [one for one in properties if one is not None]
        number_id = next(filter(None, (_value(one, "numId") for one in known)), "0")
        if number_id not in self._lists:
            return "" if number_id == "0" else "-"
        list_id, number, definition = self._lists[number_id]
        levels = {_number(_value(one, name="ilvl"), 0): one for one in _inner(definition, "lvl")}
        level = _number(next(filter(None, (_value(one, "ilvl") for one in known)), ""), 0)
        counts = self._counts.setdefault(list_id, {})
        starts = {at: _number(_value(one, "start"), 1) for at, one in levels.items()}
        if number_id not in self._begun:
            self._begun.add(number_id)
            for override in _inner(number, "lvlOverride"):
                at = _number(_value(override, name="ilvl"), 0)
                if _child(override, "startOverride") is not None:
                    starts[at] = _number(_value(override, "startOverride"), 1)
                    counts.pop(at, None)
        counts[level] = counts.get(level, starts.get(level, 1) - 1) + 1
        for deeper in [at for at in counts if at > level]:
            del counts[deeper]
        if level not in levels or _value(levels[level], "numFmt") in ("bullet", "none", ""):
            return "-"
        label = _value(levels[level], "lvlText")
        for at in range(level + 1):
            form = _value(levels[at], "numFmt") if at in levels else ""
            label = label.replace(f"%{at + 1}", _written(counts.get(at, starts.get(at, 1)), form))
        return label.strip() or "-"


def _number(written: str, otherwise: int) -> int:
    return int(written) if written.isdecimal() and len(written) < _LEVELS else otherwise


def _written(count: int, form: str) -> str:
    words = str(count)
    if form.endswith("Letter"):
        words = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
    elif form.endswith("Roman") and count < _ROMAN[0][0] * 10:
        words = ""
        for value, sign in _ROMAN:
            words += sign * (count // value)
            count %= value
    return words.upper() if form.startswith("upper") else words
