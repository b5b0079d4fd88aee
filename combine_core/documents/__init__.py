"""Documents: what lines write, version by version, with evidence."""

from combine_core.documents.model import Document, DocumentVersion, VersionInput
from combine_core.documents.service import (
    Origin,
    list_documents,
    list_versions,
    read_version,
    versions_of_run,
    versions_of_runs,
    write_version,
)

__all__ = [
    "Document",
    "DocumentVersion",
    "Origin",
    "VersionInput",
    "list_documents",
    "list_versions",
    "read_version",
    "versions_of_run",
    "versions_of_runs",
    "write_version",
]
