"""``combine token``: personal access tokens from the terminal."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import click

from combine_auth.administration.service import known_user
from combine_auth.audit import Action, record
from combine_auth.cli.console import (
    OpenService,
    refusals_shown,
    show_table,
    shown,
    shown_time,
)
from combine_auth.refused import Refused
from combine_auth.tokens.format import PREFIX
from combine_auth.tokens.model import PersonalAccessToken
from combine_auth.tokens.scopes import SCOPES
from combine_auth.tokens.service import (
    DEFAULT_DAYS,
    MOST_DAYS,
    create_token,
    list_tokens,
    revoke_token,
)
from combine_core.settings import CoreSettings
from combine_core.settings.config_option import config_option
from combine_core.users import get_or_create_user

_user_option = click.option(
    "--user", "email", required=True, callback=shown, metavar="EMAIL", help="Whose it is."
)


@click.group()
def token() -> None:
    """Personal access tokens: keys that people make for their programs."""


@token.command()
@config_option
@_user_option
@click.option("--name", default="command line", show_default=True, help="Which program uses it.")
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    default=DEFAULT_DAYS,
    show_default=True,
    help="How long it works.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it may do; may be repeated [default: all that the user may].",
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
    """Print a new token, once. In development, a user that does not exist is made."""
    with (
        refusals_shown(),
        open_service(ini, all_models=False) as service,
        service.sessions.begin() as session,
    ):
        if service.settings.get(CoreSettings).is_development:
            user = get_or_create_user(session, email)
        else:
            user = known_user(session, email)
        if user.disabled_at is not None:
            message = f"{user.email} is disabled. To enable it: combine user enable EMAIL"
            raise Refused(message)
        made, row = create_token(session, user.id, name, days, scopes or None, project)
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
    click.echo(made)
    click.echo(
        f"A token of {user.email}, for {days} days. It is not shown again."
        f" To revoke it: combine token revoke {row.id} -c {ini}",
        err=True,
    )


@token.command("list")
@config_option
@_user_option
@click.pass_obj
def list_(open_service: OpenService, ini: str, email: str) -> None:
    """List a user's tokens: what is known of them, never the tokens."""
    with (
        refusals_shown(),
        open_service(ini, all_models=False) as service,
        service.sessions() as session,
    ):
        rows = list_tokens(session, known_user(session, email).id)
    head = ("ID", "NAME", "TOKEN", "MAY", "CREATED", "EXPIRES", "LAST USED", "STATE")
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
        shown_time(row.created_at),
        shown_time(row.expires_at),
        shown_time(row.last_used_at, "never"),
        state,
    )


@token.command()
@config_option
@click.argument("token_id", metavar="ID", type=click.UUID)
@click.pass_obj
def revoke(open_service: OpenService, ini: str, token_id: uuid.UUID) -> None:
    """Revoke a token, by the ID that the list shows."""
    with open_service(ini, all_models=False) as service, service.sessions.begin() as session:
        if not revoke_token(session, token_id):
            message = f"There is no token {token_id}. To see them: combine token list"
            raise click.ClickException(message)
        record(session, Action.TOKEN_REVOKE, actor="operator", target=f"token:{token_id}")
    click.echo(f"Revoked {token_id}.", err=True)
