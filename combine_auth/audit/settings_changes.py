"""Records in the audit which settings have changed since the last start, without their values.

The event stores a digest of each value, keyed with SECRET_KEY, so that a reader of the table can learn
neither secrets nor, by guessing, short values. The next start compares the digests. This works after a
change of SECRET_KEY if SECRET_KEY_OLD contains the previous key.
"""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import SecretStr
from pyramid.config import Configurator
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from combine_auth.audit.model import Action, AuditEvent
from combine_auth.audit.service import DIGEST_KEY, DIGESTS, record
from combine_auth.settings import AuthSettings
from combine_core.database import session_factory
from combine_core.settings import SETTINGS_KEY, CoreSettings, LoadedSettings
from combine_core.web import ServiceStarted

logger = logging.getLogger(__name__)

SERVICE = "service"
# The pause between attempts while the database is unavailable.
RETRY_AFTER_S = 30.0

_LABEL = b"combine audit of settings\0"
_BYTES = 12
# The key of an advisory lock that is used only here.
_LOCK = 0x636F6D62696E65
_EMBEDDED = "embedded database"


class SettingsSnapshot:
    """The settings of this start, for the comparison with an earlier one."""

    def __init__(self, loaded: LoadedSettings) -> None:
        core = loaded.get(CoreSettings)
        self._key = core.secret_key.get_secret_value().encode()
        old = (key.get_secret_value().encode() for key in core.secret_key_old)
        self._keys = {_fingerprint(key): key for key in (*old, self._key)}
        self._values = dict(_values(loaded))

    def to_details(self) -> dict[str, Any]:
        """Return the details to store for the comparison at the next start."""
        return {DIGEST_KEY: _fingerprint(self._key), DIGESTS: self._digests(self._key)}

    def changed_since(self, stored: Mapping[str, Any]) -> list[str] | None:
        """Return the settings that differ from the stored ones; ``None`` if their key is unknown."""
        key = self._keys.get(stored.get(DIGEST_KEY, ""))
        if key is None:
            return None
        before: Mapping[str, str] = stored.get(DIGESTS, {})
        now = self._digests(key)
        return sorted(n for n in {*before, *now} if before.get(n) != now.get(n))

    def _digests(self, key: bytes) -> dict[str, str]:
        return {
            name: hmac.digest(key, _LABEL + f"{name}\0{value}".encode(), "sha256")[:_BYTES].hex()
            for name, value in self._values.items()
        }


def _fingerprint(key: bytes) -> str:
    return hmac.digest(key, _LABEL, "sha256")[:_BYTES].hex()


def _values(loaded: LoadedSettings) -> Iterator[tuple[str, str]]:
    # Settings that pydantic does not load have the value of the settings table.
    rows = {row.variable: row for row in loaded.rows()}
    values = {name: row.value_shown for name, row in rows.items()}
    for cls in loaded:
        instance = loaded.get(cls)
        for declared in instance.declared():
            values[declared.variable] = _text(getattr(instance, declared.field))
    for name, value in values.items():
        # The embedded database has another port at each start.
        if name not in rows or rows[name].source != _EMBEDDED:
            yield name, value


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, list | tuple | set | frozenset):
        parts = sorted(value) if isinstance(value, set | frozenset) else value
        return "\0".join(_text(part) for part in parts)
    return str(value)


def record_settings(session: Session, settings: SettingsSnapshot) -> None:
    """Record the settings that changed since the newest event. Concurrent processes record only one."""
    session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    stored = session.scalar(
        select(AuditEvent.details)
        .where(AuditEvent.action == Action.SETTINGS)
        .order_by(AuditEvent.id.desc())
        .limit(1)
    )
    details: dict[str, Any] = {"first": True}
    if stored is not None:
        changed = settings.changed_since(stored)
        if changed == []:
            return
        # The other settings can be compared only with the old key.
        unknown = {"changed": ["SECRET_KEY"], "others": "not known"}
        details = unknown if changed is None else {"changed": changed}
    record(session, Action.SETTINGS, actor=SERVICE, **details, **settings.to_details())


def watch_settings(
    sessions: sessionmaker[Session],
    settings: SettingsSnapshot,
    retry_after_s: float = RETRY_AFTER_S,
    follow: Callable[[Session], None] = lambda _session: None,
) -> threading.Thread:
    """Call :func:`record_settings` in a thread, as soon as the database is available.

    :param follow: a further change to make in the same transaction
    """
    pause = threading.Event()

    def record_changes() -> None:
        is_first_failure = True
        while True:
            try:
                with sessions.begin() as session:
                    record_settings(session, settings)
                    follow(session)
            except SQLAlchemyError as error:
                # Log the type only: the text may contain the address of the database.
                if is_first_failure:
                    logger.info(
                        "The settings are not yet recorded in the audit, because the database is"
                        " unavailable or has no tables: %s",
                        type(error).__name__,
                    )
                is_first_failure = False
                pause.wait(retry_after_s)
            else:
                return

    thread = threading.Thread(target=record_changes, name="combine audit of settings", daemon=True)
    thread.start()
    return thread


def start(event: ServiceStarted) -> None:
    """Record changed settings in the background (a subscriber)."""
    from combine_auth.administration.service import follow_admin_subjects

    loaded: LoadedSettings = event.registry[SETTINGS_KEY]
    subjects = loaded.get(AuthSettings).admin_subjects
    watch_settings(
        session_factory(event.registry),
        SettingsSnapshot(loaded),
        follow=partial(follow_admin_subjects, subjects=subjects),
    )


def includeme(config: Configurator) -> None:
    """Record changed settings when the service starts."""
    config.add_subscriber(start, ServiceStarted)
