"""Store reviews of document versions with their people and decisions.

Revision ID: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_REVIEWS, _PEOPLE, _DECISIONS = "reviews", "review_people", "review_decisions"


def upgrade() -> None:
    op.create_table(
        _REVIEWS,
        sa.Column("id", sa.Uuid(), nullable=False),
        _created_at(),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=True),
        sa.Column("written_by", sa.Uuid(), nullable=True),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("author_may_decide", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("on_expiry", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        _one_of(_REVIEWS, "role", "reviewer", "owner"),
        _one_of(_REVIEWS, "on_expiry", "nothing", "reject"),
        _one_of(_REVIEWS, "outcome", "approved", "rejected", "changes_requested", "withdrawn"),
        sa.CheckConstraint("needed > 0", name=op.f("ck_reviews_needed")),
        _foreign_key(_REVIEWS, "project_id", "projects", "CASCADE"),
        _foreign_key(_REVIEWS, "document_id", "documents", "CASCADE"),
        _foreign_key(_REVIEWS, "version_id", "document_versions", "CASCADE"),
        _foreign_key(_REVIEWS, "asked_by", "users", "SET NULL"),
        _foreign_key(_REVIEWS, "written_by", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
    )
    for column in ("project_id", "version_id", "asked_by", "written_by"):
        op.create_index(op.f(f"ix_reviews_{column}"), _REVIEWS, [column])
    op.create_index("ix_reviews_document_id_id", _REVIEWS, ["document_id", "id"])
    op.create_index(
        "ix_reviews_open",
        _REVIEWS,
        ["project_id", "id"],
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_table(
        _PEOPLE,
        sa.Column("review_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        _foreign_key(_PEOPLE, "review_id", "reviews", "CASCADE"),
        _foreign_key(_PEOPLE, "user_id", "users", "CASCADE"),
        sa.PrimaryKeyConstraint("review_id", "user_id", name=op.f("pk_review_people")),
    )
    op.create_index(op.f("ix_review_people_user_id"), _PEOPLE, ["user_id"])
    op.create_table(
        _DECISIONS,
        sa.Column("id", sa.Uuid(), nullable=False),
        _created_at(),
        sa.Column("review_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        _one_of(_DECISIONS, "decision", "approve", "reject", "request_changes"),
        _foreign_key(_DECISIONS, "review_id", "reviews", "CASCADE"),
        _foreign_key(_DECISIONS, "user_id", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_decisions")),
        sa.UniqueConstraint(
            "review_id",
            "user_id",
            "decision",
            name=op.f("uq_review_decisions_review_id_user_id_decision"),
        ),
    )
    op.create_index(op.f("ix_review_decisions_user_id"), _DECISIONS, ["user_id"])


def downgrade() -> None:
    for table in (_DECISIONS, _PEOPLE, _REVIEWS):
        op.drop_table(table)


def _created_at() -> sa.Column[object]:
    return sa.Column(
        "created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def _one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))


def _foreign_key(table: str, column: str, target: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete
    )
