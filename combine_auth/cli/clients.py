"""``combine client``: API clients from the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click
from sqlalchemy.orm import Session

from combine_auth.administration.service import known_user
from combine_auth.audit import Action, record
from combine_auth.cli.console import (
    OpenService,
    refusals_shown,
    show_table,
    shown,
    shown_time,
)
from combine_auth.clients import service as clients
from combine_auth.clients.built_in import built_in_clients
from combine_auth.clients.model import OAuthClient
from combine_auth.refused import Refused
from combine_auth.tokens.scopes import PLAIN, SCOPES
from combine_core.settings import CoreSettings
from combine_core.settings.config_option import config_option

_client_id = click.argument("client_id", metavar="CLIENT_ID", callback=shown)
_MOST_HOURS = int(clients.LONGEST_OVERLAP.total_seconds() // 3600)


@click.group()
def client() -> None:
    """API clients: programs that ask for OAuth tokens."""


@client.command()
@config_option
@click.argument("name", callback=shown)
@click.option(
    "--owner", "email", required=True, callback=shown, metavar="EMAIL", help="Whose it is."
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="URI",
    help="Where people come back to after they let it act for them; may be repeated.",
)
@click.option("--device", is_flag=True, help="It signs in on devices without a browser.")
@click.option("--service", is_flag=True, help="It acts in its own name, as a user of its own.")
@click.option("--public", is_flag=True, help="It cannot keep a secret, and gets none.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="The most it may ask for; may be repeated [default: all but those for administrators].",
)
@click.pass_obj
def create(
    open_service: OpenService,
    ini: str,
    name: str,
    email: str,
    redirect_uris: tuple[str, ...],
    device: bool,
    service: bool,
    public: bool,
    scopes: tuple[str, ...],
) -> None:
    """Register a client; print its id, and its secret once."""
    registration = clients.ClientRegistration(
        name, redirect_uris, device, service, not public, scopes or PLAIN
    )
    with _changing(open_service, ini) as session:
        made, secret = clients.register_client(session, known_user(session, email).id, registration)
        _note(session, Action.CLIENT_CREATE, made, name=made.name, scopes=made.scopes)
    # stdout has what scripts need, one value per line.
    click.echo(made.client_id)
    if secret is not None:
        click.echo(secret)
        click.echo("The second line is the secret. It is not shown again.", err=True)
    if made.service_user_id is not None:
        address = clients.service_address(made.client_id)
        click.echo(f"In its own name it acts as {address}. Add it to projects.", err=True)


@client.command("list")
@config_option
@click.option("--owner", "email", callback=shown, metavar="EMAIL", help="Of this user alone.")
@click.pass_obj
def list_(open_service: OpenService, ini: str, email: str | None) -> None:
    """List clients: what is known of them, never their secrets."""
    with refusals_shown(), open_service(ini) as service, service.sessions() as session:
        owner = None if email is None else known_user(session, email).id
        rows = clients.list_clients(session, owner)
    show_table(
        ("CLIENT ID", "NAME", "KIND", "GRANTS", "CREATED", "STATE"),
        (
            (
                row.client_id,
                row.name,
                "secret" if row.is_confidential else "public",
                " ".join(grant.rpartition(":")[2] for grant in row.grant_types),
                shown_time(row.created_at),
                "works" if row.disabled_at is None else "disabled",
            )
            for row in rows
        ),
    )


@client.command()
@config_option
@_client_id
@click.option(
    "--overlap",
    "hours",
    type=click.IntRange(0, _MOST_HOURS),
    default=int(clients.OVERLAP.total_seconds() // 3600),
    show_default=True,
    help="Hours for which the old secret works on.",
)
@click.pass_obj
def rotate(open_service: OpenService, ini: str, client_id: str, hours: int) -> None:
    """Print a new secret, once."""
    with _changing(open_service, ini) as session:
        found = _known(session, client_id)
        secret = clients.rotate_secret(session, found, timedelta(hours=hours))
        _note(session, Action.CLIENT_CHANGE, found, change="rotate", overlap_hours=hours)
    click.echo(secret)
    click.echo(f"It is not shown again. The old secret works for {hours} hours more.", err=True)


@client.command()
@config_option
@_client_id
@click.option("--name", callback=shown, help="What people see.")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="URI",
    help="Where people come back to, in place of all that there are; may be repeated.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="The most it may ask for, in place of what there is; may be repeated.",
)
@click.pass_obj
def change(
    open_service: OpenService,
    ini: str,
    client_id: str,
    name: str | None,
    redirect_uris: tuple[str, ...],
    scopes: tuple[str, ...],
) -> None:
    """Change a client. What people granted it beyond its new scopes ends."""
    if name is None and not redirect_uris and not scopes:
        raise click.UsageError("Nothing to change. Give --name, --redirect-uri or --scope.")
    with _changing(open_service, ini) as session:
        found = _known(session, client_id)
        clients.change_client(
            session, found, name=name, redirect_uris=redirect_uris or None, scopes=scopes or None
        )
        details = {one: getattr(found, one) for one in ("name", "redirect_uris", "scopes")}
        _note(session, Action.CLIENT_CHANGE, found, change="registration", **details)
    click.echo(f"{client_id} is changed.", err=True)


@client.command()
@config_option
@_client_id
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(open_service: OpenService, ini: str, client_id: str, yes: bool) -> None:
    """Remove a client for good, with what people have allowed it and with its tokens."""
    with _changing(open_service, ini) as session:
        found = _known(session, client_id)
        if not yes:
            question = f"Delete {found.name}, with all its tokens?"
            click.confirm(question, abort=True, err=True)
        _note(session, Action.CLIENT_DELETE, found, name=found.name)
        clients.delete_client(session, found)
    click.echo(f"{client_id} is deleted.", err=True)


@client.command()
@config_option
@_client_id
@click.pass_obj
def disable(open_service: OpenService, ini: str, client_id: str) -> None:
    """Let a client get no token, and its tokens open nothing."""
    with _changing(open_service, ini) as session:
        found = _known(session, client_id)
        clients.disable_client(session, found)
        _note(session, Action.CLIENT_DISABLE, found)
    click.echo(f"{client_id} is disabled.", err=True)


@client.command()
@config_option
@_client_id
@click.pass_obj
def enable(open_service: OpenService, ini: str, client_id: str) -> None:
    """Let a client ask for tokens again."""
    with _changing(open_service, ini) as session:
        found = _known(session, client_id)
        clients.enable_client(session, found)
        _note(session, Action.CLIENT_CHANGE, found, change="enable")
    click.echo(f"{client_id} is enabled.", err=True)


@contextmanager
def _changing(open_service: OpenService, ini: str) -> Iterator[Session]:
    with refusals_shown(), open_service(ini) as service, service.sessions.begin() as session:
        session.info["built_in"] = built_in_clients(service.settings.get(CoreSettings).public_url)
        yield session


def _known(session: Session, client_id: str) -> OAuthClient:
    found = clients.client_of_id(session, client_id, session.info["built_in"])
    if found is None:
        message = f"There is no client {client_id}. To see them: combine client list"
        raise Refused(message)
    return found


def _note(session: Session, action: Action, client: OAuthClient, **details: Any) -> None:
    record(session, action, actor="operator", target=f"client:{client.client_id}", **details)
