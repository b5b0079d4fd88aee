"""Store the revisions of sources, and pin them in runs and documents.

Revision ID: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With server defaults, because the previous release inserts sources without these columns.
    op.add_column(
        "sources", sa.Column("revision", sa.Integer(), server_default="1", nullable=False)
    )
    op.add_column("sources", sa.Column("state", sa.Text(), server_default="ready", nullable=False))
    op.add_column("sources", sa.Column("error", sa.Text(), nullable=True))
    op.add_column("sources", sa.Column("file_sha256", sa.Text(), nullable=True))
    op.add_column("sources", sa.Column("revised_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sources", sa.Column("revised_by", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "fk_sources_revised_by", "sources", "users", ["revised_by"], ["id"], ondelete="SET NULL"
    )
    op.create_index("ix_sources_revised_by", "sources", ["revised_by"])
    op.create_table(
        "source_revisions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("blocks", sa.Text(), nullable=True),
        sa.Column("original", sa.LargeBinary(), nullable=True),
        sa.Column("notes", sa.JSON(), nullable=True),
        sa.Column("file_sha256", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("line_count", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('reading', 'ready', 'failed')", name="ck_source_revisions_state"
        ),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
            name="fk_source_revisions_source_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["created_by"],
            ["users.id"],
            name="fk_source_revisions_created_by",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_source_revisions"),
        sa.UniqueConstraint("source_id", "number", name="uq_source_revisions_source_id_number"),
    )
    op.create_index("ix_source_revisions_created_by", "source_revisions", ["created_by"])
    op.create_index(
        "ix_source_revisions_reading",
        "source_revisions",
        ["id"],
        postgresql_where=sa.text("state = 'reading'"),
    )
    op.add_column("run_sources", sa.Column("revision", sa.Integer(), nullable=True))
    op.add_column("version_inputs", sa.Column("revision", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("version_inputs", "revision")
    op.drop_column("run_sources", "revision")
    op.drop_table("source_revisions")
    op.drop_column("sources", "revised_by")
    op.drop_column("sources", "revised_at")
    op.drop_column("sources", "file_sha256")
    op.drop_column("sources", "error")
    op.drop_column("sources", "state")
    op.drop_column("sources", "revision")
