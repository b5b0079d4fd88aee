"""Tests that model names select providers, plugins add providers, and missing parts are reported."""

import dataclasses
import subprocess
import sys
import types
from importlib.metadata import EntryPoint, entry_points

import pluggy
import pytest
from pydantic import SecretStr

from combine_core.llm import (
    Completion,
    ProviderConflict,
    ProviderRegistry,
    Unconfigured,
    UnknownModel,
    Usage,
    hookimpl,
    provider_registry,
    registry,
)


@dataclasses.dataclass(frozen=True)
class Settings:
    anthropic_api_key: SecretStr | None = None
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    default_model: str = "extract"


class Echo:
    def __init__(self, name="echo"):
        self.name = name

    def complete(self, request):
        return Completion(request.prompt, Usage(), None, None, None, None, used_llm=False)


def plugin_of(*providers, **options):
    plugin = types.SimpleNamespace()

    @hookimpl
    def combine_core_register_providers(register, settings):
        for provider in providers:
            register(provider, **options)

    plugin.combine_core_register_providers = combine_core_register_providers
    return plugin


BOTH = Settings(anthropic_api_key=SecretStr("sk-ant-x"), openai_api_key=SecretStr("sk-x"))


@pytest.mark.parametrize("model", ["gpt", "anthropic", "opnai/gpt-5", "extract/x"])
def test_a_default_model_that_no_provider_takes_is_logged_at_the_start(caplog, model):
    provider_registry(dataclasses.replace(BOTH, default_model=model))

    (record,) = caplog.records
    assert record.getMessage().startswith(f"DEFAULT_MODEL is {model}. ")


@pytest.mark.parametrize("model", ["extract", "openai/gpt-5", "echo"])
def test_a_default_model_that_a_provider_takes_is_not_logged(caplog, model):
    provider_registry(
        dataclasses.replace(BOTH, default_model=model), [plugin_of(Echo(), takes_model=False)]
    )

    assert not caplog.records


@pytest.mark.parametrize(
    ("model", "name", "rest"),
    [
        ("extract", "extract", "extract"),
        ("anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("openai/meta-llama/llama-3.1-8b", "openai", "meta-llama/llama-3.1-8b"),
    ],
)
def test_a_model_string_contains_provider_and_model(model, name, rest):
    provider, found = provider_registry(BOTH).resolve(model)

    assert (provider.name, found) == (name, rest)


@pytest.mark.parametrize(
    "model",
    [
        "",
        "/",
        "gpt-4o",
        "anthropic",
        "anthropic/",
        "extract/x",
        "Extract",
        "openai/ gpt",
        "openai/gpt\0",
        "openai/gpt\n4",
        "openai/\ud800",
        " extract",
    ],
)
def test_other_strings_are_rejected_with_the_right_form(model):
    with pytest.raises(UnknownModel) as caught:
        provider_registry(BOTH).resolve(model)

    assert "Write" in caught.value.remedy
    assert caught.value.remedy in str(caught.value)
    assert caught.value.model == model


def test_the_remedy_names_the_configured_providers():
    with pytest.raises(UnknownModel) as caught:
        provider_registry(BOTH).resolve("cohere/command")

    assert "anthropic/<model> or extract or openai/<model>" in str(caught.value)


def test_a_very_long_model_string_is_cut():
    with pytest.raises(UnknownModel) as caught:
        provider_registry(BOTH).resolve("x" * 10_000)

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("model", "variable"),
    [("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY"), ("openai/gpt-4o", "OPENAI_API_KEY")],
)
@pytest.mark.parametrize("key", [None, SecretStr(""), SecretStr("  ")])
def test_a_missing_key_is_named(model, variable, key):
    settings = Settings(anthropic_api_key=key, openai_api_key=key)

    with pytest.raises(UnknownModel) as caught:
        provider_registry(settings).resolve(model)

    assert "is not configured" in str(caught.value)
    assert f"set {variable}" in caught.value.remedy
    assert "extract" in caught.value.remedy


def test_an_invalid_key_is_reported_and_not_shown():
    settings = Settings(
        anthropic_api_key=SecretStr("sk-ant\nx"), openai_api_key=SecretStr("schlüssel")
    )

    described = {s.name: s for s in provider_registry(settings).describe()}

    assert "correct ANTHROPIC_API_KEY" in described["anthropic"].why
    assert "correct OPENAI_API_KEY" in described["openai"].why
    assert "schlüssel" not in repr(described)


def test_a_custom_server_needs_no_key():
    settings = Settings(openai_base_url="http://127.0.0.1:11434/v1")

    provider, model = provider_registry(settings).resolve("openai/llama3")

    assert (provider.name, model) == ("openai", "llama3")


def test_describe_lists_all_with_the_reason():
    described = provider_registry(
        Settings(openai_api_key=SecretStr("sk-x")), plugins=[plugin_of(Echo())]
    ).describe()

    assert [(s.name, s.configured, s.why, s.model_string) for s in described] == [
        ("anthropic", False, "not configured: set ANTHROPIC_API_KEY", "anthropic/<model>"),
        ("echo", True, "", "echo/<model>"),
        ("extract", True, "", "extract"),
        ("openai", True, "", "openai/<model>"),
    ]


def test_the_default_model_is_kept():
    assert provider_registry(Settings(default_model="extract")).default_model == "extract"


def test_a_plugin_adds_a_provider():
    provider = Echo()
    made = provider_registry(Settings(), plugins=[plugin_of(provider)])

    assert made.resolve("echo/any/model") == (provider, "any/model")


def test_a_plugin_provider_may_have_no_models_or_setting():
    plugin = plugin_of(Echo("bare"), Unconfigured("other", "set OTHER_KEY"), takes_model=False)
    made = provider_registry(Settings(), plugins=[plugin])

    assert made.resolve("bare")[1] == "bare"
    with pytest.raises(UnknownModel, match="set OTHER_KEY"):
        made.resolve("other")


def test_two_applications_do_not_share_plugins():
    with_echo = provider_registry(Settings(), plugins=[plugin_of(Echo())])
    without = provider_registry(Settings())

    assert with_echo.resolve("echo/x")
    with pytest.raises(UnknownModel):
        without.resolve("echo/x")


@pytest.mark.parametrize("name", ["extract", "openai", "Upper", "a/b", "", "ünicode", "a b"])
def test_a_used_or_malformed_name_is_an_error_at_startup(name):
    with pytest.raises(ProviderConflict):
        provider_registry(BOTH, plugins=[plugin_of(Echo(name))])


def test_a_misspelt_hook_is_an_error_at_startup():
    plugin = types.SimpleNamespace()

    @hookimpl
    def combine_core_register_provider(register, settings): ...

    plugin.combine_core_register_provider = combine_core_register_provider

    with pytest.raises(pluggy.PluginValidationError, match="combine_core_register_provider"):
        provider_registry(Settings(), plugins=[plugin])


def installed(monkeypatch, *found):
    """Install these entry points beside those of Combine."""
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group: [*entry_points(group=group), *(e for e in found if e.group == group)],
    )


@pytest.mark.parametrize(
    "groups", [["combine.llm"], ["combine.providers"], ["combine.llm", "combine.providers"]]
)
def test_installed_plugins_are_found_by_their_entry_point(monkeypatch, groups):
    module = types.ModuleType("some_plugin")
    vars(module).update(vars(plugin_of(Echo())))
    monkeypatch.setitem(sys.modules, "some_plugin", module)
    installed(monkeypatch, *(EntryPoint("echo", "some_plugin", group) for group in groups))

    assert provider_registry(Settings()).resolve("echo/x")


def test_a_plugin_may_import_from_the_former_name_of_the_package():
    from combine_core import llm, providers

    assert {"Completion", "Usage", "hookimpl"} <= set(providers.__all__)
    assert all(getattr(providers, name) is getattr(llm, name) for name in providers.__all__)


def test_a_plugin_that_cannot_be_imported_hides_no_other(monkeypatch, caplog):
    installed(monkeypatch, EntryPoint("broken", "no_such_module_at_all", "combine.llm"))

    made = provider_registry(Settings())

    assert made.resolve("extract")
    with pytest.raises(UnknownModel, match="ModuleNotFoundError"):
        made.resolve("broken/x")
    assert "no_such_module_at_all" in caplog.text


@pytest.mark.parametrize("name", ["Broken Plugin", "extract"])
def test_a_broken_plugin_of_any_name_hides_no_other(monkeypatch, caplog, name):
    installed(monkeypatch, EntryPoint(name, "no_such_module_at_all", "combine.llm"))

    assert provider_registry(Settings()).resolve("extract")[0].name == "extract"
    assert "no_such_module_at_all" in caplog.text


def test_a_plugin_with_a_name_of_ours_is_an_error_at_startup(monkeypatch):
    module = types.ModuleType("some_plugin")
    vars(module).update(vars(plugin_of(Echo("extract"))))
    monkeypatch.setitem(sys.modules, "some_plugin", module)
    installed(monkeypatch, EntryPoint("extract", "some_plugin", "combine.llm"))

    with pytest.raises(ProviderConflict, match="two providers are named 'extract'"):
        provider_registry(Settings())


def test_without_any_plugin_the_remedy_is_to_install_the_package_again(monkeypatch):
    monkeypatch.setattr(registry, "entry_points", lambda group: [])

    with pytest.raises(UnknownModel, match="reinstall the package"):
        provider_registry(Settings()).resolve("extract")


def test_a_registry_can_be_created_manually():
    made = ProviderRegistry()
    made.register(Echo())

    assert made.resolve("echo/x")[1] == "x"


def test_heavy_modules_are_imported_on_first_use():
    code = (
        "import sys; from tests.unit.llm.test_registry import BOTH;"
        "from combine_core.llm import provider_registry;"
        "provider_registry(BOTH).resolve('anthropic/claude-sonnet-4-5');"
        "heavy = {'anthropic', 'openai', 'httpx2', 'genai_prices'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


PREPARED = """
import sys
from pydantic import SecretStr
from combine_core.llm import CompletionRequest, Material, provider_registry
from tests import vendor_server as vendors
from tests.unit.llm.test_registry import BOTH

schema = {"type": "object", "properties": {"facts": {"type": "array", "items": {"type": "string"}}},
          "required": ["facts"], "additionalProperties": False}
with vendors.VendorServer() as vendor:
    vendor.always(vendors.ok({"facts": []}))
    settings = BOTH.__class__(openai_api_key=SecretStr("sk-x"), openai_base_url=vendor.openai_url)
    for model in ("openai/gpt-5-mini", "extract"):
        provider, name = provider_registry(settings).resolve(model)
        provider.prepare()
        loaded = set(sys.modules)
        material = Material("S1", "id", "notes", "We decided to go.")
        provider.complete(CompletionRequest(name, "", "?", schema, 100, 60, (material,)))
        new = {module.partition(".")[0] for module in set(sys.modules) - loaded}
        print(sorted(new & {"openai", "httpx2", "genai_prices", "combine_core"}))
"""


def test_a_prepared_provider_imports_nothing_more_in_its_first_call():
    ran = subprocess.run(
        [sys.executable, "-c", PREPARED], capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines() == ["[]", "[]"]
