"""The JSON API below ``/api/v1``, described by ``openapi.yaml``, and its explorer at ``/docs``.

``config.include("combine_core.api")`` adds

* the endpoints, in one module for each subject. Each request is validated against the OpenAPI document
  before its view runs. In development and test each response is validated too;
* ``/api/v1/openapi.yaml``, ``/api/v1/openapi.json`` and the explorer, which need no sign-in;
* problem documents and the tweens of :mod:`combine_core.web`.
"""

from __future__ import annotations

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Include the modules of the API. The only I/O is reading the OpenAPI document."""
    config.include("combine_core.web")
    config.include("combine_core.problems")
    # Before the endpoints, because it adds the view option and the view deriver that they use.
    config.include("combine_core.api.specification")
    config.include("combine_core.web.idempotency")
    config.include("combine_core.web.preconditions")
    for subject in (
        "projects",
        "portability",
        "invitations",
        "sources",
        "runs",
        "documents",
        "versions",
        "comments",
        "reviews",
        "search",
        "register",
    ):
        config.include(f"combine_core.api.{subject}")
    config.include("combine_core.api.explorer")
