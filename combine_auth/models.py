"""Imports every module of this add-on that declares tables, for alembic."""

from combine_auth import public_url, sessions
from combine_auth.audit import model as audit
from combine_auth.clients import model as clients
from combine_auth.identities import model as identities
from combine_auth.oauth_server import model as provider
from combine_auth.sign_in import model as sign_in
from combine_auth.tokens import model as tokens

__all__ = [
    "audit",
    "clients",
    "identities",
    "provider",
    "public_url",
    "sessions",
    "sign_in",
    "tokens",
]
