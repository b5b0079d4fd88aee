"""Scopes of tokens (RFC 6749, 3.3): the permissions of :mod:`combine_core.users`.

A scope grants nothing by itself. It lets a token use a right that its user has at that moment.
"""

from __future__ import annotations

from collections.abc import Iterable

from combine_auth.administration import AdminPermission
from combine_auth.refused import Refused
from combine_core.users import Permission

# Permissions that any user can have in projects.
PLAIN: tuple[str, ...] = tuple(str(permission) for permission in Permission)
# Permissions that only administrators have, so that others cannot use them.
FOR_ADMINISTRATORS: tuple[str, ...] = tuple(str(permission) for permission in AdminPermission)
SCOPES = PLAIN + FOR_ADMINISTRATORS

_WORDS = {
    "audit:read": "For administrators: read the audit",
    "documents:read": "Read the documents of your projects, with their evidence",
    "documents:review": "Approve or reject documents of your projects",
    "documents:write": "Rename, archive and delete documents of your projects",
    "members:leave": "Take you out of projects",
    "members:read": "See who is a member of your projects",
    "members:write": "Invite people into your projects, remove them, and change their roles",
    "projects:read": "See your projects, and the lines that there are",
    "projects:write": "Make and join projects; rename, archive and delete those that you own",
    "runs:read": "See the runs of your projects",
    "runs:write": "Start, cancel and delete runs in your projects",
    "sources:read": "Read the sources of your projects",
    "sources:write": "Add, rename and delete sources of your projects",
    "users:read": "For administrators: see all users",
    "users:write": "For administrators: keep users out, delete them, end their sessions",
}
_VERBS = {"read": "See", "write": "Change"}


def in_words(scope: str) -> str:
    """What a scope lets a program do, for people."""
    things, _, verb = scope.partition(":")
    return _WORDS.get(scope) or f"{_VERBS.get(verb, verb.capitalize())} {things}"


def known_scopes(given: Iterable[str]) -> list[str]:
    """These scopes in the order of ``SCOPES``, without duplicates. Raises Refused for an unknown one."""
    chosen = set(given)
    unknown = sorted(chosen.difference(SCOPES))
    if unknown:
        message = f"There is no scope {unknown[0][:50]!r}. There are: {', '.join(SCOPES)}."
        raise Refused(message)
    return [scope for scope in SCOPES if scope in chosen]


def grantable(scopes: Iterable[str], *, is_admin: bool) -> list[str]:
    """Those of these scopes that this user can let a program use."""
    return [scope for scope in scopes if is_admin or scope not in FOR_ADMINISTRATORS]


def check_grantable(scopes: Iterable[str], *, is_admin: bool) -> None:
    """Raise Refused if only administrators can let a program use one of these scopes."""
    beyond = sorted(set(scopes).difference(grantable(scopes, is_admin=is_admin)))
    if beyond:
        raise Refused(f"Only an administrator can choose {', '.join(beyond)}. Leave it out.")


def speaks_for_administrator(is_admin: bool, scopes: Iterable[str] | None) -> bool:
    """Whether a token of this user, with these scopes or without limits, counts as an administrator's."""
    return is_admin and (scopes is None or not set(FOR_ADMINISTRATORS).isdisjoint(scopes))
