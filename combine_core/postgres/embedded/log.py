"""The file that takes what the server writes."""

from __future__ import annotations

from pathlib import Path

_TOO_LARGE = 10_000_000
_KEPT = 1_000_000
_LINES_SHOWN = 20


class ServerLog:
    """The server's log file at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def trim(self) -> None:
        """Cut a file of more than 10 MB down to the last one. Only while no server writes to it."""
        if self.size() > _TOO_LARGE:
            self.path.write_bytes(self.since(self.size() - _KEPT))

    def size(self) -> int:
        """How many bytes it has: a mark for :meth:`tail`."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def since(self, mark: int) -> bytes:
        """Everything after the mark."""
        try:
            with self.path.open("rb") as file:
                file.seek(mark)
                return file.read()
        except FileNotFoundError:
            return b""

    def tail(self, mark: int) -> str:
        """The last lines after the mark."""
        lines = self.since(mark).decode(errors="replace").splitlines()
        return "\n".join(lines[-_LINES_SHOWN:])
