"""The one error of the embedded server."""

from __future__ import annotations


class EmbeddedPostgresError(Exception):
    """The embedded server cannot run. The message says why and what to do; it holds no password."""


class StillRecoveringError(EmbeddedPostgresError):
    """The server is alive but not ready yet. It is left to work on, for the next start."""
