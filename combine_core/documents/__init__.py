"""Documents: what lines write, version by version, with evidence."""

from combine_core.documents.citations import Citation, Citations, list_citations, read_citations
from combine_core.documents.model import Document, DocumentVersion, VersionInput
from combine_core.documents.service import (
    Origin,
    change_document,
    delete_documents,
    delete_versions,
    list_documents,
    list_versions,
    lock_document,
    markdown_of,
    read_version,
    versions_of_run,
    versions_of_runs,
    write_version,
)
from combine_core.documents.statements import (
    deleted_in_words,
    details_of,
    located_statements,
    nothing_in_words,
    support_in_words,
    text_of,
)

__all__ = [
    "Citation",
    "Citations",
    "Document",
    "DocumentVersion",
    "Origin",
    "VersionInput",
    "change_document",
    "delete_documents",
    "delete_versions",
    "deleted_in_words",
    "details_of",
    "list_citations",
    "list_documents",
    "list_versions",
    "located_statements",
    "lock_document",
    "markdown_of",
    "nothing_in_words",
    "read_citations",
    "read_version",
    "support_in_words",
    "text_of",
    "versions_of_run",
    "versions_of_runs",
    "write_version",
]
