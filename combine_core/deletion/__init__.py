"""Deletes projects, sources, documents and runs, and previews the data that is deleted with them.

A ``plan_`` function returns the preview. A ``delete_`` function plans again under a lock and then deletes.
Erasing (:mod:`combine_core.deletion.erasure`) also removes every trace. The roles determine who may delete
(:data:`combine_core.users.ROLE_PERMISSIONS`): owners delete projects, and writers delete the rest.
"""

from combine_core.deletion.plan import Impossible, NotFound, Plan, SourceInUse, in_words
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
    "NotFound",
    "Plan",
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
