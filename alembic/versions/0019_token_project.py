"""Limit personal access tokens to one project.

Revision ID: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_TABLE = "personal_access_tokens"


def upgrade() -> None:
    op.add_column(_TABLE, sa.Column("project_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f(f"fk_{_TABLE}_project_id"),
        _TABLE,
        "projects",
        ["project_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.create_index(op.f(f"ix_{_TABLE}_project_id"), _TABLE, ["project_id"])


def downgrade() -> None:
    op.drop_column(_TABLE, "project_id")
