"""Count the verdicts of a version's statements.

Revision ID: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("document_versions", sa.Column("support", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("document_versions", "support")
