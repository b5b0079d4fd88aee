"""An add-on that stores and shows greetings."""


def includeme(config):
    config.include("combine_core.settings")
    from greeter.settings import GreeterSettings

    config.add_addon_settings(GreeterSettings)
    config.include("greeter.api")
    config.include("greeter.pages")
    config.override_asset("combine_core:pages/error.jinja2", "greeter:error.jinja2")
