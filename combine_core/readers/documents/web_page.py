"""Reads HTML: the main content of a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from combine_core.readers.block import BlockKind
from combine_core.readers.plain import decoded, decoded_as
from combine_core.readers.reading import Builder, Reading, Unreadable, table

_DROPPED = frozenset(
    ("script", "style", "noscript", "template", "svg", "nav", "button", "iframe", "head", "select",
     "textarea", "annotation", "rp")
)  # fmt: skip
# These belong to the site, unless they stand within the content.
_AROUND = frozenset(("header", "footer", "aside"))
_CONTENT = frozenset(("main", "article"))
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset(("ul", "ol", "dl", "menu"))
# Within a list item, these do not begin another block.
_PARAGRAPHS = frozenset(("p", "div", "section", "article", "span"))
_BLOCKS = _LISTS | _HEADINGS.keys() | frozenset(
    ("p", "li", "dt", "dd", "table", "caption", "tr", "td", "th", "pre", "blockquote", "div", "section",
     "article", "main", "body", "figcaption", "figure", "address", "details", "summary", "fieldset", "legend",
     "hr", "header", "footer", "aside", "form", "center", "option")
)  # fmt: skip
_CHARSET = re.compile(
    rb"""(?:charset|<\?xml [^>]{0,99}encoding)\s*=\s*["']?([A-Za-z0-9_:.-]{2,40})"""
)
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.IGNORECASE
)
_WORD = re.compile(r"\w")
_MOST_COLUMNS = 50


def read_html(data: bytes, name: str) -> Reading:
    """Read the main content of a page, without navigation, headers, footers and scripts."""
    del name
    return read_page(*_decoded_page(data))


def read_page(text: str, notes: tuple[str, ...] = ()) -> Reading:
    """Read the main content of a page whose encoding is known."""
    from lxml import etree, html

    parser = html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        page = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, ValueError) as error:
        raise Unreadable("is no HTML that can be read. Save the page again.") from error
    if any(problem.type_name == "ERR_RESOURCE_LIMIT" for problem in parser.error_log):
        raise Unreadable("is nested too deeply. Save its text as .txt.")
    if next(page.iter("frame"), None) is not None:
        raise Unreadable("only names the pages of its frames. Save each of these pages.")
    _mark(page)
    builder = Builder()
    for part in _main_parts(page):
        _Walk(builder).read(part)
    return builder.reading(*notes)


def _decoded_page(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Decode a page: as UTF-8 if it is, else with the encoding that it declares or with the detected one."""
    named = _CHARSET.search(data[:4096])
    return decoded_as(data, named[1].decode("ascii")) if named else decoded(data)


def _mark(page: Any) -> None:
    """Mark in the texts themselves what is struck out, and powers and notes behind a number."""
    for struck in page.xpath("//*[self::del or self::s or self::strike][not(ancestor::del)]"):
        for node in struck.iter():
            node.text = _struck(node.text)
            if node is not struck:
                node.tail = _struck(node.tail)
    for raised in page.iter("sup"):
        previous = raised.getprevious()
        before = raised.getparent().text if previous is None else previous.tail
        if (before or "")[-1:].isdigit() and (raised.text or "")[:1].isdigit():
            raised.text = f"^{raised.text}"


def _struck(text: str | None) -> str | None:
    return text.replace(text.strip(), f"~~{text.strip()}~~") if text and text.strip() else text


def _main_parts(page: Any) -> list[Any]:
    """Return the elements that hold the content: not articles that only announce others."""
    body = list(page.xpath("//body"))
    mains = page.xpath("//*[self::main or @role='main'][not(ancestor::main)][not(ancestor::nav)]")
    if any(map(_length, mains)):
        return list(mains)
    articles = list(page.xpath("//article[not(ancestor::article)]"))
    if articles and 2 * sum(map(_length, articles)) >= sum(map(_length, body)):
        return articles
    return body


def _length(node: Any) -> int:
    return len("".join(_texts(node)).strip())


def _texts(node: Any) -> Iterator[str]:
    """The texts that are shown, with a space between blocks."""
    from lxml import etree

    walk = etree.iterwalk(node, events=("start", "end", "comment", "pi"))
    for event, one in walk:
        shown = event == "start" and not _is_dropped(one)
        if event == "start" and (one.tag == "br" or one.tag in _BLOCKS):
            yield " "
        if shown:
            yield one.text or ""
        elif event == "start":
            walk.skip_subtree()
        if event != "start" and one is not node:
            yield " " if one.tag in _BLOCKS else ""
            yield one.tail or ""


def _words(node: Any) -> str:
    if not len(node):
        return " ".join((node.text or "").split())
    return " ".join("".join(_texts(node)).split())


def _is_dropped(node: Any) -> bool:
    if node.tag in _DROPPED:
        return True
    if node.tag in _AROUND:
        within = any(one.tag in _CONTENT for one in node.iterancestors())
        return not within and not (node.tag == "header" and node.find(".//h1") is not None)
    if not node.keys():
        return False
    get = node.get
    hidden = get("hidden") is not None or get("aria-hidden") == "true"
    return hidden or bool(_HIDDEN.search(get("style") or ""))


class _Walk:
    """Reads an element from its beginning to its end, without recursion: pages may be nested deeply.

    ``_run`` are the words since the last block began or ended. What stands between two blocks is one
    paragraph, whatever is bold or a link in it.
    """

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._run: list[str] = []
        self._unlinked = False
        self._linked = False
        self._breaks = 0
        # How many of these are open.
        self._open = {"a": 0, "blockquote": 0, "pre": 0}
        self._numbers: list[int | None] = []
        self._item: dict[str, Any] | None = None

    def read(self, part: Any) -> None:
        from lxml import etree

        walk = etree.iterwalk(part, events=("start", "end", "comment", "pi"))
        skipped = None
        for event, node in walk:
            if event == "start":
                if self._begin(node):
                    self._add(node.text)
                else:
                    skipped = node
                    walk.skip_subtree()
                continue
            if event == "end" and node is not skipped:
                self._end(node)
            if node is not part:
                self._add(node.tail)
        self._flush()

    def _begin(self, node: Any) -> bool:
        """Take in the beginning of an element. Return ``False`` if nothing more of it is to be read."""
        tag = node.tag
        if _is_dropped(node):
            return False
        if tag == "br":
            self._breaks += 1
            if self._breaks > 1 and not self._open["pre"]:
                self._flush()
            self._run.append("\n" if self._open["pre"] else " ")
            return True
        if tag == "input" and node.get("type") == "checkbox":
            if self._item is not None and not "".join(self._run).strip():
                self._item["done"] = node.get("checked") is not None
            return True
        if tag in _HEADINGS or (tag == "table" and _is_data(node)):
            self._flush()
            if tag == "table":
                _read_table(self._builder, node)
            else:
                self._builder.heading(_HEADINGS[tag], _words(node))
            return False
        if tag in _BLOCKS:
            if self._item is not None and tag in _PARAGRAPHS:
                self._run.append(" ")
            else:
                self._flush()
        if tag == "li":
            self._item = {"number": self._next_number(node)}
        elif tag in ("ul", "menu"):
            self._numbers.append(None)
        elif tag == "ol":
            self._numbers.append(_number(node.get("start"), 1))
        if tag in self._open:
            self._open[tag] += 1
        return True

    def _end(self, node: Any) -> None:
        tag = node.tag
        if tag in _BLOCKS:
            if self._item is not None and tag in _PARAGRAPHS:
                self._run.append(" ")
            else:
                self._flush()
        if tag in ("ul", "ol", "menu") and self._numbers:
            self._numbers.pop()
        if tag in self._open:
            self._open[tag] -= 1

    def _next_number(self, node: Any) -> str:
        if not self._numbers or self._numbers[-1] is None:
            return ""
        number = _number(node.get("value"), self._numbers[-1])
        self._numbers[-1] = number + 1
        return str(number)

    def _add(self, text: str | None) -> None:
        if not text:
            return
        if self._open["pre"]:
            self._run.append(text)
            return
        words = " ".join(text.split())
        if words:
            self._breaks = 0
            self._linked = self._linked or bool(self._open["a"])
            self._unlinked = self._unlinked or (not self._open["a"] and bool(_WORD.search(words)))
        self._run.append(text)

    def _flush(self) -> None:
        words = "".join(self._run)
        item, self._item = self._item, None
        if not self._open["pre"]:
            words = " ".join(words.split())
        if words.strip():
            prefix = ""
            kind = BlockKind.LIST_ITEM if item else BlockKind.PARAGRAPH
            if item:
                number = item["number"]
                box = {None: "", True: "[x] ", False: "[ ] "}[item.get("done")]
                prefix = (f"{number}. " if number else "- ") + box
            if self._open["pre"]:
                kind = BlockKind.CODE
            elif self._linked and not self._unlinked:
                kind = BlockKind.LINKS
            elif self._open["blockquote"]:
                kind = BlockKind.QUOTATION
            self._builder.add(kind, words, prefix=prefix, **(item or {}))
        self._run, self._linked, self._unlinked, self._breaks = [], False, False, 0


def _number(written: str | None, otherwise: int) -> int:
    return int(written) if re.fullmatch(r"\d{1,6}", written or "") and written else otherwise


def _is_data(node: Any) -> bool:
    """Check for a table of data. Many pages and mails use tables for their layout."""
    if node.get("role") in ("presentation", "none"):
        return False
    rows = _rows(node)
    if any(cell.tag == "th" for row in rows for cell in row):
        return True
    inner = node.iterdescendants("table", "ul", "ol", "pre", "blockquote", *_HEADINGS)
    return next(inner, None) is None and any(len(row) > 1 for row in rows)


def _rows(node: Any) -> list[list[Any]]:
    """The cells of each row, without those of tables within."""
    return [
        [cell for cell in row if cell.tag in ("td", "th")]
        for part in node
        for row in (part if part.tag in ("thead", "tbody", "tfoot") else [part])
        if row.tag == "tr"
    ]


def _read_table(builder: Builder, node: Any) -> None:
    for caption in node.iterchildren("caption"):
        builder.add(BlockKind.PARAGRAPH, _words(caption))
    rows = _rows(node)
    # A row that begins with a title and goes on with a value names no columns.
    titled = bool(rows) and [cell.tag for cell in rows[0][:2]] == ["th", "td"]
    table(builder, _filled(rows), head=not titled)


def _filled(rows: list[list[Any]]) -> Iterator[list[str]]:
    """The texts of the cells, each below the name of its column.

    A cell that spans several rows stands in each of them.
    """
    below: dict[int, tuple[int, str]] = {}
    for row in rows:
        written: list[str] = []
        cells = iter(row)
        while True:
            left, words = below.get(len(written), (0, ""))
            if left:
                below[len(written)] = (left - 1, words)
                written.append(words)
                continue
            cell = next(cells, None)
            if cell is None:
                break
            words = _words(cell)
            below[len(written)] = (_number(cell.get("rowspan"), 1) - 1, words)
            width = min(_number(cell.get("colspan"), 1), _MOST_COLUMNS)
            for empty in range(1, width):
                below[len(written) + empty] = (_number(cell.get("rowspan"), 1) - 1, "")
            written += [words, *[""] * (width - 1)]
        yield written
