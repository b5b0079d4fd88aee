"""The command ``combine client``, which manages API clients."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
from sqlalchemy.orm import Session

from combine_auth.administration.service import user_with_email
from combine_auth.audit import Action, record
from combine_auth.cli.console import (
    OpenedService,
    OpenService,
    format_time,
    printable,
    report_refusals,
    show_table,
    transaction,
)
from combine_auth.clients import service as clients
from combine_auth.clients.built_in import built_in_clients
from combine_auth.clients.model import OAuthClient
from combine_auth.failures import Refused
from combine_auth.tokens.scopes import PLAIN, SCOPES
from combine_core.settings import CoreSettings
from combine_core.settings.config_option import config_option

_client_id = click.argument("client_id", metavar="CLIENT_ID", callback=printable)
_MAX_HOURS = int(clients.MAX_OVERLAP.total_seconds() // 3600)


@click.group()
def client() -> None:
    """Manage API clients: programs that request OAuth tokens."""


@client.command()
@config_option
@click.argument("name", callback=printable)
@click.option(
    "--owner",
    "email",
    required=True,
    callback=printable,
    metavar="EMAIL",
    help="The owner of the client.",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="URI",
    help="Where the browser returns to after the consent. May be repeated.",
)
@click.option("--device", is_flag=True, help="Let it sign in on devices without a browser.")
@click.option("--service", is_flag=True, help="Let it act in its own name, as a user of its own.")
@click.option(
    "--public",
    is_flag=True,
    help="Create it without a secret, for programs that cannot protect one.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="A scope that it may request. May be repeated. [default: all but those for administrators]",
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
    """Register a client, and print its id and its secret."""
    registration = clients.ClientRegistration(
        name, redirect_uris, device, service, not public, scopes or PLAIN
    )
    with transaction(open_service, ini) as (_, session):
        created, secret = clients.register_client(
            session, user_with_email(session, email).id, registration
        )
        _record(session, Action.CLIENT_CREATE, created, name=created.name, scopes=created.scopes)
    # For scripts, stdout contains one value per line.
    click.echo(created.client_id)
    if secret is not None:
        click.echo(secret)
        click.echo("The second line is the secret. It is not shown again.", err=True)
    if created.service_user_id is not None:
        address = clients.service_address(created.client_id)
        click.echo(f"In its own name it acts as {address}. Add it to projects.", err=True)


@client.command("list")
@config_option
@click.option(
    "--owner", "email", callback=printable, metavar="EMAIL", help="Only clients of this user."
)
@click.pass_obj
def list_(open_service: OpenService, ini: str, email: str | None) -> None:
    """List clients, without their secrets."""
    with report_refusals(), open_service(ini) as service, service.sessions() as session:
        owner = None if email is None else user_with_email(session, email).id
        rows = clients.list_clients(session, owner)
    show_table(
        ("CLIENT ID", "NAME", "KIND", "GRANTS", "CREATED", "STATE"),
        (
            (
                row.client_id,
                row.name,
                "secret" if row.is_confidential else "public",
                " ".join(grant.rpartition(":")[2] for grant in row.grant_types),
                format_time(row.created_at),
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
    type=click.IntRange(0, _MAX_HOURS),
    default=int(clients.OVERLAP.total_seconds() // 3600),
    show_default=True,
    help="Hours for which the old secret stays valid.",
)
@click.pass_obj
def rotate(open_service: OpenService, ini: str, client_id: str, hours: int) -> None:
    """Create and print a new secret."""
    with transaction(open_service, ini) as (service, session):
        found = _find_client(service, session, client_id)
        secret = clients.rotate_secret(session, found, timedelta(hours=hours))
        _record(session, Action.CLIENT_CHANGE, found, change="rotate", overlap_hours=hours)
    click.echo(secret)
    click.echo(f"It is not shown again. The old secret is valid for {hours} more hours.", err=True)


@client.command()
@config_option
@_client_id
@click.option("--name", callback=printable, help="The name that people see.")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="URI",
    help="A redirect URI that replaces the existing ones. May be repeated.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="A scope that replaces the existing ones. May be repeated.",
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
    """Change a client. Grants with other scopes than the new ones are revoked."""
    if name is None and not redirect_uris and not scopes:
        raise click.UsageError("Nothing to change. Use --name, --redirect-uri or --scope.")
    with transaction(open_service, ini) as (service, session):
        found = _find_client(service, session, client_id)
        clients.change_client(
            session, found, name=name, redirect_uris=redirect_uris or None, scopes=scopes or None
        )
        details = {one: getattr(found, one) for one in ("name", "redirect_uris", "scopes")}
        _record(session, Action.CLIENT_CHANGE, found, change="registration", **details)
    click.echo(f"{client_id} is changed.", err=True)


@client.command()
@config_option
@_client_id
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@click.pass_obj
def delete(open_service: OpenService, ini: str, client_id: str, yes: bool) -> None:
    """Delete a client permanently, with its grants and tokens."""
    with transaction(open_service, ini) as (service, session):
        found = _find_client(service, session, client_id)
        if not yes:
            question = f"Delete {found.name}, with all its tokens?"
            click.confirm(question, abort=True, err=True)
        _record(session, Action.CLIENT_DELETE, found, name=found.name)
        clients.delete_client(session, found)
    click.echo(f"{client_id} is deleted.", err=True)


@client.command()
@config_option
@_client_id
@click.pass_obj
def disable(open_service: OpenService, ini: str, client_id: str) -> None:
    """Disable a client: it gets no more tokens, and its tokens are rejected."""
    with transaction(open_service, ini) as (service, session):
        found = _find_client(service, session, client_id)
        clients.disable_client(session, found)
        _record(session, Action.CLIENT_DISABLE, found)
    click.echo(f"{client_id} is disabled.", err=True)


@client.command()
@config_option
@_client_id
@click.pass_obj
def enable(open_service: OpenService, ini: str, client_id: str) -> None:
    """Enable a client, so that it gets tokens again."""
    with transaction(open_service, ini) as (service, session):
        found = _find_client(service, session, client_id)
        clients.enable_client(session, found)
        _record(session, Action.CLIENT_CHANGE, found, change="enable")
    click.echo(f"{client_id} is enabled.", err=True)


def _find_client(service: OpenedService, session: Session, client_id: str) -> OAuthClient:
    built_in = built_in_clients(service.settings.get(CoreSettings).public_url)
    found = clients.client_of_id(session, client_id, built_in)
    if found is None:
        message = f"There is no client {client_id}. To list the clients: combine client list"
        raise Refused(message)
    return found


def _record(session: Session, action: Action, client: OAuthClient, **details: Any) -> None:
    record(session, action, actor="operator", target=f"client:{client.client_id}", **details)
