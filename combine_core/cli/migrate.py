"""``combine migrate``: bring the database to the newest revision."""

from __future__ import annotations

import click

from combine_core.settings.config_option import config_option


@click.command()
@config_option
def migrate(ini: str) -> None:
    """Bring the database to the newest revision, like `alembic upgrade head`."""
    from combine_core.cli.errors import explaining
    from combine_core.cli.service import read_settings
    from combine_core.database.migrations import current_revisions, head_revision, upgrade

    url = read_settings(ini).direct_url
    with explaining(url):
        upgrade(url)
        current = ", ".join(current_revisions(url))
    head = head_revision()
    said = f"The database is at revision {current}"
    if current != head:
        said += f", ahead of this code, which ends at {head}. Nothing was changed"
    click.echo(f"{said}.", err=True)
