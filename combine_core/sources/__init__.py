"""Sources: the raw material of a project."""

from combine_core.sources.model import Source
from combine_core.sources.service import (
    MAX_SOURCE_BYTES,
    UnsupportedFile,
    add_source,
    decode_upload,
    find_source,
    list_sources,
    measure_text,
    read_source,
    read_sources,
)

__all__ = [
    "MAX_SOURCE_BYTES",
    "Source",
    "UnsupportedFile",
    "add_source",
    "decode_upload",
    "find_source",
    "list_sources",
    "measure_text",
    "read_source",
    "read_sources",
]
