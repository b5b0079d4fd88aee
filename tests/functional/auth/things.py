"""A project with one object of each kind, for tests that request every path of a project."""

import re
import uuid

from sqlalchemy import select

from combine_core.access import (
    CommentContext,
    DocumentContext,
    ProjectContext,
    ReviewContext,
    RunContext,
)
from combine_core.database import session_factory
from combine_core.documents import DocumentVersion
from combine_core.runs import Call

# The context classes of the routes into projects.
IN_PROJECTS = (ProjectContext, RunContext, DocumentContext, ReviewContext, CommentContext)
NOTES = "# Harbour\n\nThe harbour opens on 1 May 2027.\nWe decided to hire two pilots.\n"


class Things:
    """A project and one object of each kind in it."""

    def __init__(self, app, person, run_jobs, name):
        client = person.client
        self.slug = client.post_json("/api/v1/projects", {"name": name}, status=201).json["slug"]
        path = f"/api/v1/projects/{self.slug}"
        source = {"name": "notes.md", "text": NOTES}
        self.source = client.post_json(f"{path}/sources", source, status=201).json["id"]
        body = {"line": "brief", "sources": [self.source]}
        self.run = client.post_json(f"{path}/runs", body, status=201).json["id"]
        run_jobs()
        with session_factory(app.registry)() as session:
            written = select(DocumentVersion.document_id).where(
                DocumentVersion.run_id == uuid.UUID(self.run)
            )
            self.document = str(session.scalars(written).one())
            calls = select(Call.id).where(Call.run_id == uuid.UUID(self.run))
            self.call = str(session.scalars(calls).first())
        self.user_id = str(person.user_id)
        invitation = client.post_json(f"{path}/invitations", {"role": "viewer"}, status=201)
        self.invitation = invitation.json["id"]
        asked = {"version": 1, "author_may_decide": True}
        path = f"/api/v1/documents/{self.document}/reviews"
        review = client.post_json(path, asked, status=201).json
        self.review = review["id"]
        approval = {"decision": "approve", "sha256": review["sha256"]}
        client.post_json(f"/api/v1/reviews/{self.review}/decisions", approval)
        said = {"version": 1, "pointer": "/decisions/0", "text": "Well said."}
        self.comment = client.post_json(
            f"/api/v1/documents/{self.document}/comments", said, status=201
        ).json["id"]
        register = client.get(f"/api/v1/projects/{self.slug}/register").json["items"]
        self.item = register[0]["id"]

    def path(self, pattern):
        """Return the path of a route with the ids of these objects."""
        values = {
            "slug": self.slug,
            "user_id": self.user_id,
            "source_id": self.source,
            "call_id": self.call,
            "item_id": self.item,
            "name": "brief",
            "number": "1",
            "format": "md",
        }
        if "sources/{id" in pattern:
            values["id"] = self.source
        elif "/runs/{id" in pattern:
            values["id"] = self.run
        elif "/invitations/{id" in pattern:
            values["id"] = self.invitation
        elif "/comments/{id" in pattern:
            values["id"] = self.comment
        elif "/reviews/{id" in pattern:
            values["id"] = self.review
        else:
            values["id"] = self.document
        return re.sub(r"\{(\w+)(?::(?:[^{}]|\{[^{}]*\})*)?\}", lambda m: values[m[1]], pattern)
