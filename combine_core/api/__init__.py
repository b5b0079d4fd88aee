"""The JSON API below ``/api/v1``, described by ``openapi.yaml``, and its explorer at ``/docs``.

``config.include("combine_core.api")`` brings

* the endpoints (:mod:`combine_core.api.routes`): each request is checked against the description
  before a view runs; in development and test each answer is checked, too;
* ``/api/v1/openapi.yaml`` and ``/api/v1/openapi.json``, and the explorer: no sign-in needed;
* problem documents (RFC 9457) for every error below ``/api/``, whoever raises it
  (:mod:`combine_core.api.problems`);
* a limit to the bodies of all requests, and a refusal of malformed ones
  (:mod:`combine_core.api.guard`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyramid.tweens import EXCVIEW, INGRESS, MAIN

if TYPE_CHECKING:
    from pyramid.config import Configurator

_PROBLEMS = "combine_core.api.problems.problem_tween_factory"


def includeme(config: Configurator) -> None:
    """Put the API together. Does no I/O but reading the description."""
    config.include("combine_core.api.specification")
    config.include("combine_core.api.routes")
    config.include("combine_core.api.explorer")

    # Inside Pyramid's own error views: below /api/ every error is ours, whatever views an
    # application registers for its pages.
    config.add_tween(_PROBLEMS, under=EXCVIEW, over=MAIN)
    # Inside that, so that what it refuses becomes a problem document.
    config.add_tween("combine_core.api.guard.guard_tween_factory", under=_PROBLEMS, over=MAIN)
    config.registry.settings.setdefault("retry.activate_hook", "combine_core.api.guard.keep_body")
    # Outside the transaction: what fails at the commit. Inside what dresses every answer.
    config.add_tween(
        "combine_core.api.problems.last_problem_tween_factory",
        over=("pyramid_tm.tm_tween_factory", EXCVIEW),
        under=("combine_core.pages.errors.late_errors_tween_factory", INGRESS),
    )
