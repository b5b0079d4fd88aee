"""Add steps that read a single source, and the facts that a later run reuses.

Revision ID: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("steps", sa.Column("adopted", sa.Boolean(), nullable=True))
    # With a server default, because the previous release inserts steps without this column.
    op.add_column(
        "steps", sa.Column("line_format", sa.Integer(), server_default="1", nullable=False)
    )
    op.create_index(
        "ix_calls_answered", "calls", ["request_sha256"], postgresql_where=sa.text("state = 'ok'")
    )


def downgrade() -> None:
    op.drop_index("ix_calls_answered", table_name="calls")
    op.drop_column("steps", "line_format")
    op.drop_column("steps", "adopted")
