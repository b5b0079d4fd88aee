"""Stores the tokens of ``combine login`` in a file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

import click

_FILE = "credentials.json"


@dataclass(frozen=True)
class StoredTokens:
    """The tokens for one service; ``expires_at`` is in seconds since the epoch."""

    access_token: str
    refresh_token: str
    expires_at: float
    scope: str


def path() -> Path:
    """Return the path of the file: ``~/.config/combine/credentials.json`` on Linux."""
    return Path(click.get_app_dir("combine")) / _FILE


def load() -> dict[str, StoredTokens]:
    """Return the stored tokens by the origin of the service. Rejects a file that others can read."""
    file = path()
    try:
        mode = file.stat().st_mode
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}.") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise click.ClickException(f"Others can read {file}. Run: chmod 600 {file}")
    try:
        return {origin: StoredTokens(**tokens) for origin, tokens in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        message = f"{file} is damaged. Remove it and sign in again: combine login URL"
        raise click.ClickException(message) from error


def save(tokens_by_origin: dict[str, StoredTokens]) -> None:
    """Replace the file. It is created with permissions for its owner only."""
    file = path()
    temporary = file.with_name(f".{_FILE}.{secrets.token_hex(8)}")
    text = json.dumps(
        {origin: asdict(tokens) for origin, tokens in tokens_by_origin.items()}, indent=2
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise click.ClickException(f"{file} cannot be written: {error.strerror}.") from error
