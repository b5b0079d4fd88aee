"""Route factories, which authorize a request before its view runs.

Each factory is the context class of its routes. An unauthenticated request gets 401. A project that the user
is not a member of gets 404, like a project that does not exist, so that its existence is not disclosed.
"""

from __future__ import annotations

import uuid
from typing import Any

from pyramid.authorization import Allow, Authenticated
from pyramid.httpexceptions import HTTPForbidden, HTTPNotFound, HTTPUnauthorized
from pyramid.request import Request
from sqlalchemy import bindparam, select

from combine_core.comments import Comment
from combine_core.documents import Document
from combine_core.projects import (
    SLUG_PATTERN,
    OwnProject,
    Project,
    own_projects,
)
from combine_core.projects.members import RoleChange
from combine_core.reviews import Review
from combine_core.runs import Run
from combine_core.users import (
    ROLE_PERMISSIONS,
    Identity,
    Permission,
    Role,
    RoleChanged,
    UserAction,
    report_action,
)
from combine_core.users.user_query import UserQuery, add_user_query
from combine_core.web.paths import UUID_PATTERN

# The pattern of each path variable.
PATH_VARIABLES = {
    "slug": SLUG_PATTERN,
    "id": UUID_PATTERN,
    "user_id": UUID_PATTERN,
    "source_id": UUID_PATTERN,
    "call_id": UUID_PATTERN,
    "name": "[a-z][a-z0-9_]{0,39}",
    # Nine digits always fit PostgreSQL's integer.
    "number": "[1-9][0-9]{0,8}",
    "format": "docx|pdf|md|json",
    "item_id": UUID_PATTERN,
}


def _project_of(model: type[Run | Document | Review | Comment]) -> UserQuery:
    project_id = select(model.project_id).where(model.id == bindparam("id")).scalar_subquery()
    return UserQuery(lambda user_id: own_projects(user_id).where(Project.id == project_id))


# The queries that find the user's project: by its slug, or by the id of one of its objects.
_BY_SLUG = UserQuery(lambda user_id: own_projects(user_id).where(Project.slug == bindparam("slug")))
_BY_RUN, _BY_DOCUMENT, _BY_REVIEW, _BY_COMMENT = (
    _project_of(model) for model in (Run, Document, Review, Comment)
)


class Visitor:
    """A user who may or may not be signed in."""

    path_variables = PATH_VARIABLES
    identity: Identity | None
    __acl__: list[tuple[str, str, Any]]

    def __init__(self, request: Request) -> None:
        self._request = request
        self.identity = request.identity
        self.__acl__ = [
            (Allow, Authenticated, [Permission.PROJECTS_READ, Permission.PROJECTS_WRITE])
        ]

    def notify_add_ons(self, change: RoleChange | UserAction) -> None:
        """Notify the subscribers of this change, within the transaction."""
        if isinstance(change, UserAction):
            report_action(self._request, change)
        else:
            self._request.registry.notify(RoleChanged(self._request, **vars(change)))


class SignedIn(Visitor):
    """A signed-in user."""

    identity: Identity

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        if self.identity is None:
            raise HTTPUnauthorized


class InProject(SignedIn):
    """A member of a project. ``role`` determines the permissions."""

    project: OwnProject
    role: Role

    def __init__(self, request: Request, query: UserQuery, **parameters: object) -> None:
        # Before the identity is read, so that one statement finds both the user and the project.
        result = add_user_query(request, query, **parameters)
        super().__init__(request)
        row = result()
        if row is None:
            raise HTTPNotFound
        self.project = OwnProject._make(row)
        self.role = Role(self.project.role)
        self.__acl__ = [(Allow, Authenticated, ROLE_PERMISSIONS[self.role])]


class ProjectContext(InProject):
    """The project whose slug is in the path."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, _BY_SLUG, slug=request.matchdict["slug"])

    def check_may_remove(self, user_id: uuid.UUID) -> None:
        """Check that the user may remove this member. Every member may leave the project.

        :raises HTTPForbidden: the member is another user, and the permission to change members is missing
        """
        if user_id == self.identity.user_id:
            return
        allowed = self._request.has_permission(Permission.MEMBERS_WRITE)
        if not allowed:
            raise HTTPForbidden(result=allowed)


class RunContext(InProject):
    """The run whose id is in the path, and its project."""

    def __init__(self, request: Request) -> None:
        self.run_id = uuid.UUID(request.matchdict["id"])
        super().__init__(request, _BY_RUN, id=self.run_id)


class DocumentContext(InProject):
    """The document whose id is in the path, and its project."""

    def __init__(self, request: Request) -> None:
        self.document_id = uuid.UUID(request.matchdict["id"])
        super().__init__(request, _BY_DOCUMENT, id=self.document_id)


class ReviewContext(InProject):
    """The review whose id is in the path, and its project."""

    def __init__(self, request: Request) -> None:
        self.review_id = uuid.UUID(request.matchdict["id"])
        super().__init__(request, _BY_REVIEW, id=self.review_id)


class CommentContext(InProject):
    """The comment whose id is in the path, and its project."""

    def __init__(self, request: Request) -> None:
        self.comment_id = uuid.UUID(request.matchdict["id"])
        super().__init__(request, _BY_COMMENT, id=self.comment_id)


class InboxContext(SignedIn):
    """The user's inbox, which covers all their projects."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.__acl__ = [(Allow, Authenticated, [Permission.DOCUMENTS_READ])]
