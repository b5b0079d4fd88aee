"""Imports every module of this add-on that declares tables; alembic compares their metadata."""

from combine_auth.sessions import model as sessions
from combine_auth.tokens import model as tokens

__all__ = ["sessions", "tokens"]
