"""The commands ``combine login`` and ``combine logout`` for a remote service."""

from __future__ import annotations

import time
from typing import Any

import click

from combine_auth.cli import credentials
from combine_auth.cli.remote import DeviceCodes, RemoteError, RemoteService
from combine_auth.clients.built_in import CLI
from combine_auth.tokens.scopes import PLAIN

# The minimum remaining lifetime of a printed token, in seconds.
_MIN_LIFETIME_S = 60
_MAX_INTERVAL_S = 60
# The wait after a request that cannot reach the service.
_OUTAGE_WAIT_S = 10

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
    stored = credentials.load()
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
        f"You are signed in to {service.origin}. The tokens are in {credentials.path()}.", err=True
    )


@click.command()
@_url
@click.option(
    "--forget", is_flag=True, help="Delete the stored tokens even if they cannot be revoked."
)
def logout(url: str | None, forget: bool) -> None:
    """Sign out of the service at URL: revoke and delete the stored tokens."""
    stored = credentials.load()
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
    credentials.save(stored)
    click.echo(f"You are signed out of {service.origin}.", err=True)


def _choose_origin(url: str | None, stored: dict[str, credentials.StoredTokens]) -> str:
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


def _store(
    service: RemoteService, stored: dict[str, credentials.StoredTokens], tokens: dict[str, Any]
) -> str:
    try:
        new_tokens = credentials.StoredTokens(
            str(tokens["access_token"]),
            str(tokens["refresh_token"]),
            time.time() + int(tokens["expires_in"]),
            str(tokens.get("scope", "")),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise click.ClickException(f"The response of {service.origin} has no tokens.") from error
    credentials.save({**stored, service.origin: new_tokens})
    return new_tokens.access_token


def _valid_token(service: RemoteService, stored: dict[str, credentials.StoredTokens]) -> str:
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
