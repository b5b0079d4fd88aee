"""Record which administrators were appointed by a setting.

Revision ID: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "users",
        sa.Column("admin_by_setting", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    # The audit shows who was appointed by a setting, unless an operator has granted the rights later.
    op.execute(
        """
        UPDATE users SET admin_by_setting = true
        WHERE is_admin AND (
            SELECT details ->> 'by' FROM audit_events
            WHERE action = 'admin-grant' AND target = 'user:' || users.id
            ORDER BY id DESC LIMIT 1
        ) = 'ADMIN_SUBJECTS'
        """
    )


def downgrade() -> None:
    op.drop_column("users", "admin_by_setting")
