"""Add greetings."""

import sqlalchemy as sa
from alembic import op

revision = "greeter1"
down_revision = None


def upgrade():
    op.create_table(
        "greetings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_greetings_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_greetings")),
    )
    op.create_index(op.f("ix_greetings_user_id"), "greetings", ["user_id"])


def downgrade():
    op.drop_table("greetings")
