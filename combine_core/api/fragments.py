"""Merges the OpenAPI descriptions of add-ons into ours.

A fragment is an OpenAPI 3.0 document of its own, in YAML, with ``paths`` below the prefix of the API,
and ``components`` and ``tags`` as it needs them. It may refer to components of ours, such as
``#/components/responses/Unauthorized``. A security scheme among its components becomes another way to
authenticate for all operations that do not name their own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pyramid.exceptions import ConfigurationError

from combine_core.yaml_files import load_yaml

# A document is not valid without these, but they are not merged.
_ITS_OWN = frozenset({"openapi", "info"})
_OURS = ("combine_core:", "combine_auth:")
_MERGED = frozenset({"paths", "components", "tags"})


@dataclass(frozen=True)
class Fragment:
    """A document and its name, such as ``combine_auth:openapi.yaml``."""

    name: str
    document: Mapping[str, Any]


def read_fragment(name: str, path: Path) -> Fragment:
    """Read a fragment from its file.

    :raises ConfigurationError: it cannot be read, or has a part that counts for the whole API
    """
    try:
        document = load_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"The API description {name} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"The API description {name} is not an OpenAPI document.")
    foreign = sorted(set(document) - _ITS_OWN - _MERGED)
    if foreign:
        raise ConfigurationError(
            f"The API description {name} has {', '.join(foreign)}, which counts for the whole API."
            f" An add-on brings {', '.join(sorted(_MERGED))}; security stands with each operation."
        )
    return Fragment(name, document)


def merge(document: Mapping[str, Any], fragments: Iterable[Fragment]) -> dict[str, Any]:
    """Merge the fragments into a copy of ``document``.

    :raises ConfigurationError: two of them define the same thing, or the result is not a valid document
    """
    merged: dict[str, Any] = copy.deepcopy(dict(document))
    # The name of the fragment that defines each key of a section.
    owners: dict[tuple[str, str], str] = {}
    names = []
    for fragment in fragments:
        names.append(fragment.name)
        _merge_into(merged.setdefault("paths", {}), fragment, "paths", owners, same_is_fine=False)
        _merge_tags(merged.setdefault("tags", []), fragment)
        sections = fragment.document.get("components") or {}
        for section in sections:
            mine = merged.setdefault("components", {}).setdefault(section, {})
            _merge_into(mine, fragment, f"components/{section}", owners, same_is_fine=True)
    _offer_schemes(merged, document)
    # A tenth of the start. Our own descriptions are validated by the tests.
    if not all(name.startswith(_OURS) for name in names):
        _validate(merged, names)
    return merged


def _offer_schemes(merged: dict[str, Any], ours: Mapping[str, Any]) -> None:
    """Let each security scheme of an add-on authenticate requests to all operations."""
    known = ours.get("components", {}).get("securitySchemes", {})
    brought = merged.get("components", {}).get("securitySchemes", {})
    ways: list[dict[str, list[str]]] = [{name: []} for name in brought if name not in known]
    if ways:
        merged["security"] = [*merged.get("security", []), *ways]


def _merge_into(
    mine: dict[str, Any],
    fragment: Fragment,
    section: str,
    owners: dict[tuple[str, str], str],
    *,
    same_is_fine: bool,
) -> None:
    theirs: Any = fragment.document
    for part in section.split("/"):
        theirs = theirs.get(part) or {}
    for key, value in theirs.items():
        if key in mine and not (same_is_fine and mine[key] == value):
            owner = owners.get((section, key), "combine_core")
            raise ConfigurationError(
                f"Two API descriptions have {section} {key!r}: that of {owner} and"
                f" {fragment.name}. Rename one."
            )
        mine[key] = copy.deepcopy(value)
        owners.setdefault((section, key), fragment.name)


def _merge_tags(mine: list[Any], fragment: Fragment) -> None:
    known = {tag["name"] for tag in mine}
    theirs = fragment.document.get("tags") or ()
    # Operations may use a tag that exists already. The first description of a tag counts.
    mine.extend(copy.deepcopy(tag) for tag in theirs if tag["name"] not in known)


def _validate(merged: dict[str, Any], names: list[str]) -> None:
    # Here, because few processes need it: it loads slowly.
    from openapi_spec_validator import validate
    from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
    from referencing.exceptions import Unresolvable

    try:
        validate(merged)
    except (OpenAPIValidationError, Unresolvable) as error:
        parts = " and ".join(["combine_core", *names])
        message = f"The API description of {parts} is not a valid OpenAPI document: {error}"
        raise ConfigurationError(message) from error
