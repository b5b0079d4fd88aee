"""The scopes of tokens (RFC 6749, 3.3), which are the permissions of :mod:`combine_core.users`.

A scope grants nothing by itself. It lets a token use a permission that its user has at that moment.
"""

from __future__ import annotations

from collections.abc import Iterable

from combine_auth.administration import AdminPermission
from combine_auth.failures import Refused
from combine_core.users import Permission

# Permissions that any user can have in projects.
PLAIN: tuple[str, ...] = tuple(str(permission) for permission in Permission)
# Permissions that only administrators have, so that others cannot use them.
FOR_ADMINISTRATORS: tuple[str, ...] = tuple(str(permission) for permission in AdminPermission)
SCOPES = PLAIN + FOR_ADMINISTRATORS

_DESCRIPTIONS = {
    "audit:read": "For administrators: read the audit",
    "documents:read": "Read the documents of your projects, with their evidence",
    "documents:review": "Approve or reject documents of your projects",
    "documents:write": "Rename, archive and delete documents of your projects",
    "members:leave": "Leave projects in your name",
    "members:read": "See who is a member of your projects",
    "members:write": "Invite people into your projects, remove them, and change their roles",
    "projects:read": "See your projects and the available lines",
    "projects:write": "Create and join projects; rename, archive and delete those that you own",
    "runs:read": "See the runs of your projects",
    "runs:write": "Start, cancel and delete runs in your projects",
    "sources:read": "Read the sources of your projects",
    "sources:write": "Add, rename and delete sources of your projects",
    "users:read": "For administrators: see all users",
    "users:write": "For administrators: disable and delete users, and end their sessions",
}
_VERBS = {"read": "See", "write": "Change"}


def describe_scope(scope: str) -> str:
    """Return what a scope lets a program do, in words."""
    things, _, verb = scope.partition(":")
    return _DESCRIPTIONS.get(scope) or f"{_VERBS.get(verb, verb.capitalize())} {things}"


def parse_scopes(names: Iterable[str]) -> list[str]:
    """Return the scopes in the order of ``SCOPES``, without duplicates. Raises Refused for an unknown one."""
    chosen = set(names)
    unknown = sorted(chosen.difference(SCOPES))
    if unknown:
        message = f"There is no scope {unknown[0][:50]!r}. Use some of: {', '.join(SCOPES)}."
        raise Refused(message)
    return [scope for scope in SCOPES if scope in chosen]


def grantable(scopes: Iterable[str], *, is_admin: bool) -> list[str]:
    """Return those of the scopes that this user can grant to a program."""
    return [scope for scope in scopes if is_admin or scope not in FOR_ADMINISTRATORS]


def check_grantable(scopes: Iterable[str], *, is_admin: bool) -> None:
    """Raise Refused if only an administrator can grant one of the scopes."""
    reserved = sorted(set(scopes).difference(grantable(scopes, is_admin=is_admin)))
    if reserved:
        raise Refused(f"Only an administrator can grant {', '.join(reserved)}. Leave it out.")


def acts_as_administrator(is_admin: bool, scopes: Iterable[str] | None) -> bool:
    """Check whether a token of this user with these scopes has the rights of an administrator."""
    return is_admin and (scopes is None or not set(FOR_ADMINISTRATORS).isdisjoint(scopes))
