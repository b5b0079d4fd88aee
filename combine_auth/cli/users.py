"""The command ``combine user``, which creates and manages users."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click
from sqlalchemy.orm import Session

from combine_auth.administration.service import (
    create_user,
    delete_user,
    disable_user,
    enable_user,
    invite_user,
    is_named,
    list_users,
    plan_deletion,
    set_administrator,
    set_email,
    user_with_email,
)
from combine_auth.cli.console import (
    OpenedService,
    OpenService,
    format_time,
    printable,
    report_refusals,
    show_table,
    transaction,
)
from combine_auth.identities.invitations import Account, account_of
from combine_auth.identities.service import verified_addresses
from combine_auth.settings import AuthSettings
from combine_core.settings import CoreSettings
from combine_core.settings.config_option import config_option
from combine_core.users import User
from combine_core.users.deletion import in_words

_email = click.argument("email", callback=printable)


@click.group()
def user() -> None:
    """Manage the users of the service."""


@user.command()
@config_option
@_email
@click.option("--name", help="The name of the user. [default: the part of EMAIL before the @]")
@click.option("--admin", is_flag=True, help="Make the user an administrator.")
@click.pass_obj
def create(open_service: OpenService, ini: str, email: str, name: str | None, admin: bool) -> None:
    """Create a user, and print the link for their first sign-in.

    Send the link only to this person: the first person who opens it becomes that user.
    """
    with transaction(open_service, ini) as (service, session):
        created = create_user(session, email, name, is_admin=admin)
        link = invite_user(session, created, _public_url(service))
    click.echo(f"Created {created.email}{', an administrator' if admin else ''}.", err=True)
    _show_link(link)


@user.command()
@config_option
@_email
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@click.pass_obj
def invite(open_service: OpenService, ini: str, email: str, yes: bool) -> None:
    """Print a link that lets a user sign in with another account. Earlier links end.

    For an account in use, the command shows its owner and its projects, and asks for confirmation. The
    person who opens the link takes over that account, and its other browsers are signed out. The address
    may belong to somebody else by now, so contact the person in another way before you send the link to it.
    """
    with report_refusals(), open_service(ini) as service:
        with service.sessions() as session:
            account = account_of(session, user_with_email(session, email))
        if account.in_use or account.user.is_admin:
            _show_account(account, err=True)
            if not yes:
                question = f"Let the person who opens the link sign in as {account.user.name}?"
                click.confirm(question, abort=True, err=True)
        with service.sessions.begin() as session:
            link = invite_user(session, user_with_email(session, email), _public_url(service))
    _show_link(link)


@user.command()
@config_option
@_email
@click.pass_obj
def show(open_service: OpenService, ini: str, email: str) -> None:
    """Show the owner of an account, its projects, and when it was last used."""
    with report_refusals(), open_service(ini) as service, service.sessions() as session:
        account = account_of(session, user_with_email(session, email))
    _show_account(account)


def _show_account(account: Account, *, err: bool = False) -> None:
    user = account.user
    verified = "" if account.address_verified else " (no provider verifies this address)"
    click.echo(f"{user.name}, {user.email}{verified}", err=err)
    for identity in account.identities:
        address = identity.email or "without an address"
        when = format_time(identity.last_sign_in_at)
        click.echo(f"  signs in with {identity.provider}: {address}, last on {when}", err=err)
    click.echo(f"  was last here: {format_time(account.last_here, 'never')}", err=err)
    if user.is_admin:
        click.echo("  is an administrator", err=err)
    if user.disabled_at is not None:
        click.echo(f"  is disabled since {format_time(user.disabled_at)}", err=err)
    for project, role in account.roles:
        click.echo(f"  is a member of the project {project}, as {role}", err=err)


@user.command("set-email")
@config_option
@_email
@click.argument("new_email", callback=printable)
@click.pass_obj
def set_email_(open_service: OpenService, ini: str, email: str, new_email: str) -> None:
    """Change the address of a user, so that another user can have the old one.

    At the user's next sign-in, the address that the provider verifies replaces the new one.
    """
    with transaction(open_service, ini) as (_, session):
        user = user_with_email(session, email)
        set_email(session, user, new_email)
        click.echo(f"The address {email} was changed to {user.email}.", err=True)


@user.command()
@config_option
@_email
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@click.pass_obj
def delete(open_service: OpenService, ini: str, email: str, yes: bool) -> None:
    """Delete a user, with the projects that have no other member.

    The user's work in other projects stays, without their name. The audit keeps their name and address:
    combine erase user removes them too.
    """
    with report_refusals(), open_service(ini) as service:
        with service.sessions() as session:
            found = user_with_email(session, email)
            plan = plan_deletion(session, found, named=True)
            name = f"{found.name}, {found.email}"
        if plan.obstacle is None and not yes:
            click.confirm(f"Delete {name}, {in_words(plan)}?", abort=True, err=True)
        with service.sessions.begin() as session:
            deleted = delete_user(session, user_with_email(session, email), named=True)
    click.echo(f"Deleted {name}, {in_words(deleted)}.", err=True)


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
        verified = verified_addresses(session, [one.id for one in users])
    show_table(
        ("EMAIL", "NAME", "ADMINISTRATOR", "VERIFIED", "CREATED", "DISABLED"),
        (
            (
                one.email,
                one.name,
                "yes" if one.is_admin else "no",
                "yes" if one.id in verified else "no",
                format_time(one.created_at),
                format_time(one.disabled_at),
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
        with transaction(open_service, ini) as (service, session):
            user = user_with_email(session, email)
            change(session, user)
            subjects = service.settings.get(AuthSettings).admin_subjects
            named = name == "revoke-admin" and is_named(session, user, subjects)
        click.echo(f"{email} {done}.", err=True)
        if named:
            click.echo(
                "ADMIN_SUBJECTS names an identity of this user, so the next sign-in makes them an"
                " administrator again. Remove the identity there, and restart the service.",
                err=True,
            )


for _command in (
    (
        "grant-admin",
        partial(set_administrator, is_admin=True),
        "Make a user an administrator. The user has to sign in again.",
        "is an administrator",
    ),
    (
        "revoke-admin",
        partial(set_administrator, is_admin=False),
        "Revoke the rights of an administrator. The user has to sign in again.",
        "is no longer an administrator",
    ),
    ("disable", disable_user, "Lock a user out, from the next request on.", "is disabled"),
    ("enable", enable_user, "Let a user sign in again.", "is enabled"),
):
    _add_command(*_command)
