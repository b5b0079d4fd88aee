"""The accounts with providers by which people sign in: (issuer, subject), never an e-mail address."""

from combine_auth.identities.invitations import (
    create_invitation,
    invited_user,
)
from combine_auth.identities.model import Invitation, LinkedIdentity
from combine_auth.identities.service import (
    UNVERIFIED_DOMAIN,
    LastIdentity,
    accept_invitation,
    confirm,
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
