"""The command ``combine token``, which manages personal access tokens."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import click

from combine_auth.administration.service import user_with_email
from combine_auth.audit import Action, record
from combine_auth.cli.console import (
    OpenService,
    format_time,
    printable,
    show_table,
    transaction,
)
from combine_auth.failures import Refused
from combine_auth.tokens.format import PREFIX
from combine_auth.tokens.model import PersonalAccessToken
from combine_auth.tokens.scopes import SCOPES
from combine_auth.tokens.service import (
    DEFAULT_DAYS,
    MAX_DAYS,
    create_token,
    list_tokens,
    revoke_token,
)
from combine_core.settings import CoreSettings
from combine_core.settings.config_option import config_option
from combine_core.users import get_or_create_user

_user_option = click.option(
    "--user",
    "email",
    required=True,
    callback=printable,
    metavar="EMAIL",
    help="The owner of the token.",
)


@click.group()
def token() -> None:
    """Manage personal access tokens, which users create for their programs."""


@token.command()
@config_option
@_user_option
@click.option("--name", default="command line", show_default=True, help="The program that uses it.")
@click.option(
    "--days",
    type=click.IntRange(1, MAX_DAYS),
    default=DEFAULT_DAYS,
    show_default=True,
    help="The lifetime of the token in days.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="A scope of the token. May be repeated. [default: all permissions of the user]",
)
@click.option(
    "--project", metavar="SLUG", help="The only project that it may be used in [default: all]."
)
@click.pass_obj
def create(
    open_service: OpenService,
    ini: str,
    email: str,
    name: str,
    days: int,
    scopes: tuple[str, ...],
    project: str | None,
) -> None:
    """Create and print a token. In development, this also creates a missing user."""
    with transaction(open_service, ini, all_models=False) as (service, session):
        if service.settings.get(CoreSettings).is_development:
            user = get_or_create_user(session, email)
        else:
            user = user_with_email(session, email)
        if user.disabled_at is not None:
            message = f"{user.email} is disabled. To enable it: combine user enable EMAIL"
            raise Refused(message)
        token_text, row = create_token(session, user.id, name, days, scopes or None, project)
        record(
            session,
            Action.TOKEN_CREATE,
            actor="operator",
            target=f"token:{row.id}",
            owner=user.email,
            days=days,
            scopes=row.scopes,
        )
    # Only the token goes to stdout, for scripts.
    click.echo(token_text)
    click.echo(
        f"The token of {user.email} is valid for {days} days. It is not shown again."
        f" To revoke it: combine token revoke {row.id} -c {ini}",
        err=True,
    )


@token.command("list")
@config_option
@_user_option
@click.pass_obj
def list_(open_service: OpenService, ini: str, email: str) -> None:
    """Describe the tokens of a user, without the tokens themselves."""
    with transaction(open_service, ini, all_models=False) as (_, session):
        rows = list_tokens(session, user_with_email(session, email).id)
    head = ("ID", "NAME", "TOKEN", "SCOPES", "CREATED", "EXPIRES", "LAST USED", "STATE")
    show_table(head, (_row(row) for row in rows))


def _row(row: PersonalAccessToken) -> tuple[str, ...]:
    state = "works"
    if row.expires_at <= datetime.now(UTC):
        state = "expired"
    if row.revoked_at is not None:
        state = "revoked" if row.leaked_at is None else "revoked: found in public"
    return (
        str(row.id),
        row.name,
        f"{PREFIX}...{row.last4}",
        "all" if row.scopes is None else " ".join(row.scopes),
        format_time(row.created_at),
        format_time(row.expires_at),
        format_time(row.last_used_at, "never"),
        state,
    )


@token.command()
@config_option
@click.argument("token_id", metavar="ID", type=click.UUID)
@click.pass_obj
def revoke(open_service: OpenService, ini: str, token_id: uuid.UUID) -> None:
    """Revoke the token with this ID."""
    with transaction(open_service, ini, all_models=False) as (_, session):
        if not revoke_token(session, token_id):
            message = f"There is no token {token_id}. To list a user's tokens: combine token list"
            raise click.ClickException(message)
        record(session, Action.TOKEN_REVOKE, actor="operator", target=f"token:{token_id}")
    click.echo(f"Revoked {token_id}.", err=True)
