"""``combine user``: create users, and decide who may sign in."""

from __future__ import annotations

from collections.abc import Callable

import click
from sqlalchemy.orm import Session

from combine_auth.administration.service import (
    create_user,
    disable_user,
    enable_user,
    grant_admin,
    invite_user,
    known_user,
    list_users,
    revoke_admin,
)
from combine_auth.cli.console import (
    OpenedService,
    OpenService,
    refusals_shown,
    show_table,
    shown,
    shown_time,
)
from combine_core.settings import CoreSettings
from combine_core.settings.config_option import config_option
from combine_core.users import User

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
    """Make a user, and print the link by which they sign in first.

    Send the link to them alone: whoever opens it first is that user from then on.
    """
    with refusals_shown(), open_service(ini) as service, service.sessions.begin() as session:
        made = create_user(session, email, name, is_admin=admin)
        link = invite_user(session, made, _public_url(service))
    click.echo(f"Made {made.email}{', an administrator' if admin else ''}.", err=True)
    _show_link(link)


@user.command()
@config_option
@_email
@click.pass_obj
def invite(open_service: OpenService, ini: str, email: str) -> None:
    """Print a link by which a user can sign in with another account. Earlier links end."""
    with refusals_shown(), open_service(ini) as service, service.sessions.begin() as session:
        link = invite_user(session, known_user(session, email), _public_url(service))
    _show_link(link)


def _public_url(service: OpenedService) -> str:
    return service.settings.get(CoreSettings).public_url


def _show_link(link: str) -> None:
    # Only the link goes to stdout, for scripts.
    click.echo(link)
    click.echo("The link works once, within 7 days.", err=True)


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


def _add_command(name: str, change: Callable[[Session, User], None], help_: str, done: str) -> None:
    @user.command(name, help=help_)
    @config_option
    @_email
    @click.pass_obj
    def command(open_service: OpenService, ini: str, email: str) -> None:
        with refusals_shown(), open_service(ini) as service, service.sessions.begin() as session:
            change(session, known_user(session, email))
        click.echo(f"{email} {done}.", err=True)


for _command in (
    (
        "grant-admin",
        grant_admin,
        "Make a user an administrator. They have to sign in again.",
        "is an administrator",
    ),
    (
        "revoke-admin",
        revoke_admin,
        "Take the rights of an administrator away. The user has to sign in again.",
        "is no administrator",
    ),
    ("disable", disable_user, "Keep a user out, from the next request on.", "is disabled"),
    ("enable", enable_user, "Let a user in again.", "is enabled"),
):
    _add_command(*_command)
