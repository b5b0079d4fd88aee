"""Create a table for the write of the health check.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("health_writes", sa.Column("filling", sa.Text(), nullable=False))
    # Not compressed, because the row has to need space.
    op.execute("ALTER TABLE health_writes ALTER COLUMN filling SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_table("health_writes")
