"""The JSON API below ``/api/v1``, described by ``openapi.yaml``, and its explorer at ``/docs``.

``config.include("combine_core.api")`` brings

* the endpoints: each request is checked against the description before a view runs. In development and
  test each response is checked too. A module stands for each subject, with its views and its endpoints;
* ``/api/v1/openapi.yaml`` and ``/api/v1/openapi.json``, and the explorer: no sign-in needed;
* problem documents and the tweens of :mod:`combine_core.web`.
"""

from __future__ import annotations

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Put the API together. The only I/O is reading the description."""
    config.include("combine_core.web")
    config.include("combine_core.problems")
    # The description comes before the endpoints, because it checks their requests.
    config.include("combine_core.api.specification")
    config.include("combine_core.web.idempotency")
    config.include("combine_core.web.preconditions")
    for subject in (
        "projects",
        "portability",
        "invitations",
        "sources",
        "runs",
        "calls",
        "documents",
        "versions",
        "comments",
        "reviews",
        "search",
        "register",
    ):
        config.include(f"combine_core.api.{subject}")
    config.include("combine_core.api.explorer")
