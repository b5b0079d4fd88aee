"""Builds the ``Content-Disposition`` header of a download."""

from urllib.parse import quote


def attachment(name: str) -> str:
    """Return the ``Content-Disposition`` value of a file with this name, in any script (RFC 6266)."""
    if name.isascii() and name.isprintable() and not {'"', "\\"} & set(name):
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
