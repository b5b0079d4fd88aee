"""Projects and their members."""

from combine_core.projects.model import Project, ProjectInvitation
from combine_core.projects.service import (
    SLUG_PATTERN,
    OwnProject,
    change_project,
    create_project,
    find_owned_project,
    list_projects,
    own_projects,
    slugify,
)

__all__ = [
    "SLUG_PATTERN",
    "OwnProject",
    "Project",
    "ProjectInvitation",
    "change_project",
    "create_project",
    "find_owned_project",
    "list_projects",
    "own_projects",
    "slugify",
]
