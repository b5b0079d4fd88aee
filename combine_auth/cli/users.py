"""``combine user``: make users, and decide who may come in."""

from __future__ import annotations

import click

from combine_auth.accounts import (
    create_user,
    disable_user,
    enable_user,
    known_user,
    list_users,
)
from combine_auth.cli.service import OpenService, config_option, refusals_shown, shown
from combine_auth.cli.table import show_table, shown_time

_email = click.argument("email", callback=shown)


@click.group()
def user() -> None:
    """Users of the service."""


@user.command()
@config_option
@_email
@click.option("--name", help="How the user is shown [default: what stands before the @].")
@click.option("--admin", is_flag=True, help="Make it an administrator.")
@click.pass_obj
def create(open_service: OpenService, ini: str, email: str, name: str | None, admin: bool) -> None:
    """Make a user."""
    with refusals_shown(), open_service(ini) as service, service.sessions.begin() as session:
        made = create_user(session, email, name, is_admin=admin)
    click.echo(f"Made {made.email}{', an administrator' if admin else ''}.", err=True)


@user.command("list")
@config_option
@click.pass_obj
def list_(open_service: OpenService, ini: str) -> None:
    """List the users."""
    with open_service(ini) as service, service.sessions() as session:
        users = list_users(session)
    show_table(
        ("EMAIL", "NAME", "ADMINISTRATOR", "CREATED", "DISABLED"),
        (
            (
                one.email,
                one.name,
                "yes" if one.is_admin else "no",
                shown_time(one.created_at),
                shown_time(one.disabled_at),
            )
            for one in users
        ),
    )


@user.command("grant-admin")
@config_option
@_email
@click.pass_obj
def grant_admin(open_service: OpenService, ini: str, email: str) -> None:
    """Make a user an administrator."""
    with refusals_shown(), open_service(ini) as service, service.sessions.begin() as session:
        known_user(session, email).is_admin = True
    click.echo(f"{email} is an administrator.", err=True)


@user.command()
@config_option
@_email
@click.pass_obj
def disable(open_service: OpenService, ini: str, email: str) -> None:
    """Keep a user out, from its next request on."""
    with refusals_shown(), open_service(ini) as service, service.sessions.begin() as session:
        disable_user(session, known_user(session, email))
    click.echo(f"{email} is disabled.", err=True)


@user.command()
@config_option
@_email
@click.pass_obj
def enable(open_service: OpenService, ini: str, email: str) -> None:
    """Let a user in again."""
    with refusals_shown(), open_service(ini) as service, service.sessions.begin() as session:
        enable_user(known_user(session, email))
    click.echo(f"{email} is enabled.", err=True)
