"""Store the origin of a version of a document, and acknowledgements that a document is stale.

Revision ID: 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# The older schema requires a run for every version, so edited versions get the run of an earlier one.
_SET_EARLIER_RUN = """
UPDATE document_versions AS edited SET run_id = (
    SELECT earlier.run_id FROM document_versions AS earlier
    WHERE earlier.document_id = edited.document_id AND earlier.run_id IS NOT NULL
    ORDER BY earlier.number > edited.number, abs(earlier.number - edited.number) LIMIT 1)
WHERE run_id IS NULL
"""
_DELETE_WITHOUT_RUN = """
DELETE FROM documents
WHERE id IN (SELECT document_id FROM document_versions WHERE run_id IS NULL)
"""


def upgrade() -> None:
    # With a server default, because the previous release inserts versions without this column.
    op.add_column(
        "document_versions",
        sa.Column("origin", sa.Text(), server_default="line", nullable=False),
    )
    op.create_check_constraint(
        "ck_document_versions_origin",
        "document_versions",
        "origin IN ('line', 'edit', 'restore', 'import')",
    )
    op.add_column("document_versions", sa.Column("author_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "fk_document_versions_author_id",
        "document_versions",
        "users",
        ["author_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_index("ix_document_versions_author_id", "document_versions", ["author_id"])
    op.add_column("document_versions", sa.Column("parent_number", sa.Integer(), nullable=True))
    op.add_column("document_versions", sa.Column("note", sa.Text(), nullable=True))
    op.alter_column("document_versions", "run_id", existing_type=sa.Uuid(), nullable=True)
    op.create_table(
        "stale_acknowledgements",
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("input_id", sa.Uuid(), nullable=False),
        sa.Column("from_sha256", sa.Text(), nullable=False),
        sa.Column("to_sha256", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name="fk_stale_acknowledgements_document_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name="fk_stale_acknowledgements_user_id",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint(
            "document_id",
            "input_id",
            "from_sha256",
            "to_sha256",
            name="pk_stale_acknowledgements",
        ),
    )
    op.create_index("ix_stale_acknowledgements_input_id", "stale_acknowledgements", ["input_id"])
    op.create_index("ix_stale_acknowledgements_user_id", "stale_acknowledgements", ["user_id"])


def downgrade() -> None:
    op.drop_table("stale_acknowledgements")
    op.execute(_SET_EARLIER_RUN)
    op.execute(_DELETE_WITHOUT_RUN)
    op.alter_column("document_versions", "run_id", existing_type=sa.Uuid(), nullable=False)
    for column in ("note", "parent_number", "author_id", "origin"):
        op.drop_column("document_versions", column)
