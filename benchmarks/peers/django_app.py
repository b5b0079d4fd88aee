"""The same endpoints with Django REST framework, and the project page with Django templates."""

import hashlib
import os
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import django
from django.conf import settings

url = urlsplit(os.environ["PEER_URL"])
settings.configure(
    SECRET_KEY="bench" * 10,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    TIME_ZONE="UTC",
    INSTALLED_APPS=["rest_framework", __name__],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path.lstrip("/"),
            "USER": url.username,
            "PASSWORD": url.password,
            "HOST": url.hostname,
            "PORT": url.port,
            "CONN_MAX_AGE": None,
            "CONN_HEALTH_CHECKS": True,
            "ATOMIC_REQUESTS": True,
        }
    },
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [Path(__file__).parent],
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.db.models import F  # noqa: E402
from django.db.models.functions import Now  # noqa: E402
from django.shortcuts import get_object_or_404, render  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.authentication import BaseAuthentication  # noqa: E402
from rest_framework.decorators import api_view, authentication_classes  # noqa: E402
from rest_framework.exceptions import AuthenticationFailed  # noqa: E402
from rest_framework.response import Response  # noqa: E402


class Model(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)

    class Meta:
        abstract = True
        app_label = __name__
        managed = False


class Json(models.JSONField):
    """A field of the type ``json``, which the driver decodes. The JSONField of Django has the type
    ``jsonb``."""

    def from_db_value(self, value, expression, connection):
        return value


class User(Model):
    name = models.TextField()
    email = models.TextField()
    disabled_at = models.DateTimeField(null=True)
    is_authenticated = True

    class Meta(Model.Meta):
        db_table = "users"


class Token(Model):
    user = models.ForeignKey(User, models.CASCADE)
    token_sha256 = models.BinaryField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta(Model.Meta):
        db_table = "personal_access_tokens"


class Project(Model):
    slug = models.TextField()
    name = models.TextField()

    class Meta(Model.Meta):
        db_table = "projects"


class Membership(models.Model):
    pk = models.CompositePrimaryKey("project_id", "user_id")
    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE)
    role = models.TextField()

    class Meta(Model.Meta):
        db_table = "memberships"


class Source(Model):
    project = models.ForeignKey(Project, models.CASCADE)
    name = models.TextField()
    revision = models.IntegerField(default=1)
    state = models.TextField(default="ready")
    error = models.TextField(null=True)
    media_type = models.TextField()
    text = models.TextField()
    size = models.IntegerField()
    line_count = models.IntegerField()
    sha256 = models.TextField()
    created_by = models.UUIDField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta(Model.Meta):
        db_table = "sources"


class Line(Model):
    name = models.TextField()

    class Meta(Model.Meta):
        db_table = "line_versions"


class Run(Model):
    project = models.ForeignKey(Project, models.CASCADE)
    line_version = models.ForeignKey(Line, models.CASCADE)
    model = models.TextField()
    state = models.TextField()
    cost = models.DecimalField(max_digits=14, decimal_places=6)
    created_at = models.DateTimeField()

    class Meta(Model.Meta):
        db_table = "runs"


class Document(Model):
    project = models.ForeignKey(Project, models.CASCADE)
    type = models.TextField()
    title = models.TextField()
    head = models.IntegerField()
    created_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True)

    class Meta(Model.Meta):
        db_table = "documents"


class Version(Model):
    document = models.ForeignKey(Document, models.CASCADE, related_name="versions")
    number = models.IntegerField()
    origin = models.TextField()
    model = models.TextField()
    used_llm = models.BooleanField()
    support = Json(null=True)
    flagged = models.IntegerField()
    sha256 = models.TextField()
    run_id = models.UUIDField(null=True)
    parent_number = models.IntegerField(null=True)
    note = models.TextField(null=True)
    created_at = models.DateTimeField()
    content = Json()

    class Meta(Model.Meta):
        db_table = "document_versions"


class Input(models.Model):
    pk = models.CompositePrimaryKey("version_id", "position")
    version = models.ForeignKey(Version, models.CASCADE, related_name="inputs")
    position = models.IntegerField()
    kind = models.TextField()
    ref_id = models.UUIDField()
    name = models.TextField()
    sha256 = models.TextField()
    revision = models.IntegerField(null=True)

    class Meta(Model.Meta):
        db_table = "version_inputs"


class Review(Model):
    document = models.ForeignKey(Document, models.CASCADE)
    number = models.IntegerField()
    sha256 = models.TextField()
    needed = models.IntegerField()
    due_at = models.DateTimeField(null=True)
    outcome = models.TextField(null=True)

    class Meta(Model.Meta):
        db_table = "reviews"


class BearerAuthentication(BaseAuthentication):
    def authenticate(self, request):
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer":
            return None
        found = (
            Token.objects.select_related("user")
            .filter(
                token_sha256=hashlib.sha256(token.encode()).digest(),
                revoked_at=None,
                expires_at__gt=Now(),
                user__disabled_at=None,
            )
            .first()
        )
        if found is None:
            raise AuthenticationFailed
        return found.user, found


class DocumentSerializer(serializers.ModelSerializer):
    version = serializers.IntegerField(source="head")
    stale = serializers.SerializerMethodField()
    review = serializers.SerializerMethodField()

    class Meta:
        model = Document
        fields = ("id", "type", "title", "version", "stale", "created_at", "archived_at", "review")

    def get_stale(self, document):
        return document.id in self.context["stale"]

    def get_review(self, document):
        return self.context["reviews"].get(document.id)


class InputSerializer(serializers.ModelSerializer):
    id = serializers.UUIDField(source="ref_id")
    deleted = serializers.SerializerMethodField()

    class Meta:
        model = Input
        fields = ("id", "kind", "name", "sha256", "deleted", "revision")

    def get_deleted(self, entry):
        return entry.kind == "source" and entry.ref_id not in self.context["present"]


class VersionSerializer(serializers.ModelSerializer):
    id = serializers.UUIDField(source="document.id")
    type = serializers.CharField(source="document.type")
    title = serializers.CharField(source="document.title")
    archived_at = serializers.DateTimeField(source="document.archived_at")
    version = serializers.IntegerField(source="number")
    author = serializers.ReadOnlyField(default=None)
    authors = serializers.ReadOnlyField(default=[])
    imported = serializers.ReadOnlyField(default=None)
    stale = serializers.SerializerMethodField()
    review = serializers.SerializerMethodField()
    inputs = InputSerializer(many=True)

    class Meta:
        model = Version
        fields = (
            "id", "type", "title", "archived_at", "version", "origin", "model", "used_llm", "support", "flagged",
            "sha256", "run_id", "parent_number", "note", "created_at", "author", "stale", "content", "authors",
            "inputs", "review", "imported",
        )  # fmt: skip

    def get_stale(self, version):
        return [str(one) for one in self.context["stale"]]

    def get_review(self, version):
        return self.context["reviews"].get(version.document_id)


class SourceSerializer(serializers.ModelSerializer):
    name = serializers.CharField(max_length=200)
    text = serializers.CharField(write_only=True, trim_whitespace=False)
    notes = serializers.ReadOnlyField(default=[])

    class Meta:
        model = Source
        fields = (
            "id", "name", "revision", "state", "error", "media_type", "size", "line_count", "sha256", "created_at",
            "notes", "text",
        )  # fmt: skip
        read_only_fields = fields[2:10]


def stale_of(ids):
    of_newest = Input.objects.filter(
        kind="source", version__document_id__in=ids, version__number=F("version__document__head")
    ).values_list("version__document_id", "ref_id", "sha256")
    used = list(of_newest)
    newest = dict(
        Source.objects.filter(id__in={ref for _, ref, _ in used}).values_list("id", "sha256")
    )
    return {document for document, ref, sha256 in used if newest.get(ref, sha256) != sha256}


def reviews_of(ids):
    return {
        review.document_id: {"id": review.id, "number": review.number}
        for review in Review.objects.filter(document_id__in=ids)
    }


def project_of(request, slug):
    return get_object_or_404(Project, slug=slug, memberships__user=request.user)


@api_view(["GET"])
@authentication_classes([BearerAuthentication])
def list_documents(request, slug):
    limit = serializers.IntegerField(min_value=1, max_value=200).run_validation(
        request.query_params.get("limit", 50)
    )
    project = project_of(request, slug)
    found = Document.objects.filter(project=project, archived_at=None).order_by("-id")
    documents = list(found[: limit + 1])
    shown = documents[:limit]
    ids = [document.id for document in shown]
    context = {"stale": stale_of(ids), "reviews": reviews_of(ids)}
    items = DocumentSerializer(shown, many=True, context=context).data
    return Response({"items": items, "next": str(ids[-1]) if len(documents) > limit else None})


@api_view(["GET"])
@authentication_classes([BearerAuthentication])
def get_document(request, document_id):
    version = get_object_or_404(
        Version.objects.select_related("document").prefetch_related("inputs"),
        document_id=document_id,
        number=F("document__head"),
        document__project__memberships__user=request.user,
    )
    refs = [one.ref_id for one in version.inputs.all() if one.kind == "source"]
    context = {
        "present": set(Source.objects.filter(id__in=refs).values_list("id", flat=True)),
        "stale": stale_of([document_id]),
        "reviews": reviews_of([document_id]),
    }
    return Response(VersionSerializer(version, context=context).data)


@api_view(["POST"])
@authentication_classes([BearerAuthentication])
def add_source(request, slug):
    project = project_of(request, slug)
    new = SourceSerializer(data=request.data)
    new.is_valid(raise_exception=True)
    text = new.validated_data["text"]
    data = text.encode()
    source = new.save(
        project=project,
        media_type="text/markdown",
        size=len(data),
        line_count=len(text.splitlines()),
        sha256=hashlib.sha256(data).hexdigest(),
        created_by=request.user.id,
    )
    where = {"Location": f"/api/v1/projects/{slug}/sources/{source.id}"}
    return Response(new.data, status=201, headers=where)


def show_project(request, slug):
    request.user, _ = BearerAuthentication().authenticate(request)
    project = project_of(request, slug)
    documents = list(
        Document.objects.filter(project=project, archived_at=None).order_by("-id")[:21]
    )
    ids = [document.id for document in documents[:20]]
    stale, reviews = stale_of(ids), reviews_of(ids)
    for document in documents:
        document.stale = document.id in stale
        document.review = reviews.get(document.id)
    context = {
        "project": project,
        "asker": request.user,
        "waiting": Review.objects.filter(outcome=None).count(),
        "sources": Source.objects.filter(project=project).defer("text").order_by("-id")[:20],
        "documents": documents[:20],
        "runs": Run.objects.filter(project=project)
        .select_related("line_version")
        .order_by("-id")[:20],
    }
    return render(request, "django_page.html", context)


urlpatterns = [
    path("api/v1/projects/<slug:slug>/documents", list_documents),
    path("api/v1/documents/<uuid:document_id>", get_document),
    path("api/v1/projects/<slug:slug>/sources", add_source),
    path("projects/<slug:slug>", show_project, name="project"),
    path("projects/<slug:slug>/sources/<uuid:id>", show_project, name="source"),
    path("documents/<uuid:id>", show_project, name="document"),
    path("runs/<uuid:id>", show_project, name="run"),
]
app = get_wsgi_application()
