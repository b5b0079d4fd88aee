"""Merges the OpenAPI documents of add-ons into the one of the service.

A fragment is a complete OpenAPI 3.0 document in YAML, with ``paths`` below the prefix of the API, and with
``components`` and ``tags`` if it needs them. It may refer to components of the service, such as
``#/components/responses/Unauthorized``. A security scheme among its components becomes another way to
authenticate for all operations without a ``security`` of their own.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pyramid.exceptions import ConfigurationError

from combine_core.yaml_files import load_yaml

# Every OpenAPI document needs these sections, but they are not merged.
_IGNORED = frozenset({"openapi", "info"})
_TESTED_PACKAGES = ("combine_core:", "combine_auth:")
_MERGED = frozenset({"paths", "components", "tags"})


@dataclass(frozen=True)
class Fragment:
    """An OpenAPI document with its asset name, such as ``combine_auth:openapi.yaml``."""

    name: str
    document: Mapping[str, Any]


def read_fragment(name: str, path: Path) -> Fragment:
    """Read a fragment from its file.

    :raises ConfigurationError: it cannot be read, or contains a section that would affect the whole API
    """
    try:
        document = load_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"The API description {name} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"The API description {name} is not an OpenAPI document.")
    forbidden = sorted(set(document) - _IGNORED - _MERGED)
    if forbidden:
        raise ConfigurationError(
            f"The API description {name} contains {', '.join(forbidden)}, which would affect the whole"
            f" API. Use only {', '.join(sorted(_MERGED))}, and put security into each operation."
        )
    return Fragment(name, document)


def merge(document: Mapping[str, Any], fragments: Iterable[Fragment]) -> dict[str, Any]:
    """Merge the fragments into a copy of ``document``.

    :raises ConfigurationError: two of them define the same key, or the result is not a valid document
    """
    # Unlike a deep copy, this shares no texts with the parsed document. Those would keep the memory around
    # them from being reused after the parser has freed it.
    merged: dict[str, Any] = json.loads(json.dumps(document))
    # The name of the fragment that defines each key of a section.
    owners: dict[tuple[str, str], str] = {}
    names = []
    for fragment in fragments:
        names.append(fragment.name)
        _merge_section(merged.setdefault("paths", {}), fragment, "paths", owners)
        _merge_tags(merged.setdefault("tags", []), fragment)
        for name in fragment.document.get("components") or {}:
            section = merged.setdefault("components", {}).setdefault(name, {})
            _merge_section(section, fragment, f"components/{name}", owners)
    _allow_schemes(merged, document)
    # Validation takes a tenth of the start-up time. The tests validate our own documents.
    if not all(name.startswith(_TESTED_PACKAGES) for name in names):
        _validate(merged, names)
    return merged


def _allow_schemes(merged: dict[str, Any], document: Mapping[str, Any]) -> None:
    """Let each security scheme of an add-on authenticate requests to all operations."""
    own = document.get("components", {}).get("securitySchemes", {})
    schemes = merged.get("components", {}).get("securitySchemes", {})
    added: list[dict[str, list[str]]] = [{name: []} for name in schemes if name not in own]
    if added:
        merged["security"] = [*merged.get("security", []), *added]


def _merge_section(
    target: dict[str, Any], fragment: Fragment, path: str, owners: dict[tuple[str, str], str]
) -> None:
    added: Any = fragment.document
    for name in path.split("/"):
        added = added.get(name) or {}
    for key, value in added.items():
        # Two documents may contain the same component, but not the same path.
        if key in target and (path == "paths" or target[key] != value):
            owner = owners.get((path, key), "combine_core")
            raise ConfigurationError(
                f"Two API descriptions define {key!r} in {path}: {owner} and {fragment.name}."
                " Rename one."
            )
        target[key] = copy.deepcopy(value)
        owners.setdefault((path, key), fragment.name)


def _merge_tags(target: list[Any], fragment: Fragment) -> None:
    existing = {tag["name"] for tag in target}
    # Operations may use an existing tag. The first description of a tag wins.
    target.extend(
        copy.deepcopy(tag)
        for tag in fragment.document.get("tags") or ()
        if tag["name"] not in existing
    )


def _validate(merged: dict[str, Any], names: list[str]) -> None:
    # Imported here, because it loads slowly and few processes need it.
    from openapi_spec_validator import validate
    from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
    from referencing.exceptions import Unresolvable

    try:
        validate(merged)
    except (OpenAPIValidationError, Unresolvable) as error:
        parts = " and ".join(["combine_core", *names])
        message = f"The API description of {parts} is not a valid OpenAPI document: {error}"
        raise ConfigurationError(message) from error
