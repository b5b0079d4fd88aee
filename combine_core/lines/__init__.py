"""Lines: the declared graphs of steps that produce documents."""

from combine_core.lines.definition import InvalidLine, Line, WriteStep, parse_line
from combine_core.lines.model import LineVersion
from combine_core.lines.prompt import names_sources, render_prompt
from combine_core.lines.service import (
    UnknownLine,
    find_line,
    line_packages,
    list_lines,
    read_version,
    shipped_lines,
    store_version,
)

__all__ = [
    "InvalidLine",
    "Line",
    "LineVersion",
    "UnknownLine",
    "WriteStep",
    "find_line",
    "line_packages",
    "list_lines",
    "names_sources",
    "parse_line",
    "read_version",
    "render_prompt",
    "shipped_lines",
    "store_version",
]
