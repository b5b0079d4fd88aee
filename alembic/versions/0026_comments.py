"""Store comments on statements, and the people that they mention.

Revision ID: 0026
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_COMMENTS, _MENTIONS = "comments", "comment_mentions"


def upgrade() -> None:
    op.create_table(
        _COMMENTS,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("pointer", sa.Text(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.Uuid(), nullable=True),
        _foreign_key(_COMMENTS, "project_id", "projects", "CASCADE"),
        _foreign_key(_COMMENTS, "document_id", "documents", "CASCADE"),
        _foreign_key(_COMMENTS, "version_id", "document_versions", "CASCADE"),
        _foreign_key(_COMMENTS, "author_id", "users", "SET NULL"),
        _foreign_key(_COMMENTS, "resolved_by", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comments")),
    )
    for column in ("project_id", "version_id", "author_id", "resolved_by"):
        op.create_index(op.f(f"ix_comments_{column}"), _COMMENTS, [column])
    op.create_index("ix_comments_document_id_id", _COMMENTS, ["document_id", "id"])
    op.create_table(
        _MENTIONS,
        sa.Column("comment_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        _foreign_key(_MENTIONS, "comment_id", "comments", "CASCADE"),
        _foreign_key(_MENTIONS, "user_id", "users", "CASCADE"),
        sa.PrimaryKeyConstraint("comment_id", "user_id", name=op.f("pk_comment_mentions")),
    )
    op.create_index("ix_comment_mentions_user_id", _MENTIONS, ["user_id"])
    op.create_index(
        "ix_comment_mentions_unread",
        _MENTIONS,
        ["user_id"],
        postgresql_where=sa.text("read_at IS NULL"),
    )


def downgrade() -> None:
    for table in (_MENTIONS, _COMMENTS):
        op.drop_table(table)


def _foreign_key(table: str, column: str, target: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete
    )
