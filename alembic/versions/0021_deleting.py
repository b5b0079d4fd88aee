"""Archive projects and documents, allow the deletion of users and texts, and blank names in the audit.

Revision ID: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# An audit that can be rewritten proves nothing. The year is that of combine_auth.audit.KEPT_FOR.
_GUARD_BEFORE = """
CREATE OR REPLACE FUNCTION audit_events_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.created_at < now() - interval '365 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit_events is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$
"""
# The function below sets combine.blanking. Even then, action, outcome, time and target cannot change.
_GUARD = """
CREATE OR REPLACE FUNCTION audit_events_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.created_at < now() - interval '365 days' THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND current_setting('combine.blanking', true) = 'on'
        AND (NEW.id, NEW.created_at, NEW.action, NEW.outcome)
            IS NOT DISTINCT FROM (OLD.id, OLD.created_at, OLD.action, OLD.outcome)
        AND (NEW.actor_id, NEW.target, NEW.request_id)
            IS NOT DISTINCT FROM (OLD.actor_id, OLD.target, OLD.request_id)
        AND (NEW.actor IS NOT DISTINCT FROM OLD.actor OR NEW.actor = '(erased)')
        AND (NEW.ip IS NOT DISTINCT FROM OLD.ip OR NEW.ip IS NULL)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit_events is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$
"""
_BLANKED = r"""
CREATE FUNCTION audit_blanked(value jsonb, addresses text[], names text[])
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    CASE jsonb_typeof(value)
    WHEN 'object' THEN
        RETURN (
            SELECT coalesce(jsonb_object_agg(key, audit_blanked(inner_value, addresses, names)), '{}')
            FROM jsonb_each(value) AS pair (key, inner_value));
    WHEN 'array' THEN
        RETURN (
            SELECT coalesce(jsonb_agg(audit_blanked(item, addresses, names) ORDER BY place), '[]')
            FROM jsonb_array_elements(value) WITH ORDINALITY AS list (item, place));
    WHEN 'string' THEN
        IF lower(value #>> '{}') = ANY (names || addresses)
            OR regexp_split_to_array(lower(value #>> '{}'), '[\s,;:<>()"]+') && addresses
        THEN
            RETURN '"(erased)"';
        END IF;
        RETURN value;
    ELSE
        RETURN value;
    END CASE;
END
$$
"""
# Both lists are in lower case. An address is blanked everywhere. A name is blanked only in events that
# the person caused or that concern them, because others may have the same name.
_BLANK = """
CREATE FUNCTION blank_audit_events(person uuid, addresses text[], names text[])
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    blanked integer;
BEGIN
    PERFORM set_config('combine.blanking', 'on', true);
    UPDATE audit_events SET
        actor = CASE WHEN actor_id = person OR lower(actor) = ANY (addresses)
            THEN '(erased)' ELSE actor END,
        ip = CASE WHEN actor_id = person OR lower(actor) = ANY (addresses) THEN NULL ELSE ip END,
        details = audit_blanked(details::jsonb, addresses,
            CASE WHEN actor_id = person OR target = 'user:' || person THEN names ELSE '{}' END)::json
    WHERE actor_id = person OR target = 'user:' || person OR lower(actor) = ANY (addresses)
        OR EXISTS (
            SELECT FROM unnest(addresses) AS address
            WHERE position(address IN lower(details::jsonb::text)) > 0);
    GET DIAGNOSTICS blanked = ROW_COUNT;
    PERFORM set_config('combine.blanking', 'off', true);
    RETURN blanked;
END
$$
"""
_MADE_BY = (("sources", "created_by"), ("runs", "requested_by"))
# The older schema requires a user, so rows whose user was deleted get a placeholder user.
_PLACEHOLDER_USER = """
WITH nobody AS (
    INSERT INTO users (id, email, name, is_admin, disabled_at)
    SELECT gen_random_uuid(), 'deleted@deleted.invalid', 'Deleted', false, now()
    WHERE EXISTS (SELECT FROM sources WHERE created_by IS NULL)
        OR EXISTS (SELECT FROM runs WHERE requested_by IS NULL)
    ON CONFLICT DO NOTHING
    RETURNING id)
UPDATE users SET name = 'Deleted' WHERE id IN (SELECT id FROM nobody)
"""


def upgrade() -> None:
    for table in ("projects", "documents"):
        op.add_column(table, sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    # With a server default, because the previous release inserts documents without this column.
    op.add_column(
        "documents", sa.Column("last_number", sa.Integer(), server_default="0", nullable=False)
    )
    for table, column in _MADE_BY:
        op.alter_column(table, column, existing_type=sa.Uuid(), nullable=True)
        op.drop_constraint(op.f(f"fk_{table}_{column}"), table, type_="foreignkey")
        op.create_foreign_key(
            op.f(f"fk_{table}_{column}"), table, "users", [column], ["id"], ondelete="SET NULL"
        )
    op.alter_column("calls", "request", existing_type=sa.JSON(), nullable=True)
    op.create_index(
        "ix_calls_with_texts",
        "calls",
        ["created_at"],
        postgresql_where=sa.text("request IS NOT NULL"),
    )
    for function in (_GUARD, _BLANKED, _BLANK):
        op.execute(function)


def downgrade() -> None:
    op.execute("DROP FUNCTION blank_audit_events(uuid, text[], text[])")
    op.execute("DROP FUNCTION audit_blanked(jsonb, text[], text[])")
    op.execute(_GUARD_BEFORE)
    op.drop_index("ix_calls_with_texts", table_name="calls")
    op.execute("UPDATE calls SET request = '{\"sources\": []}' WHERE request IS NULL")
    op.alter_column("calls", "request", existing_type=sa.JSON(), nullable=False)
    op.execute(_PLACEHOLDER_USER)
    for table, column in _MADE_BY:
        op.execute(
            f"UPDATE {table} SET {column} = (SELECT id FROM users"  # noqa: S608 - constants
            f" WHERE email = 'deleted@deleted.invalid') WHERE {column} IS NULL"
        )
        op.drop_constraint(op.f(f"fk_{table}_{column}"), table, type_="foreignkey")
        op.create_foreign_key(op.f(f"fk_{table}_{column}"), table, "users", [column], ["id"])
        op.alter_column(table, column, existing_type=sa.Uuid(), nullable=False)
    op.drop_column("documents", "last_number")
    for table in ("documents", "projects"):
        op.drop_column(table, "archived_at")
