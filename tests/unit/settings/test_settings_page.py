"""docs/configuration.md says what the code declares."""

from pathlib import Path

from combine_core.cli.settings import DISTRIBUTION, configuration_page
from combine_core.settings.addons import installed

ROOT = Path(__file__).parents[3]


def test_the_page_is_the_output_of_the_command():
    page = configuration_page(installed(DISTRIBUTION))
    written = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert written == page, "run: combine settings --markdown > docs/configuration.md"


def test_every_setting_is_on_it():
    page = configuration_page(installed(DISTRIBUTION))
    everything = installed(DISTRIBUTION)
    declared = [d for cls in everything.classes for d in cls.declared()]
    assert len(declared) > 20
    for setting in declared:
        assert f"| `{setting.variable}` | `{setting.ini_key}` |" in page
        assert setting.help in page
    for guest in everything.modules.values():
        for setting in guest.declared():
            assert f"`{setting.variable}`" in page
    for variable in ("PORT", "LISTEN", "MICROSOFT_TENANTS", "CONTACT_ON_CALL", "DEFAULT_MODEL"):
        assert f"`{variable}`" in page


def test_the_key_for_development_is_not_printed():
    assert "everyone-knows" not in configuration_page(installed(DISTRIBUTION))
