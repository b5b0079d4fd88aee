"""Imports a project from a ZIP file, completely or not at all.

The ids of the file are kept, and with them the hashes of versions. If an id exists already, all objects get
new ids in the same order, and contents that include ids get new hashes. Names and addresses in the file are
not matched with accounts and grant no rights.
"""

from __future__ import annotations

import secrets
import uuid
from typing import IO

import sqlalchemy.exc
from sqlalchemy.orm import Session

from combine_core.portability.archive import Archive, InvalidArchive, Limits
from combine_core.portability.attempt import Attempt, IdTaken, Imported
from combine_core.portability.rows import MEMBERS

_UNIQUE_VIOLATION = "23505"


def import_project(
    session: Session,
    file: IO[bytes],
    owner_id: uuid.UUID,
    *,
    limits: Limits | None = None,
    slug: str | None = None,
) -> Imported:
    """Create a project from an exported file. Its only member is the owner.

    :param slug: the slug of the new project; ``None`` for the slug in the file or a similar one
    :raises InvalidArchive: the file cannot be imported; nothing is stored
    :raises SlugTaken: another project has this slug
    """
    archive = Archive(file, limits or Limits(), MEMBERS)
    archive.check_hashes()
    try:
        with session.begin_nested():
            return Attempt(session, archive, owner_id, slug, mask=0).run()
    except IdTaken:
        pass
    except sqlalchemy.exc.IntegrityError as error:
        if getattr(error.orig, "pgcode", None) != _UNIQUE_VIOLATION:
            raise _inconsistent(error) from error
    except sqlalchemy.exc.DataError as error:
        raise _inconsistent(error) from error
    try:
        with session.begin_nested():
            # The mask changes only random bits of an id, so the ids keep their order. The new ids cannot be
            # predicted.
            mask = secrets.randbits(32) | 1
            return Attempt(session, archive, owner_id, slug, mask=mask).run()
    except IdTaken as error:
        raise InvalidArchive("Its ids cannot be used here. Import it again.") from error
    except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.DataError) as error:
        raise _inconsistent(error) from error


def _inconsistent(error: sqlalchemy.exc.DBAPIError) -> InvalidArchive:
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    why = f" ({constraint})" if constraint else ""
    return InvalidArchive(f"Its rows are inconsistent{why}. Export the project again.")
