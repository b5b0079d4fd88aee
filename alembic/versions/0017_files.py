"""Store the blocks that a reader found in a file, and the file.

Revision ID: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("blocks", sa.Text(), nullable=True))
    op.add_column("sources", sa.Column("original", sa.LargeBinary(), nullable=True))
    op.add_column("sources", sa.Column("notes", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("sources", "notes")
    op.drop_column("sources", "original")
    op.drop_column("sources", "blocks")
