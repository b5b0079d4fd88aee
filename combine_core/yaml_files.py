"""Loads YAML from the packages of Combine and from add-ons."""

from __future__ import annotations

from typing import Any

import yaml

# The loader of libyaml is ten times as fast, and is part of every PyYAML wheel.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str) -> Any:
    """Parse a YAML document.

    :raises yaml.YAMLError: the document is not well-formed
    """
    return yaml.load(text, _Loader)  # noqa: S506 - the loader is a safe one
