"""Index the columns by which lists are filtered and sorted.

Revision ID: 0016
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_INDEXES = (("sources", "name"), ("documents", "title"), ("runs", "state"))


def upgrade() -> None:
    for table, column in _INDEXES:
        name = f"ix_{table}_project_id_{column}_id"
        op.create_index(name, table, ["project_id", column, "id"])


def downgrade() -> None:
    for table, column in _INDEXES:
        op.drop_index(f"ix_{table}_project_id_{column}_id", table_name=table)
