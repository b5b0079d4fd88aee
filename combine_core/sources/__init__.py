"""Sources: the raw material of a project."""

from combine_core.readers import UnsupportedFile, suffixes
from combine_core.sources.model import Source
from combine_core.sources.service import (
    MAX_SOURCE_BYTES,
    FileText,
    add_source,
    find_same_source,
    find_source,
    list_sources,
    measure_text,
    read_original,
    read_source,
    read_sources,
    read_upload,
    rename_source,
)

__all__ = [
    "MAX_SOURCE_BYTES",
    "FileText",
    "Source",
    "UnsupportedFile",
    "add_source",
    "find_same_source",
    "find_source",
    "list_sources",
    "measure_text",
    "read_original",
    "read_source",
    "read_sources",
    "read_upload",
    "rename_source",
    "suffixes",
]
