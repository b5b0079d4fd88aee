"""``combine migrate``: bring the database to the newest revision."""

from __future__ import annotations

import click

from combine_core.settings.config_option import config_option


@click.command()
@config_option
@click.option(
    "--remove", metavar="ADD-ON", help="Remove the tables of this add-on, before it is uninstalled."
)
def migrate(ini: str, remove: str | None) -> None:
    """Bring the database to the newest revision, like `alembic upgrade head`, and to those of add-ons."""
    from combine_core.cli.errors import explaining
    from combine_core.cli.service import read_settings
    from combine_core.database.migrations import current_revisions, remove_add_on, upgrade
    from combine_core.database.revisions import head_revision

    url = read_settings(ini).direct_url
    with explaining(url):
        if remove is not None:
            try:
                remove_add_on(url, remove)
            except KeyError as error:
                message = f"No installed add-on named {remove} has tables."
                raise click.ClickException(message) from error
            click.echo(f"The tables of {remove} are gone.", err=True)
            return
        upgrade(url)
        current = ", ".join(current_revisions(url))
    head = head_revision()
    said = f"The database is at revision {current}"
    if current != head:
        said += f", ahead of this code, which ends at {head}. Nothing was changed"
    click.echo(f"{said}.", err=True)
