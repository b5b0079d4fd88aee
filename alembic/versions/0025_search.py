"""Create the search index of sources and documents.

Revision ID: 0025
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_ENTRIES = "search_entries"
# The tables with texts, with their columns for the indexed and the newest revision or version.
_TEXTS = (("sources", "indexed_revision", "revision"), ("documents", "indexed_version", "head"))


def upgrade() -> None:
    for table, indexed, newest in _TEXTS:
        op.add_column(
            table, sa.Column(indexed, sa.Integer(), server_default=sa.text("0"), nullable=False)
        )
        op.create_index(
            f"ix_{table}_not_indexed",
            table,
            ["project_id"],
            postgresql_where=sa.text(f"{indexed} <> {newest}"),
        )
    op.create_table(
        _ENTRIES,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("line_from", sa.Integer(), nullable=True),
        sa.Column("version_id", sa.Uuid(), nullable=True),
        sa.Column("pointer", sa.Text(), nullable=True),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("words", TSVECTOR(), nullable=False),
        sa.CheckConstraint(
            "(source_id IS NULL) <> (version_id IS NULL)", name=op.f("ck_search_entries_kind")
        ),
        _foreign_key("source_id", "sources"),
        _foreign_key("version_id", "document_versions"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_entries")),
    )
    for column in ("project_id", "source_id", "version_id"):
        op.create_index(op.f(f"ix_search_entries_{column}"), _ENTRIES, [column])
    op.create_index("ix_search_entries_words", _ENTRIES, ["words"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_table(_ENTRIES)
    for table, indexed, _ in _TEXTS:
        op.drop_index(f"ix_{table}_not_indexed", table)
        op.drop_column(table, indexed)


def _foreign_key(column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=op.f(f"fk_search_entries_{column}"), ondelete="CASCADE"
    )
