"""Lines: the declared graphs of steps that produce documents."""

from combine_core.lines.definition import InvalidLine, Line, WriteStep, parse_line
from combine_core.lines.prompt import render_prompt, uses_sources
from combine_core.lines.service import (
    LineVersion,
    UnknownLine,
    find_line,
    installed_lines,
    line_packages,
    list_lines,
    read_version,
    store_version,
)

__all__ = [
    "InvalidLine",
    "Line",
    "LineVersion",
    "UnknownLine",
    "WriteStep",
    "find_line",
    "installed_lines",
    "line_packages",
    "list_lines",
    "parse_line",
    "read_version",
    "render_prompt",
    "store_version",
    "uses_sources",
]
