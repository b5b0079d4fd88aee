"""Full-text search in the sources and documents of a project.

A worker splits texts into entries (:mod:`combine_core.search.indexing`). A search finds the entries of the
newest revision of each source and of the newest version of each document.
"""

from combine_core.search.model import EntryKind, SearchEntry
from combine_core.search.service import SearchHit, search

__all__ = ["EntryKind", "SearchEntry", "SearchHit", "search"]
