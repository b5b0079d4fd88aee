"""``combine login`` and ``combine logout``: sign in to a remote service."""

from __future__ import annotations

import time
from typing import Any

import click

from combine_auth.cli import credentials
from combine_auth.cli.remote import DeviceCodes, RemoteError, RemoteService
from combine_auth.clients.built_in import CLI
from combine_auth.tokens.scopes import PLAIN

# A printed token is valid for at least so many seconds.
_GOOD_FOR = 60
_MOST_INTERVAL_S = 60
# How long to wait if the service cannot be reached.
_AWAY_S = 10

_url = click.argument("url", envvar="COMBINE_URL", required=False)


@click.command()
@_url
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(PLAIN),
    help="What to be let in for; may be repeated [default: all].",
)
@click.option(
    "--print-token",
    is_flag=True,
    help="Print an access token of the sign-in there is, for another program; renew it if need be.",
)
def login(url: str | None, scopes: tuple[str, ...], print_token: bool) -> None:
    """Sign in to the service at URL (or COMBINE_URL), with a browser on any machine.

    The tokens are kept in a file that you alone can read. Without URL, the only service that you are
    signed in to is meant.
    """
    everything = credentials.load()
    service = RemoteService(_meant(url, everything))
    try:
        if print_token:
            click.echo(_good_token(service, everything))
            return
        codes = service.start(" ".join(scopes))
        click.echo(
            f"Open {codes.verification_uri} in a browser, and write this code there:"
            f" {codes.user_code}\nOr open {codes.verification_uri_complete}",
            err=True,
        )
        tokens = _wait(service, codes)
    except RemoteError as error:
        raise click.ClickException(_explain(error, service)) from error
    _keep(service, everything, tokens)
    click.echo(
        f"You are signed in to {service.origin}. StoredTokens in {credentials.path()}.", err=True
    )


@click.command()
@_url
@click.option("--forget", is_flag=True, help="Forget the tokens even if they cannot be revoked.")
def logout(url: str | None, forget: bool) -> None:
    """Sign out of the service at URL: revoke the tokens, and forget them."""
    everything = credentials.load()
    service = RemoteService(_meant(url, everything))
    tokens = everything.pop(service.origin, None)
    if tokens is None:
        raise click.ClickException(f"You are not signed in to {service.origin}.")
    try:
        service.revoke(tokens.refresh_token)
    except RemoteError as error:
        if not forget:
            raise click.ClickException(
                f"The tokens could not be revoked: {error} Try again; or run with --forget, and"
                f" revoke {CLI} on the page of your account."
            ) from error
    credentials.save(everything)
    click.echo(f"You are signed out of {service.origin}.", err=True)


def _meant(url: str | None, everything: dict[str, credentials.StoredTokens]) -> str:
    if url is not None:
        return url
    if len(everything) == 1:
        return next(iter(everything))
    message = "Which service? Write its address: combine login https://combine.example.com"
    raise click.ClickException(message)


def _wait(service: RemoteService, codes: DeviceCodes) -> dict[str, Any]:
    """Poll until the user has decided, no faster than the service allows (RFC 8628, 3.5)."""
    interval = codes.interval
    deadline = time.monotonic() + codes.expires_in
    while True:
        time.sleep(interval)
        try:
            return service.poll(codes.device_code)
        except RemoteError as error:
            if error.code == "slow_down":
                interval = min(interval + 5, _MOST_INTERVAL_S)
            elif error.code in ("unreachable", "temporarily_unavailable"):
                interval = max(interval, min(error.retry_after or _AWAY_S, _MOST_INTERVAL_S))
            elif error.code != "authorization_pending":
                raise
            if time.monotonic() > deadline:
                raise RemoteError("expired_token", "") from error


def _keep(
    service: RemoteService, everything: dict[str, credentials.StoredTokens], tokens: dict[str, Any]
) -> str:
    try:
        made = credentials.StoredTokens(
            str(tokens["access_token"]),
            str(tokens["refresh_token"]),
            time.time() + int(tokens["expires_in"]),
            str(tokens.get("scope", "")),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise click.ClickException(f"{service.origin} gave no tokens.") from error
    credentials.save({**everything, service.origin: made})
    return made.access_token


def _good_token(service: RemoteService, everything: dict[str, credentials.StoredTokens]) -> str:
    tokens = everything.get(service.origin)
    if tokens is None:
        raise click.ClickException(f"You are not signed in. Run: combine login {service.origin}")
    if tokens.expires_at - time.time() > _GOOD_FOR:
        return tokens.access_token
    return _keep(service, everything, service.refresh(tokens.refresh_token))


def _explain(error: RemoteError, service: RemoteService) -> str:
    words = {
        "access_denied": "You were not let in: somebody chose Deny.",
        "expired_token": "Nobody let you in within ten minutes. Start again.",
        "invalid_grant": f"The sign-in is over. Run: combine login {service.origin}",
        "invalid_client": "The service has no use for this command: an operator disabled it.",
    }
    return words.get(error.code, str(error))
