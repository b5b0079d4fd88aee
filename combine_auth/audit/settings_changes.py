"""Records in the audit which settings have changed since the last start, never their values.

An event holds a digest of each setting's value, keyed with SECRET_KEY, so that a reader of the table can
learn neither secrets nor, by guessing, short values. The next start compares the digests, even after
SECRET_KEY was replaced, as long as SECRET_KEY_OLD holds the previous one.
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
# While the database is unavailable.
TRY_AGAIN_AFTER_S = 30.0

_LABEL = b"combine audit of settings\0"
_BYTES = 12
# The number of an advisory lock that nothing else uses.
_LOCK = 0x636F6D62696E65
_EMBEDDED = "embedded database"


class SettingsInForce:
    """The settings of this start, comparable with those of an earlier one."""

    def __init__(self, loaded: LoadedSettings) -> None:
        core = loaded.get(CoreSettings)
        self._key = core.secret_key.get_secret_value().encode()
        old = (key.get_secret_value().encode() for key in core.secret_key_old)
        self._keys = {_fingerprint(key): key for key in (*old, self._key)}
        self._values = dict(_values(loaded))

    def as_stored(self) -> dict[str, Any]:
        """What the next start needs for comparing."""
        return {DIGEST_KEY: _fingerprint(self._key), DIGESTS: self._digests(self._key)}

    def changed_since(self, stored: Mapping[str, Any]) -> list[str] | None:
        """The settings that differ from :meth:`as_stored` of an earlier start; ``None`` if not known."""
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
    # Settings that our loader does not read have the value that the table of settings shows.
    rows = {row.variable: row for row in loaded.rows()}
    seen = {name: row.value_shown for name, row in rows.items()}
    for cls in loaded:
        instance = loaded.get(cls)
        for declared in instance.declared():
            seen[declared.variable] = _text(getattr(instance, declared.field))
    for name, value in seen.items():
        # The embedded database of a developer's machine has another port each time.
        if name not in rows or rows[name].source != _EMBEDDED:
            yield name, value


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, list | tuple | set | frozenset):
        parts = sorted(value) if isinstance(value, set | frozenset) else value
        return "\0".join(_text(part) for part in parts)
    return str(value)


def note_settings(session: Session, settings: SettingsInForce) -> None:
    """Add an event if the settings differ from the newest event's; one, however many processes start."""
    session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    stored = session.scalar(
        select(AuditEvent.details)
        .where(AuditEvent.action == Action.SETTINGS)
        .order_by(AuditEvent.id.desc())
        .limit(1)
    )
    what: dict[str, Any] = {"first": True}
    if stored is not None:
        changed = settings.changed_since(stored)
        if changed == []:
            return
        # Without the old key, the other settings cannot be compared.
        unknown = {"changed": ["SECRET_KEY"], "others": "not known"}
        what = unknown if changed is None else {"changed": changed}
    record(session, Action.SETTINGS, actor=SERVICE, **what, **settings.as_stored())


def watch_settings(
    sessions: sessionmaker[Session],
    settings: SettingsInForce,
    try_again_after_s: float = TRY_AGAIN_AFTER_S,
    follow: Callable[[Session], None] = lambda _session: None,
) -> threading.Thread:
    """Call :func:`note_settings` in a thread, as soon as the database is available.

    :param follow: what else the settings change in the database, in the same transaction
    """
    pause = threading.Event()

    def note() -> None:
        news = True
        while True:
            try:
                with sessions.begin() as session:
                    note_settings(session, settings)
                    follow(session)
            except SQLAlchemyError as error:
                # Only the type: the text may hold the address of the database.
                if news:
                    logger.info(
                        "The settings are not in the audit yet, the database is away or has no"
                        " tables: %s",
                        type(error).__name__,
                    )
                news = False
                pause.wait(try_again_after_s)
            else:
                return

    thread = threading.Thread(target=note, name="combine audit of settings", daemon=True)
    thread.start()
    return thread


def start(event: ServiceStarted) -> None:
    """Subscriber: compare the settings. It neither waits nor fails."""
    from combine_auth.administration.service import follow_admin_subjects

    loaded: LoadedSettings = event.registry[SETTINGS_KEY]
    subjects = loaded.get(AuthSettings).admin_subjects
    watch_settings(
        session_factory(event.registry),
        SettingsInForce(loaded),
        follow=partial(follow_admin_subjects, subjects=subjects),
    )


def includeme(config: Configurator) -> None:
    """Compare the settings when the service has started."""
    config.add_subscriber(start, ServiceStarted)
