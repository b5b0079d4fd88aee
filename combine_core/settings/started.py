"""The moment at which a server begins to serve, as a Pyramid event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.registry import Registry


@dataclass(frozen=True)
class ServiceStarted:
    """Sent once by the process that serves, never by a command, a shell or a test.

    A subscriber must neither wait nor fail: the server starts when it returns.
    """

    registry: Registry
