"""The commands ``combine login`` and ``combine logout`` for a remote service."""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from combine_auth.cli.remote import DeviceCodes, RemoteError, RemoteService
from combine_auth.clients.built_in import CLI
from combine_auth.tokens.scopes import PLAIN

# The minimum remaining lifetime of a printed token, in seconds.
_MIN_LIFETIME_S = 60
_MAX_INTERVAL_S = 60
# The wait after a request that cannot reach the service.
_OUTAGE_WAIT_S = 10

_FILE = "credentials.json"

_url = click.argument("url", envvar="COMBINE_URL", required=False)


@click.command()
@_url
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(PLAIN),
    help="A scope to request. May be repeated. [default: all]",
)
@click.option(
    "--print-token",
    is_flag=True,
    help="Print an access token of the existing sign-in, for another program. Renew it if necessary.",
)
def login(url: str | None, scopes: tuple[str, ...], print_token: bool) -> None:
    """Sign in to the service at URL (or COMBINE_URL), with a browser on any machine.

    The tokens are stored in a file that only you can read. URL may be omitted if you are signed in to exactly
    one service.
    """
    stored = load_tokens()
    service = RemoteService(_choose_origin(url, stored))
    try:
        if print_token:
            click.echo(_valid_token(service, stored))
            return
        codes = service.start(" ".join(scopes))
        click.echo(
            f"Open {codes.verification_uri} in a browser, and enter this code there:"
            f" {codes.user_code}\nOr open {codes.verification_uri_complete}",
            err=True,
        )
        tokens = _wait(service, codes)
    except RemoteError as error:
        raise click.ClickException(_explain(error, service)) from error
    _store(service, stored, tokens)
    click.echo(
        f"You are signed in to {service.origin}. The tokens are in {tokens_path()}.", err=True
    )


@click.command()
@_url
@click.option(
    "--forget", is_flag=True, help="Delete the stored tokens even if they cannot be revoked."
)
def logout(url: str | None, forget: bool) -> None:
    """Sign out of the service at URL: revoke and delete the stored tokens."""
    stored = load_tokens()
    service = RemoteService(_choose_origin(url, stored))
    tokens = stored.pop(service.origin, None)
    if tokens is None:
        raise click.ClickException(f"You are not signed in to {service.origin}.")
    try:
        service.revoke(tokens.refresh_token)
    except RemoteError as error:
        if not forget:
            raise click.ClickException(
                f"The tokens could not be revoked: {error} Try again, or run with --forget and"
                f" revoke {CLI} on your account page."
            ) from error
    save_tokens(stored)
    click.echo(f"You are signed out of {service.origin}.", err=True)


def _choose_origin(url: str | None, stored: dict[str, StoredTokens]) -> str:
    if url is not None:
        return url
    if len(stored) == 1:
        return next(iter(stored))
    message = "Name the service: combine login https://combine.example.com"
    raise click.ClickException(message)


def _wait(service: RemoteService, codes: DeviceCodes) -> dict[str, Any]:
    """Poll until the user has decided, at the interval of the service (RFC 8628, 3.5)."""
    interval = codes.interval
    deadline = time.monotonic() + codes.expires_in
    while True:
        time.sleep(interval)
        try:
            return service.poll(codes.device_code)
        except RemoteError as error:
            if error.code == "slow_down":
                interval = min(interval + 5, _MAX_INTERVAL_S)
            elif error.code in ("unreachable", "temporarily_unavailable"):
                interval = max(interval, min(error.retry_after or _OUTAGE_WAIT_S, _MAX_INTERVAL_S))
            elif error.code != "authorization_pending":
                raise
            if time.monotonic() > deadline:
                raise RemoteError("expired_token", "") from error


def _store(service: RemoteService, stored: dict[str, StoredTokens], tokens: dict[str, Any]) -> str:
    try:
        new_tokens = StoredTokens(
            str(tokens["access_token"]),
            str(tokens["refresh_token"]),
            time.time() + int(tokens["expires_in"]),
            str(tokens.get("scope", "")),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise click.ClickException(f"The response of {service.origin} has no tokens.") from error
    save_tokens({**stored, service.origin: new_tokens})
    return new_tokens.access_token


def _valid_token(service: RemoteService, stored: dict[str, StoredTokens]) -> str:
    tokens = stored.get(service.origin)
    if tokens is None:
        raise click.ClickException(f"You are not signed in. Run: combine login {service.origin}")
    if tokens.expires_at - time.time() > _MIN_LIFETIME_S:
        return tokens.access_token
    return _store(service, stored, service.refresh(tokens.refresh_token))


def _explain(error: RemoteError, service: RemoteService) -> str:
    messages = {
        "access_denied": "The sign-in was denied in the browser.",
        "expired_token": "The sign-in was not confirmed within ten minutes. Start again.",
        "invalid_grant": f"The sign-in has ended. Run: combine login {service.origin}",
        "invalid_client": "An operator of the service has disabled this command.",
    }
    return messages.get(error.code, str(error))


# The file with the tokens, which only its owner can read.


@dataclass(frozen=True)
class StoredTokens:
    """The tokens for one service; ``expires_at`` is in seconds since the epoch."""

    access_token: str
    refresh_token: str
    expires_at: float
    scope: str


def tokens_path() -> Path:
    """Return the path of the file: ``~/.config/combine/credentials.json`` on Linux."""
    return Path(click.get_app_dir("combine")) / _FILE


def load_tokens() -> dict[str, StoredTokens]:
    """Return the stored tokens by the origin of the service. Rejects a file that others can read."""
    file = tokens_path()
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


def save_tokens(tokens_by_origin: dict[str, StoredTokens]) -> None:
    """Replace the file. It is created with permissions for its owner only."""
    file = tokens_path()
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
