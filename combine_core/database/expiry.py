"""Deletes expired rows whenever a row is added, so that no table grows without limit."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from combine_core.database.metadata import Identified

ROWS_AT_ONCE = 100
_DONE = "combine_core.database.expiry"


def delete_expired(
    session: Session, table: type[Identified], *conditions: ColumnElement[bool]
) -> None:
    """Delete up to ``ROWS_AT_ONCE`` rows that meet all conditions, once per transaction and table.

    Rows that another transaction has locked are skipped, because it deletes them or still uses them.
    """
    session.connection()
    transaction = session.get_transaction()
    done = session.info.setdefault(_DONE, {})
    if done.get(table) is transaction:
        return
    done[table] = transaction
    expired = (
        select(table.id).where(*conditions).limit(ROWS_AT_ONCE).with_for_update(skip_locked=True)
    )
    session.execute(
        delete(table).where(table.id.in_(expired)).execution_options(synchronize_session=False)
    )
