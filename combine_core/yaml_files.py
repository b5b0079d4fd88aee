"""Reads YAML of ours and of add-ons."""

from __future__ import annotations

from typing import Any

import yaml

# libyaml reads ten times as fast, and is in every wheel of PyYAML.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str) -> Any:
    """The content of a document.

    :raises yaml.YAMLError: it is not well-formed
    """
    return yaml.load(text, _Loader)  # noqa: S506 - it is a safe one
