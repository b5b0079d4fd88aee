"""Route factories: they decide who may use a route before its view runs.

Each is the context of its routes. An unauthenticated request gets 401. A project that the user is not a
member of is 404, exactly like one that does not exist, so that nobody can find out that it exists.
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
    Deed,
    Identity,
    Permission,
    Role,
    RoleChanged,
    tell,
)
from combine_core.users.user_query import UserQuery, add_user_query
from combine_core.web.paths import UUID_PATTERN

# What each variable of a path may be.
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


def _with(thing: type[Run | Document | Review | Comment]) -> UserQuery:
    owning = select(thing.project_id).where(thing.id == bindparam("id")).scalar_subquery()
    return UserQuery(lambda user_id: own_projects(user_id).where(Project.id == owning))


# How the user's project is found: by its name in the path, or by a thing in it.
_NAMED = UserQuery(lambda user_id: own_projects(user_id).where(Project.slug == bindparam("slug")))
_WITH_RUN, _WITH_DOCUMENT, _WITH_REVIEW, _WITH_COMMENT = (
    _with(thing) for thing in (Run, Document, Review, Comment)
)


class Visitor:
    """Anybody, signed in or not."""

    path_variables = PATH_VARIABLES
    identity: Identity | None
    __acl__: list[tuple[str, str, Any]]

    def __init__(self, request: Request) -> None:
        self._request = request
        self.identity = request.identity
        self.__acl__ = [
            (Allow, Authenticated, [Permission.PROJECTS_READ, Permission.PROJECTS_WRITE])
        ]

    def tell_add_ons(self, change: RoleChange | Deed) -> None:
        """Send the event of this change, within the transaction."""
        if isinstance(change, Deed):
            tell(self._request, change)
        else:
            self._request.registry.notify(RoleChanged(self._request, **vars(change)))


class SignedIn(Visitor):
    """Any user of the service."""

    identity: Identity

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        if self.identity is None:
            raise HTTPUnauthorized


class InProject(SignedIn):
    """A member in a project. ``role`` decides what ``request.has_permission`` grants."""

    project: OwnProject
    role: Role

    def __init__(self, request: Request, question: UserQuery, **parameters: object) -> None:
        # Before the user is looked for: both are found by one statement then.
        answer = add_user_query(request, question, **parameters)
        super().__init__(request)
        found = answer()
        if found is None:
            raise HTTPNotFound
        self.project = OwnProject._make(found)
        self.role = Role(self.project.role)
        self.__acl__ = [(Allow, Authenticated, ROLE_PERMISSIONS[self.role])]


class ProjectContext(InProject):
    """The project whose slug is in the path."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, _NAMED, slug=request.matchdict["slug"])

    def check_may_remove(self, user_id: uuid.UUID) -> None:
        """Every member may leave. Removing another one needs the permission to change members.

        :raises HTTPForbidden: the user is another one, and the permission is missing
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
        super().__init__(request, _WITH_RUN, id=self.run_id)


class DocumentContext(InProject):
    """The document whose id is in the path, and its project."""

    def __init__(self, request: Request) -> None:
        self.document_id = uuid.UUID(request.matchdict["id"])
        super().__init__(request, _WITH_DOCUMENT, id=self.document_id)


class ReviewContext(InProject):
    """The review whose id is in the path, and its project."""

    def __init__(self, request: Request) -> None:
        self.review_id = uuid.UUID(request.matchdict["id"])
        super().__init__(request, _WITH_REVIEW, id=self.review_id)


class CommentContext(InProject):
    """The comment whose id is in the path, and its project."""

    def __init__(self, request: Request) -> None:
        self.comment_id = uuid.UUID(request.matchdict["id"])
        super().__init__(request, _WITH_COMMENT, id=self.comment_id)


class InboxContext(SignedIn):
    """What waits for the user, in all their projects."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.__acl__ = [(Allow, Authenticated, [Permission.DOCUMENTS_READ])]
