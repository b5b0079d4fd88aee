"""Identities: the accounts at providers that sign users in, known by issuer and subject."""

from combine_auth.identities.model import Invitation, LinkedIdentity
from combine_auth.identities.service import (
    UNVERIFIED_DOMAIN,
    LastIdentity,
    accept_invitation,
    confirm,
    create_invitation,
    invited_user,
    link,
    list_identities,
    sign_in,
    unlink,
)

__all__ = [
    "UNVERIFIED_DOMAIN",
    "Invitation",
    "LastIdentity",
    "LinkedIdentity",
    "accept_invitation",
    "confirm",
    "create_invitation",
    "invited_user",
    "link",
    "list_identities",
    "sign_in",
    "unlink",
]
