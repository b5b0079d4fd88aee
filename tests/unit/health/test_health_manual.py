"""Tests that docs/health-plugins.md and the manual name every hook, route and argument."""

import inspect
import re
from pathlib import Path

import pytest
from pyramid.config import Configurator

import combine_health
from combine_health import hookspecs
from combine_health.declarations import CHECK
from combine_health.directives import add_health_check
from combine_health.settings import declared

PAGE = Path(__file__).parents[3] / "docs/health-plugins.md"

HOOKS = [
    f"{name}({', '.join(inspect.signature(hook).parameters)})"
    for name, hook in vars(hookspecs).items()
    if name.startswith("combine_health_")
]
SETTINGS = [one.name for one in declared() if one.name.startswith("combine_health.")]
ARGUMENTS = [
    name
    for name, parameter in inspect.signature(add_health_check).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
]


def routes():
    with Configurator(settings={"combine_health.load_entry_points": "false"}) as config:
        config.include("combine_health")
        config.commit()
        return [
            entry["introspectable"]["pattern"]
            for entry in config.introspector.get_category("routes")
        ]


def directives():
    added = []

    class Recording(Configurator):
        def add_directive(self, name, *args, **options):
            added.append(name)
            super().add_directive(name, *args, **options)

    with Recording(settings={"combine_health.load_entry_points": "false"}) as config:
        added.clear()  # Pyramid has this directive
        config.include("combine_health")
    return added


def test_hooks_and_routes_are_found():
    assert len(HOOKS) == 4
    assert len(SETTINGS) > 15
    assert len(ARGUMENTS) > 10
    assert {"/health", "/health/ready/{group}", "/metrics", "/status"} <= set(routes())
    assert "add_health_check" in directives()


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_the_manual_names_every_argument(argument):
    assert f"``{argument}``" in combine_health.__doc__ or f"``{argument}=" in combine_health.__doc__


@pytest.mark.parametrize("hook", HOOKS)
def test_the_manual_names_every_hook(hook):
    assert hook in combine_health.__doc__


@pytest.mark.skipif(not PAGE.exists(), reason="docs/health-plugins.md is not here")
def test_the_page_names_everything():
    page = PAGE.read_text(encoding="utf-8")
    options = {name for name in SETTINGS if name.startswith(f"{CHECK}NAME.")}
    wanted = [name for name in SETTINGS if name not in options]
    wanted += [f"`{name.rpartition('.')[2]}`" for name in options]
    wanted += [*routes(), *(f"`{name}`" for name in ARGUMENTS), *directives()]
    assert [name for name in wanted if name not in page] == []
    for hook in HOOKS:
        name, arguments = hook.removesuffix(")").split("(")
        shown = re.search(rf"def {name}\((.*?)\)", page)
        assert shown, name
        assert [one.split(":")[0].strip() for one in shown[1].split(",")] == arguments.split(", ")
