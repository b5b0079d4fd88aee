"""``combine user``: create users, and decide who may sign in."""

from __future__ import annotations

from collections.abc import Callable

import click
from sqlalchemy.orm import Session

from combine_auth.administration.service import (
    create_user,
    delete_user,
    disable_user,
    enable_user,
    grant_admin,
    invite_user,
    is_named,
    known_user,
    list_users,
    plan_deletion,
    revoke_admin,
    set_email,
)
from combine_auth.cli.console import (
    OpenedService,
    OpenService,
    refusals_shown,
    show_table,
    shown,
    shown_time,
)
from combine_auth.identities.invitations import Account, account_of
from combine_auth.identities.service import verified_addresses
from combine_auth.settings import AuthSettings
from combine_core.settings import CoreSettings
from combine_core.settings.config_option import config_option
from combine_core.users import User
from combine_core.users.deletion import in_words

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
@click.option("--yes", is_flag=True, help="Do not ask whether the link goes to the right person.")
@click.pass_obj
def invite(open_service: OpenService, ini: str, email: str, yes: bool) -> None:
    """Print a link by which a user can sign in with another account. Earlier links end.

    For an account that is in use, it shows whose it is and what the link opens, and asks first. Whoever
    opens the link has that account, and its other browsers are signed out. An address may belong to
    somebody else by now, so never send the link there without asking the person in another way.
    """
    with refusals_shown(), open_service(ini) as service:
        with service.sessions() as session:
            account = account_of(session, known_user(session, email))
        if account.in_use or account.user.is_admin:
            _show_account(account, err=True)
            if not yes:
                question = f"Let whoever opens the link sign in as {account.user.name}?"
                click.confirm(question, abort=True, err=True)
        with service.sessions.begin() as session:
            link = invite_user(session, known_user(session, email), _public_url(service))
    _show_link(link)


@user.command()
@config_option
@_email
@click.pass_obj
def show(open_service: OpenService, ini: str, email: str) -> None:
    """Show whose account it is, what it opens, and when that person was last here."""
    with refusals_shown(), open_service(ini) as service, service.sessions() as session:
        account = account_of(session, known_user(session, email))
    _show_account(account)


def _show_account(account: Account, *, err: bool = False) -> None:
    user = account.user
    verified = "" if account.address_verified else " (no provider verifies this address)"
    click.echo(f"{user.name}, {user.email}{verified}", err=err)
    for identity in account.identities:
        address = identity.email or "without an address"
        when = shown_time(identity.last_sign_in_at)
        click.echo(f"  signs in with {identity.provider}: {address}, last on {when}", err=err)
    click.echo(f"  was last here: {shown_time(account.last_here, 'never')}", err=err)
    if user.is_admin:
        click.echo("  is an administrator", err=err)
    if user.disabled_at is not None:
        click.echo(f"  is disabled since {shown_time(user.disabled_at)}", err=err)
    for project, role in account.roles:
        click.echo(f"  opens the project {project}, as {role}", err=err)


@user.command("set-email")
@config_option
@_email
@click.argument("new_email", callback=shown)
@click.pass_obj
def set_email_(open_service: OpenService, ini: str, email: str, new_email: str) -> None:
    """Give a user another address, so that somebody else can have this one.

    When the user signs in next, the address that the provider verifies then replaces it.
    """
    with refusals_shown(), open_service(ini) as service, service.sessions.begin() as session:
        user = known_user(session, email)
        set_email(session, user, new_email)
        click.echo(f"{email} is {user.email} now.", err=True)


@user.command()
@config_option
@_email
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(open_service: OpenService, ini: str, email: str, yes: bool) -> None:
    """Delete a user, with the projects that nobody else is a member of.

    What they made in other projects stays, without their name. The audit keeps their name and address:
    combine erase user removes these, too.
    """
    with refusals_shown(), open_service(ini) as service:
        with service.sessions() as session:
            found = known_user(session, email)
            plan = plan_deletion(session, found, named=True)
            name = f"{found.name}, {found.email}"
        if plan.obstacle is None and not yes:
            click.confirm(f"Delete {name}, {in_words(plan)}?", abort=True, err=True)
        with service.sessions.begin() as session:
            gone = delete_user(session, known_user(session, email), named=True)
    click.echo(f"Deleted {name}, {in_words(gone)}.", err=True)


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
            user = known_user(session, email)
            change(session, user)
            subjects = service.settings.get(AuthSettings).admin_subjects
            again = change is revoke_admin and is_named(session, user, subjects)
        click.echo(f"{email} {done}.", err=True)
        if again:
            click.echo(
                "ADMIN_SUBJECTS names an identity of theirs, so their next sign-in makes them an"
                " administrator again. Remove it there, and restart the service.",
                err=True,
            )


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
