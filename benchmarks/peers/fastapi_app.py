"""The three endpoints with FastAPI and asynchronous sessions of SQLAlchemy, as their manuals show."""

import hashlib
import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException, Query, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from sqlalchemy import JSON, ForeignKey, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

engine = create_async_engine(
    os.environ["PEER_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=10,
    pool_pre_ping=True,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    disabled_at: Mapped[datetime | None]


class Token(Base):
    __tablename__ = "personal_access_tokens"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    token_sha256: Mapped[bytes]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Project(Base):
    __tablename__ = "projects"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str]


class Membership(Base):
    __tablename__ = "memberships"
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str]


class Source(Base):
    __tablename__ = "sources"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    project_id: Mapped[UUID]
    name: Mapped[str]
    revision: Mapped[int] = mapped_column(default=1)
    state: Mapped[str] = mapped_column(default="ready")
    error: Mapped[str | None]
    media_type: Mapped[str]
    text: Mapped[str] = mapped_column(deferred=True)
    size: Mapped[int]
    line_count: Mapped[int]
    sha256: Mapped[str]
    created_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Document(Base):
    __tablename__ = "documents"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID]
    type: Mapped[str]
    title: Mapped[str]
    head: Mapped[int]
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]


class Version(Base):
    __tablename__ = "document_versions"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    document_id: Mapped[UUID] = mapped_column(ForeignKey("documents.id"))
    number: Mapped[int]
    origin: Mapped[str]
    model: Mapped[str]
    used_llm: Mapped[bool]
    support: Mapped[Any] = mapped_column(JSON)
    flagged: Mapped[int]
    sha256: Mapped[str]
    run_id: Mapped[UUID | None]
    parent_number: Mapped[int | None]
    note: Mapped[str | None]
    created_at: Mapped[datetime]
    content: Mapped[Any] = mapped_column(JSON)
    document: Mapped[Document] = relationship(lazy="joined")
    inputs: Mapped[list["Input"]] = relationship(order_by="Input.position")


class Input(Base):
    __tablename__ = "version_inputs"
    version_id: Mapped[UUID] = mapped_column(ForeignKey("document_versions.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    ref_id: Mapped[UUID]
    name: Mapped[str]
    sha256: Mapped[str]
    revision: Mapped[int | None]


class Review(Base):
    __tablename__ = "reviews"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    document_id: Mapped[UUID]
    number: Mapped[int]
    sha256: Mapped[str]
    needed: Mapped[int]
    due_at: Mapped[datetime | None]


class ShownDocument(BaseModel):
    id: UUID
    type: str
    title: str
    version: int
    stale: bool
    created_at: datetime
    archived_at: datetime | None
    review: dict[str, Any] | None


class ShownPage(BaseModel):
    items: list[ShownDocument]
    next: str | None


class ShownInput(BaseModel):
    id: UUID
    kind: str
    name: str
    sha256: str
    deleted: bool
    revision: int | None


class ShownVersion(BaseModel):
    id: UUID
    type: str
    title: str
    archived_at: datetime | None
    version: int
    origin: str
    model: str
    used_llm: bool
    support: dict[str, int] | None
    flagged: int
    sha256: str
    run_id: UUID | None
    parent_number: int | None
    note: str | None
    created_at: datetime
    author: dict[str, Any] | None
    stale: list[dict[str, Any]]
    content: dict[str, Any]
    authors: list[dict[str, Any]]
    imported: None = None
    inputs: list[ShownInput]
    review: dict[str, Any] | None


class NewSource(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1)


class ShownSource(BaseModel):
    id: UUID
    name: str
    revision: int
    state: str
    error: str | None
    media_type: str
    size: int
    line_count: int
    sha256: str
    created_at: datetime
    notes: list[str] = []


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session, session.begin():
        yield session


Db = Annotated[AsyncSession, Depends(get_session)]
Bearer = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


async def get_user(session: Db, bearer: Bearer) -> User:
    digest = hashlib.sha256(bearer.credentials.encode()).digest()
    user = await session.scalar(
        select(User)
        .join(Token, Token.user_id == User.id)
        .where(
            Token.token_sha256 == digest,
            Token.revoked_at.is_(None),
            Token.expires_at > func.now(),
            User.disabled_at.is_(None),
        )
    )
    if user is None:
        raise HTTPException(401)
    return user


Asker = Annotated[User, Depends(get_user)]


async def get_project(slug: str, session: Db, user: Asker) -> Project:
    project = await session.scalar(
        select(Project).join(Membership).where(Project.slug == slug, Membership.user_id == user.id)
    )
    if project is None:
        raise HTTPException(404)
    return project


Mine = Annotated[Project, Depends(get_project)]


async def stale_of(session: AsyncSession, ids: list[UUID]) -> set[UUID]:
    changed = await session.scalars(
        select(Version.document_id)
        .join(Document, and_(Document.id == Version.document_id, Document.head == Version.number))
        .join(Input, Input.version_id == Version.id)
        .join(Source, and_(Input.kind == "source", Source.id == Input.ref_id))
        .where(Document.id.in_(ids), Source.sha256 != Input.sha256)
    )
    return set(changed)


async def reviews_of(session: AsyncSession, ids: list[UUID]) -> dict[UUID, Review]:
    found = await session.scalars(select(Review).where(Review.document_id.in_(ids)))
    return {review.document_id: review for review in found}


@app.get("/api/v1/projects/{slug}/documents")
async def list_documents(
    project: Mine, session: Db, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> ShownPage:
    found = await session.scalars(
        select(Document)
        .where(Document.project_id == project.id, Document.archived_at.is_(None))
        .order_by(Document.id.desc())
        .limit(limit + 1)
    )
    documents = list(found)
    ids = [document.id for document in documents[:limit]]
    stale = await stale_of(session, ids)
    reviews = await reviews_of(session, ids)
    return ShownPage(
        items=[
            ShownDocument(
                id=one.id,
                type=one.type,
                title=one.title,
                version=one.head,
                stale=one.id in stale,
                created_at=one.created_at,
                archived_at=one.archived_at,
                review=vars(reviews[one.id]) if one.id in reviews else None,
            )
            for one in documents[:limit]
        ],
        next=str(ids[-1]) if len(documents) > limit else None,
    )


@app.get("/api/v1/documents/{document_id}")
async def get_document(document_id: UUID, session: Db, user: Asker) -> ShownVersion:
    version = await session.scalar(
        select(Version)
        .join(Document, and_(Document.id == Version.document_id, Document.head == Version.number))
        .join(Membership, Membership.project_id == Document.project_id)
        .where(Document.id == document_id, Membership.user_id == user.id)
        .options(selectinload(Version.inputs))
    )
    if version is None:
        raise HTTPException(404)
    ids = [one.ref_id for one in version.inputs if one.kind == "source"]
    present = set(await session.scalars(select(Source.id).where(Source.id.in_(ids))))
    stale = await stale_of(session, [document_id])
    reviews = await reviews_of(session, [document_id])
    document = version.document
    return ShownVersion(
        id=document.id,
        type=document.type,
        title=document.title,
        archived_at=document.archived_at,
        version=version.number,
        origin=version.origin,
        model=version.model,
        used_llm=version.used_llm,
        support=version.support,
        flagged=version.flagged,
        sha256=version.sha256,
        run_id=version.run_id,
        parent_number=version.parent_number,
        note=version.note,
        created_at=version.created_at,
        author=None,
        stale=[{"id": str(one)} for one in stale],
        content=version.content,
        authors=[],
        inputs=[
            ShownInput(
                id=one.ref_id,
                kind=one.kind,
                name=one.name,
                sha256=one.sha256,
                deleted=one.kind == "source" and one.ref_id not in present,
                revision=one.revision,
            )
            for one in version.inputs
        ],
        review=vars(reviews[document_id]) if document_id in reviews else None,
    )


@app.post("/api/v1/projects/{slug}/sources", status_code=201)
async def add_source(
    new: NewSource, project: Mine, session: Db, user: Asker, response: Response
) -> ShownSource:
    data = new.text.encode()
    source = Source(
        project_id=project.id,
        name=new.name.strip(),
        media_type="text/markdown",
        text=new.text,
        size=len(data),
        line_count=len(new.text.splitlines()),
        sha256=hashlib.sha256(data).hexdigest(),
        created_by=user.id,
    )
    session.add(source)
    await session.flush()
    await session.refresh(source)
    response.headers["Location"] = f"/api/v1/projects/{project.slug}/sources/{source.id}"
    return ShownSource.model_validate(source, from_attributes=True)
