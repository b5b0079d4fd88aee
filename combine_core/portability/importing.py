"""Reads a project from a ZIP file into new rows: all of them, or none.

Ids stay, so the hashes of versions do, too. If one of them is taken here, all get others, in the same order:
then a content with an id in it gets another hash. Names and addresses in the file find no account and
give no right.
"""

from __future__ import annotations

import secrets
import uuid
from typing import IO

import sqlalchemy.exc
from sqlalchemy.orm import Session

from combine_core.portability.archive import Archive, InvalidArchive, Limits
from combine_core.portability.attempt import Attempt, Imported, Taken
from combine_core.portability.rows import (
    MEMBERS,
)

_UNIQUE_VIOLATION = "23505"


def import_project(
    session: Session,
    file: IO[bytes],
    owner_id: uuid.UUID,
    *,
    limits: Limits | None = None,
    slug: str | None = None,
) -> Imported:
    """Make a project from the file of an export. Its only member is the owner.

    :param slug: of the new project; ``None``: the one that it had, or a similar one
    :raises InvalidArchive: the file cannot be imported; nothing is stored
    :raises SlugTaken: another project has this slug
    """
    archive = Archive(file, limits or Limits(), MEMBERS)
    archive.check_hashes()
    try:
        with session.begin_nested():
            return Attempt(session, archive, owner_id, slug, mask=0).read()
    except Taken:
        pass
    except sqlalchemy.exc.IntegrityError as error:
        if getattr(error.orig, "pgcode", None) != _UNIQUE_VIOLATION:
            raise _refused(error) from error
    except sqlalchemy.exc.DataError as error:
        raise _refused(error) from error
    try:
        with session.begin_nested():
            # These bits of an id are random, so all ids stay in their order. Nobody can foresee the new ones.
            mask = secrets.randbits(32) | 1
            return Attempt(session, archive, owner_id, slug, mask=mask).read()
    except Taken as error:
        raise InvalidArchive("Its ids cannot be used here. Import it again.") from error
    except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.DataError) as error:
        raise _refused(error) from error


def _refused(error: sqlalchemy.exc.DBAPIError) -> InvalidArchive:
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    why = f" ({constraint})" if constraint else ""
    return InvalidArchive(f"Its rows do not fit each other{why}. Export the project again.")
