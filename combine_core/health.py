"""The health checks of combine_core; the only module of it that knows combine_health.

The assembly names it in ``pyramid.includes``. Without it, or without combine_health, the rest works.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extensions

from combine_core.database import engine_of
from combine_core.database.migrations import head_revision
from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_health import HealthResult, read_check

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry
    from sqlalchemy.pool import QueuePool

_CONNECT_TIMEOUT_S = 2


class DatabaseCheck:
    """Asks the database over a connection of its own, outside the pool.

    So it tells whether the database is there, and not whether the application has used up its pool; and a
    probe opens no connection, because this one is kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: psycopg2.extensions.connection | None = None

    def __call__(self, registry: Registry) -> HealthResult:
        """Healthy with the latency and the schema's revision; failing when the database is away."""
        with self._lock:
            started = time.monotonic()
            try:
                revision = self._ask(registry)
            except psycopg2.Error as error:
                self._forget()
                lines = str(error).strip().splitlines() or [type(error).__name__]
                return HealthResult.failing("database_unreachable", lines[0])
            latency_ms = round((time.monotonic() - started) * 1000, 2)
        return HealthResult.healthy(latency_ms=latency_ms, revision=revision)

    def _ask(self, registry: Registry) -> str | None:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect(registry)
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
            row = cursor.fetchone()
            if row is None or not row[0]:
                return None
            cursor.execute("SELECT version_num FROM alembic_version ORDER BY version_num")
            return ",".join(version for (version,) in cursor.fetchall()) or None

    @staticmethod
    def _connect(registry: Registry) -> psycopg2.extensions.connection:
        url = engine_of(registry).url
        connection = psycopg2.connect(
            url.set(drivername="postgresql").render_as_string(hide_password=False),
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="combine health",
            # Shorter than the check's deadline, so that a thread is not left behind in the driver.
            options="-c statement_timeout=900",
            tcp_user_timeout=900,
        )
        connection.autocommit = True
        return connection

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def migrations(registry: Registry) -> dict[str, Any]:
    """The revision that the database had at the last check, and the one that this code knows."""
    reading = read_check(registry, "database")
    current = reading.data.get("revision") if reading else None
    return {"current": current, "head": head_revision()}


def pool(registry: Registry) -> dict[str, int]:
    """How many connections the web process holds, and how many it may."""
    connections: QueuePool = engine_of(registry).pool  # type: ignore[assignment]
    settings = settings_of(registry, CoreSettings)
    return {
        "size": connections.size(),
        "checked_out": connections.checkedout(),
        "idle": connections.checkedin(),
        "limit": settings.db_pool_size + settings.db_max_overflow,
    }


def contacts(registry: Registry) -> dict[str, str]:
    """Whom to call: the last table of the runbook."""
    settings = settings_of(registry, CoreSettings)
    return {
        "on_call": settings.contact_on_call,
        "database": settings.contact_database,
        "infrastructure": settings.contact_infrastructure,
    }


def includeme(config: Configurator) -> None:
    """Add the checks and sections of combine_core to the health add-on."""
    config.include("combine_health")
    settings = config.add_addon_settings(CoreSettings)
    config.add_health_check(
        "database",
        DatabaseCheck(),
        interval=0.5,
        timeout=1.0,
        words=("connected", "disconnected"),
        remedy=(
            "1. Verify database is running. 2. Check DATABASE_URL format."
            " 3. Verify network connectivity. 4. Check credentials."
        ),
    )
    config.add_health_section("environment", lambda _registry: str(settings.environment))
    config.add_health_section("migrations", migrations)
    config.add_health_section("pool", pool)
    config.add_health_section("contacts", contacts)
    for secret in (settings.secret_key, settings.anthropic_api_key, settings.openai_api_key):
        if secret is not None:
            config.add_health_secret(secret.get_secret_value())
    config.add_health_secret(engine_of(config.registry).url.password)
