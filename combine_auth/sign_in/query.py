"""The query of a request, whatever somebody has typed there."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs


def query_of(request: Any) -> dict[str, str]:
    """The parameters, each by its first value.

    ``request.GET`` will not do: it raises where the query is not UTF-8.
    """
    query = parse_qs(request.environ.get("QUERY_STRING", ""), errors="replace")
    return {name: values[0] for name, values in query.items()}
