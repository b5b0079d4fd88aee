"""Deletes projects, sources, documents and runs, and says before what goes along.

Each ``plan_`` function looks, each ``delete_`` function looks again under a lock and then deletes. Erasing
(:mod:`combine_core.deletion.erasure`) removes every trace as well. Who may do it, the roles say
(:data:`combine_core.users.ROLE_PERMISSIONS`): owners delete projects, writers the rest.
"""

from combine_core.deletion.plan import Impossible, NotThere, Plan, Reference, SourceInUse, in_words
from combine_core.deletion.service import (
    delete_document,
    delete_project,
    delete_run,
    delete_source,
    plan_document,
    plan_project,
    plan_projects,
    plan_run,
    plan_source,
)

__all__ = [
    "Impossible",
    "NotThere",
    "Plan",
    "Reference",
    "SourceInUse",
    "delete_document",
    "delete_project",
    "delete_run",
    "delete_source",
    "in_words",
    "plan_document",
    "plan_project",
    "plan_projects",
    "plan_run",
    "plan_source",
]
