"""A token that is good for less than its user: what it lacks is named (RFC 6750, 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPForbidden
from pyramid.security import Denied
from pyramid.viewderivers import INGRESS

if TYPE_CHECKING:
    from pyramid.config import Configurator

View = Callable[[Any, Any], Any]


class ScopeLacking(Denied):  # type: ignore[misc]
    """What the policy answers where the user may do it, and the token may not. It is false."""

    @property
    def scope(self) -> str:
        """The permission that was asked for."""
        return str(self.args[0])


def scope_lacking(permission: str) -> ScopeLacking:
    """The answer for this permission."""
    return ScopeLacking("the token lacks the scope %s", permission)


class InsufficientScope(HTTPForbidden):  # type: ignore[misc]
    """403, with the scope to ask for."""

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"The token is not good for this: it lacks the scope {scope}.",
            headers={
                "WWW-Authenticate": (
                    f'Bearer realm="combine", error="insufficient_scope", scope="{scope}"'
                )
            },
        )


def name_the_scope(view: View, info: Any) -> View:  # noqa: ARG001
    """View deriver around the check of permissions: a lacking scope is told from a lacking right."""

    def checked(context: Any, request: Any) -> Any:
        try:
            return view(context, request)
        except HTTPForbidden as error:
            result = getattr(error, "result", None)
            if isinstance(result, ScopeLacking):
                raise InsufficientScope(result.scope) from error
            raise

    return checked


def includeme(config: Configurator) -> None:
    """Put the deriver around every view."""
    config.add_view_deriver(name_the_scope, over="secured_view", under=INGRESS)
