"""Create OAuth clients, grants, codes, tokens and devices; add scopes to personal access tokens.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _id_and_birth() -> tuple[sa.Column, sa.Column]:
    return (
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    )


def _words(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.ARRAY(sa.Text()), nullable=nullable)


def _moment(name: str, *, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _sha256(table: str, name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"octet_length({name}) = 32", name=op.f(f"ck_{table}_{name}"))


def _foreign_key(
    table: str, column: str, target: str, ondelete: str = "CASCADE"
) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete
    )


def _indexes(table: str, *columns: str) -> None:
    for column in columns:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def upgrade() -> None:
    op.add_column("personal_access_tokens", _words("scopes", nullable=True))
    op.add_column("personal_access_tokens", _moment("leaked_at"))
    op.create_table(
        "oauth_clients",
        *_id_and_birth(),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("service_user_id", sa.Uuid(), nullable=True),
        _words("redirect_uris"),
        _words("grant_types"),
        _words("scopes"),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=True),
        _moment("secret_changed_at"),
        sa.Column("old_secret_sha256", sa.LargeBinary(), nullable=True),
        _moment("old_secret_until"),
        _moment("disabled_at"),
        _sha256("oauth_clients", "secret_sha256"),
        _sha256("oauth_clients", "old_secret_sha256"),
        sa.CheckConstraint(
            "(old_secret_sha256 IS NULL) = (old_secret_until IS NULL)",
            name=op.f("ck_oauth_clients_old_secret"),
        ),
        _foreign_key("oauth_clients", "owner_id", "users"),
        _foreign_key("oauth_clients", "service_user_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_clients")),
        sa.UniqueConstraint("client_id", name=op.f("uq_oauth_clients_client_id")),
        sa.UniqueConstraint("service_user_id", name=op.f("uq_oauth_clients_service_user_id")),
    )
    _indexes("oauth_clients", "owner_id")
    op.create_table(
        "oauth_grants",
        *_id_and_birth(),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("grant_type", sa.Text(), nullable=False),
        _words("scopes"),
        _moment("expires_at", nullable=False),
        _moment("last_used_at"),
        _moment("revoked_at"),
        _foreign_key("oauth_grants", "user_id", "users"),
        _foreign_key("oauth_grants", "client_id", "oauth_clients"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_grants")),
    )
    _indexes("oauth_grants", "user_id", "client_id", "expires_at")
    op.create_table(
        "oauth_codes",
        *_id_and_birth(),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("code_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("redirect_uri_named", sa.Boolean(), nullable=False),
        sa.Column("code_challenge", sa.Text(), nullable=False),
        _moment("expires_at", nullable=False),
        _moment("used_at"),
        _sha256("oauth_codes", "code_sha256"),
        _foreign_key("oauth_codes", "grant_id", "oauth_grants"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_codes")),
        sa.UniqueConstraint("code_sha256", name=op.f("uq_oauth_codes_code_sha256")),
    )
    _indexes("oauth_codes", "grant_id", "expires_at")
    op.create_table(
        "oauth_tokens",
        *_id_and_birth(),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        _words("scopes"),
        _moment("expires_at", nullable=False),
        _moment("used_at"),
        _moment("revoked_at"),
        sa.CheckConstraint("kind IN ('access', 'refresh')", name=op.f("ck_oauth_tokens_kind")),
        _sha256("oauth_tokens", "token_sha256"),
        _foreign_key("oauth_tokens", "grant_id", "oauth_grants"),
        _foreign_key("oauth_tokens", "parent_id", "oauth_tokens", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_tokens")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_oauth_tokens_token_sha256")),
    )
    _indexes("oauth_tokens", "grant_id", "parent_id", "expires_at")
    op.create_table(
        "oauth_devices",
        *_id_and_birth(),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("device_code_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        _words("scopes"),
        sa.Column("ip", sa.Text(), nullable=True),
        sa.Column("interval", sa.Integer(), nullable=False),
        _moment("expires_at", nullable=False),
        _moment("asked_at"),
        sa.Column("grant_id", sa.Uuid(), nullable=True),
        _moment("denied_at"),
        _moment("used_at"),
        _sha256("oauth_devices", "device_code_sha256"),
        _foreign_key("oauth_devices", "client_id", "oauth_clients"),
        _foreign_key("oauth_devices", "grant_id", "oauth_grants"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_devices")),
        sa.UniqueConstraint("device_code_sha256", name=op.f("uq_oauth_devices_device_code_sha256")),
        sa.UniqueConstraint("user_code", name=op.f("uq_oauth_devices_user_code")),
    )
    _indexes("oauth_devices", "client_id", "expires_at", "grant_id")


def downgrade() -> None:
    for table in ("oauth_devices", "oauth_tokens", "oauth_codes", "oauth_grants", "oauth_clients"):
        op.drop_table(table)
    op.drop_column("personal_access_tokens", "leaked_at")
    op.drop_column("personal_access_tokens", "scopes")
