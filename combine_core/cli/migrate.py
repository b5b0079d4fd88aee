"""``combine migrate``: bring the database to the newest revision."""

from __future__ import annotations

import click

from combine_core.cli import config_option


@click.command()
@config_option
def migrate(ini: str) -> None:
    """Bring the database to the newest revision, like `alembic upgrade head` in a checkout."""
    from combine_core.cli.service import read_settings
    from combine_core.database.migrations import head_revision, upgrade

    upgrade(read_settings(ini).sqlalchemy_url)
    click.echo(f"The database is at revision {head_revision()}.", err=True)
