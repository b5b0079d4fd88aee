"""Store the register of decisions, actions and open questions.

Revision ID: 0027
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_ITEMS, _SAYINGS, _CHANGES = "register_items", "register_sayings", "register_changes"


def upgrade() -> None:
    op.create_table(
        _ITEMS,
        *_identity(),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        *_content(),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("same_as_id", sa.Uuid(), nullable=True),
        _one_of(_ITEMS, "kind", "decision", "action", "question"),
        _one_of(_ITEMS, "state", "open", "done", "dropped"),
        _foreign_key(_ITEMS, "project_id", "projects", "CASCADE"),
        _foreign_key(_ITEMS, "same_as_id", _ITEMS, "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_items")),
    )
    op.create_index("ix_register_items_project_id_id", _ITEMS, ["project_id", "id"])
    op.create_table(
        _SAYINGS,
        *_identity(),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=True),
        sa.Column("pointer", sa.Text(), nullable=False),
        *_content(),
        sa.Column("sources", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("contradicts", sa.ARRAY(sa.Text()), nullable=False),
        _foreign_key(_SAYINGS, "item_id", _ITEMS, "CASCADE"),
        _foreign_key(_SAYINGS, "version_id", "document_versions", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_sayings")),
    )
    op.create_index("ix_register_sayings_sources", _SAYINGS, ["sources"], postgresql_using="gin")
    op.create_index(
        "ix_register_sayings_contradicting",
        _SAYINGS,
        ["item_id"],
        postgresql_where=sa.text("cardinality(contradicts) > 0"),
    )
    op.create_table(
        _CHANGES,
        *_identity(),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        _one_of(
            _CHANGES,
            "event",
            "entered",
            "changed",
            "joined",
            "kept_apart",
            "accepted",
            "declined",
        ),
        _foreign_key(_CHANGES, "item_id", _ITEMS, "CASCADE"),
        _foreign_key(_CHANGES, "user_id", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_changes")),
    )
    for table, column in (
        (_ITEMS, "same_as_id"),
        (_SAYINGS, "item_id"),
        (_SAYINGS, "version_id"),
        (_CHANGES, "item_id"),
        (_CHANGES, "user_id"),
    ):
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def downgrade() -> None:
    for table in (_CHANGES, _SAYINGS, _ITEMS):
        op.drop_table(table)


def _identity() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    ]


def _content() -> list[sa.Column[object]]:
    return [
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("due", sa.Text(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
    ]


def _one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))


def _foreign_key(table: str, column: str, target: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete
    )
