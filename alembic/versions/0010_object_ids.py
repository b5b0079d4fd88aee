"""Store Microsoft's tenant and object id in addition to issuer and subject.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("identities", sa.Column("tenant", sa.Text(), nullable=True))
    op.add_column("identities", sa.Column("object_id", sa.Text(), nullable=True))
    op.create_index(
        "ix_identities_object_id",
        "identities",
        ["object_id"],
        postgresql_where=sa.text("object_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_identities_object_id", table_name="identities")
    op.drop_column("identities", "object_id")
    op.drop_column("identities", "tenant")
