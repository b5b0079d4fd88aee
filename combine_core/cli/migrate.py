"""``combine migrate``: migrates the database to the newest revision."""

from __future__ import annotations

import click

from combine_core.settings.config_option import config_option


@click.command()
@config_option
@click.option(
    "--remove", metavar="ADD-ON", help="Remove the tables of this add-on before you uninstall it."
)
def migrate(ini: str, remove: str | None) -> None:
    """Migrate the database and the tables of add-ons to their newest revisions."""
    from combine_core.cli.service import diagnosing, read_settings
    from combine_core.database.migrations import current_revisions, remove_add_on, upgrade
    from combine_core.database.revisions import head_revision

    url = read_settings(ini).direct_url
    with diagnosing(url):
        if remove is not None:
            try:
                remove_add_on(url, remove)
            except KeyError as error:
                message = f"No installed add-on named {remove} has tables."
                raise click.ClickException(message) from error
            click.echo(f"Removed the tables of {remove}.", err=True)
            return
        upgrade(url)
        current = ", ".join(current_revisions(url))
    head = head_revision()
    message = f"The database is at revision {current}"
    if current != head:
        message += f", ahead of this code, which ends at {head}. Nothing was changed"
    click.echo(f"{message}.", err=True)
