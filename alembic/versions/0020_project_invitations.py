"""Store invitation links of projects, and, encrypted, secrets that a page shows once.

Revision ID: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_INVITATIONS = "project_invitations"
_SHOWN_ONCE = "shown_once"


def upgrade() -> None:
    op.create_table(
        _INVITATIONS,
        sa.Column("id", sa.Uuid(), nullable=False),
        _created_at(),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_by", sa.Uuid(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "role IN ('viewer', 'writer', 'reviewer', 'owner')",
            name=op.f(f"ck_{_INVITATIONS}_role"),
        ),
        sa.CheckConstraint(
            "octet_length(token_sha256) = 32", name=op.f(f"ck_{_INVITATIONS}_token_sha256")
        ),
        _foreign_key(_INVITATIONS, "project_id", "projects", "CASCADE"),
        _foreign_key(_INVITATIONS, "created_by", "users", "CASCADE"),
        _foreign_key(_INVITATIONS, "used_by", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{_INVITATIONS}")),
        sa.UniqueConstraint("token_sha256", name=op.f(f"uq_{_INVITATIONS}_token_sha256")),
    )
    for column in ("project_id", "created_by", "used_by"):
        op.create_index(op.f(f"ix_{_INVITATIONS}_{column}"), _INVITATIONS, [column])
    op.create_table(
        _SHOWN_ONCE,
        sa.Column("id", sa.Uuid(), nullable=False),
        _created_at(),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        _foreign_key(_SHOWN_ONCE, "user_id", "users", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{_SHOWN_ONCE}")),
    )
    op.create_index(op.f(f"ix_{_SHOWN_ONCE}_user_id"), _SHOWN_ONCE, ["user_id"])


def downgrade() -> None:
    op.drop_table(_SHOWN_ONCE)
    op.drop_table(_INVITATIONS)


def _created_at() -> sa.Column[object]:
    return sa.Column(
        "created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def _foreign_key(table: str, column: str, target: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete
    )
