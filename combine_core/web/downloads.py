"""The header of a file to save."""

from urllib.parse import quote


def attachment(name: str) -> str:
    """``Content-Disposition`` by RFC 6266, for a name in any script."""
    if name.isascii() and name.isprintable() and not {'"', "\\"} & set(name):
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
