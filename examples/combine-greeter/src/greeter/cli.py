import click

from combine_core.settings.config_option import config_option


@click.command()
@config_option
@click.argument("name")
@click.pass_obj
def greet(open_service, ini, name):
    """Greet NAME, and store the greeting."""
    from greeter.service import greet as store
    from greeter.settings import GreeterSettings

    with open_service(ini) as service, service.sessions.begin() as session:
        click.echo(store(session, service.settings.get(GreeterSettings).word, name).text)
