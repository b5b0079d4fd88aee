"""Count the attempts of a step that ended unexpectedly, and index failed steps.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With server defaults, because the previous release inserts steps without these columns.
    for name in ("errors", "unreported"):
        op.add_column("steps", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.create_index(
        "ix_steps_failed", "steps", ["ended_at"], postgresql_where=sa.text("state = 'failed'")
    )


def downgrade() -> None:
    op.drop_index("ix_steps_failed", table_name="steps")
    op.drop_column("steps", "unreported")
    op.drop_column("steps", "errors")
