"""Store the people and the reviews of imported projects.

Revision ID: 0028
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_PEOPLE, _ROWS, _REVIEWS = "imported_people", "imported_rows", "imported_reviews"


def upgrade() -> None:
    op.create_table(
        _PEOPLE,
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        _foreign_key(_PEOPLE, "project_id", "projects"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f(f"pk_{_PEOPLE}")),
    )
    op.create_index("ix_imported_people_email", _PEOPLE, [sa.text("lower(email)")])
    op.create_table(
        _ROWS,
        sa.Column("row_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("given", sa.JSON(), nullable=False),
        _foreign_key(_ROWS, "project_id", "projects"),
        sa.PrimaryKeyConstraint("row_id", name=op.f(f"pk_{_ROWS}")),
    )
    op.create_index(op.f("ix_imported_rows_project_id"), _ROWS, ["project_id"])
    op.create_table(
        _REVIEWS,
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
        sa.Column("review", sa.JSON(), nullable=False),
        _foreign_key(_REVIEWS, "project_id", "projects"),
        _foreign_key(_REVIEWS, "document_id", "documents"),
        _foreign_key(_REVIEWS, "version_id", "document_versions"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{_REVIEWS}")),
    )
    for column in ("project_id", "document_id", "version_id"):
        op.create_index(op.f(f"ix_imported_reviews_{column}"), _REVIEWS, [column])


def downgrade() -> None:
    for table in (_REVIEWS, _ROWS, _PEOPLE):
        op.drop_table(table)


def _foreign_key(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE"
    )
