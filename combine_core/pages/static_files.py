"""Static files carry a hash of their content in the query, so a browser may keep them for a day."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyramid.path import AssetResolver
from pyramid.static import QueryStringCacheBuster

if TYPE_CHECKING:
    from pyramid.request import Request

MAX_AGE_S = 86_400


class ContentHash(QueryStringCacheBuster):  # type: ignore[misc]
    """Adds ``?v=<hash>`` to the URL of a file."""

    def __init__(self) -> None:
        super().__init__(param="v")

    def tokenize(self, request: Request, subpath: str, kw: dict[str, Any]) -> str:  # noqa: ARG002
        """The hash of the file; ``kw["rawspec"]`` names it, overridden or not."""
        path = Path(AssetResolver().resolve(kw["rawspec"]).abspath())
        return _hash(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _hash(path: Path, mtime_ns: int) -> str:  # noqa: ARG001
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
