"""The JSON API below ``/api/v1``, described by ``openapi.yaml``, and its explorer at ``/docs``.

``config.include("combine_core.api")`` brings

* the endpoints (:mod:`combine_core.api.routes`): each request is checked against the description
  before a view runs; in development and test each answer is checked, too;
* ``/api/v1/openapi.yaml`` and ``/api/v1/openapi.json``, and the explorer: no sign-in needed;
* problem documents (RFC 9457) for every error below ``/api/``, whoever raises it
  (:mod:`combine_core.web.problems`);
* a limit to the bodies of all requests, and a refusal of malformed ones
  (:mod:`combine_core.web.guard`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Put the API together. Does no I/O but reading the description."""
    config.include("combine_core.web.problems")
    config.include("combine_core.web.guard")
    # The description before the routes: their views are checked by it.
    config.include("combine_core.api.specification")
    config.include("combine_core.api.routes")
    config.include("combine_core.api.explorer")
