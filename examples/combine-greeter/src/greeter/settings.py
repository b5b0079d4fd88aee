from combine_core.settings import AddonSettings, setting


class GreeterSettings(AddonSettings):
    addon = "greeter"

    word: str = setting("Hello", help="The word that greetings begin with.")
