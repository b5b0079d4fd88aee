from combine_core.settings import settings_of
from combine_health import HealthResult
from greeter.settings import GreeterSettings


def polite(registry):
    word = settings_of(registry, GreeterSettings).word
    if word.isupper():
        return HealthResult.degraded("shouting", f"Greetings begin with {word}.")
    return HealthResult.healthy()


def includeme(config):
    config.include("combine_health")
    config.add_health_check(
        "greeter",
        polite,
        critical=False,
        remedies={"shouting": "Set GREETER_WORD to a word with lower-case letters."},
    )
