"""Imports every module of this add-on that declares tables.

``combine_core.database.load_models`` finds it by its entry point.
"""

from combine_core.comments import model as comments
from combine_core.documents import model as documents
from combine_core.lines import service as lines
from combine_core.portability import model as portability
from combine_core.projects import model as projects
from combine_core.register import model as register
from combine_core.reviews import model as reviews
from combine_core.runs import model as runs
from combine_core.search import model as search
from combine_core.sources import model as sources
from combine_core.users import model as users
from combine_core.web import idempotency, shown_once

__all__ = [
    "comments",
    "documents",
    "idempotency",
    "lines",
    "portability",
    "projects",
    "register",
    "reviews",
    "runs",
    "search",
    "shown_once",
    "sources",
    "users",
]
