"""Tests every page, found through the routes, for a stranger, a user and an administrator."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from combine_auth.clients import GrantType
from combine_auth.clients.service import ClientRegistration, register_client
from combine_auth.identities.invitations import create_invitation
from combine_auth.identities.model import LinkedIdentity
from combine_auth.oauth_server.devices import save_device
from combine_auth.oauth_server.grants import create_grant
from combine_auth.sessions import start_session
from combine_auth.tokens.service import create_token
from combine_core.database import engine_of, session_factory
from combine_core.users import Membership, Role, User, get_or_create_user
from tests.browser.conftest import OpenPage
from tests.conftest import Service
from tests.functional.conftest import build_application
from tests.looks import faults_of

if shutil.which("chromium") is None:
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LONG = "Maximiliane von und zu Hohenstein-Weikersheim"
UNBROKEN = "Donaudampfschifffahrtsgesellschaftskapitaenswitwenrentenauszahlungsstelle" * 2
REDIRECT = "https://an-application-with-a-long-name.example.com/where/people/come/back/to"
TEXT = f"""# Operations Runbook of {UNBROKEN}

The liveness probe is GET /health.
We decided that the readiness probe is GET /health/ready and answers 503 without the database.
- [ ] Ada must write to https://example.com/{UNBROKEN}?and={UNBROKEN} until 2026-12-01.
Who may restore a backup at night?
"""
# The browser does not show these as pages of the service.
NO_PAGES = {
    "static/*subpath",
    "/docs",  # A test below covers it: it is the same for all users.
    "/docs/{asset}",
    "/health/ready/{group}",
    "/runs/{id}/live",
}


@dataclass(frozen=True)
class Furnished:
    """A service with one of each object in it.

    :ivar cookies: the sessions of a user and of an administrator
    :ivar addresses: the paths of all pages, from the routes, and some more
    :ivar forms: pages after a form: its path, the values to fill in, and its button
    """

    cookies: dict[str, str]
    addresses: list[str]
    forms: list[tuple[str, dict[str, str], str]]


@pytest.fixture
def furnished(service: Service) -> Iterator[Furnished]:
    application: Any = build_application(service.environment["DATABASE_URL"], {})
    sessions = session_factory(application.registry)
    with sessions.begin() as session:
        person = get_or_create_user(
            session, f"{'a-long-address-of-somebody' * 2}@example.com", LONG
        )
        administrator = get_or_create_user(session, "boss@example.com", "The Boss")
        administrator.is_admin = True
        invited = get_or_create_user(session, "somebody.new@example.com")
        session.flush()
        cookies = {
            "person": start_session(session, person.id, user_agent="Mozilla/5.0 " + "x" * 200),
            "administrator": start_session(session, administrator.id, ip="2001:db8::1234:5678"),
        }
        token = create_token(session, person.id, UNBROKEN[:100])[0]
        invitation = create_invitation(session, invited.id)
        session.add(
            LinkedIdentity(
                user_id=person.id,
                provider="google",
                issuer="https://accounts.google.com",
                subject="1" * 60,
                email=person.email,
                email_verified=True,
            )
        )
        client = _register(session, person)
    api = _Api(service.url, token)
    project = api.post("projects", name=UNBROKEN[:120])
    api.post("projects", name="Empty")
    source = api.post(f"projects/{project['slug']}/sources", name=f"{UNBROKEN}.md", text=TEXT)
    sources = f"projects/{project['slug']}/sources"
    corrected = TEXT.replace("2026-12-01", "2026-12-02") + f"Ada asks for {UNBROKEN}.\n"
    api.post(f"{sources}/{source['id']}/revisions", text=corrected)
    broken = api.upload(sources, "broken.pdf", b"%PDF-1.7")
    with sessions.begin() as session:
        both = {"project_id": project["id"], "user_id": administrator.id}
        session.add(Membership(**both, role=Role.OWNER))
    link = api.post(f"projects/{project['slug']}/invitations", role="writer", days=7)
    run = api.post(f"projects/{project['slug']}/runs", line="brief", sources=[source["id"]])
    run = api.wait_for(run["id"])
    document = f"documents/{run['documents'][0]['id']}"
    content = api.get(document)["content"]
    content["open_questions"] = [{"text": f"Who pays for {UNBROKEN}?", "evidence": []}]
    api.post(f"{document}/versions", version=1, content=content)
    said = f"@{administrator.email} knows more of {UNBROKEN}."
    api.post(f"{document}/comments", version=2, pointer="/open_questions/0", text=said)
    asked = api.post(f"{document}/reviews", version=2, author_may_decide=True)
    # Take the register of another document, because this one stays in review.
    other = api.post(sources, name="other.md", text=TEXT.replace("2026-12-01", "2027-03-01"))
    again = api.post(f"projects/{project['slug']}/runs", line="brief", sources=[other["id"]])
    approved = f"documents/{api.wait_for(again['id'])['documents'][0]['id']}"
    review = api.post(f"{approved}/reviews", version=1, author_may_decide=True)
    api.post(f"reviews/{review['id']}/decisions", decision="approve", sha256=review["sha256"])
    item = api.get(f"projects/{project['slug']}/register")["items"][0]
    call = api.get(f"runs/{run['id']}/calls")["items"][0]
    exported = api.download(f"projects/{project['slug']}/export")
    imported = api.upload("imports", "project.zip", exported)
    copies = {
        document["title"]: document["id"]
        for document in api.get(f"projects/{imported['slug']}/documents")["items"]
    }
    copy = copies[api.get(approved)["title"]]
    variables = {
        "/projects/{slug}": f"/projects/{project['slug']}",
        "/sources/{source_id}": f"/sources/{source['id']}",
        "/runs/{id}": f"/runs/{run['id']}",
        "/documents/{id}": f"/{document}",
        "/reviews/{id}": f"/reviews/{asked['id']}",
        "/register/{item_id}": f"/register/{item['id']}",
        "/users/{user_id}": f"/users/{person.id}",
        "/calls/{call_id}": f"/calls/{call['id']}",
        "/versions/{number}": "/versions/1",
        "{provider:google|microsoft}": "google",
        "{provider:[a-z][a-z0-9_]{0,30}}": "google",
        "{format}": "md",
    }
    asked = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": REDIRECT,
        "scope": "projects:read runs:write",
        "state": "s",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    addresses = [
        *_paths(application.registry, variables),
        f"/auth/invitation?token={invitation}",
        "/auth/error?code=invalid_client&provider=google&request=4f1c09aa27d3be55",
        f"/oauth/authorize?{urlencode(asked)}",
        link["link"].removeprefix(service.url),
        "/device?user_code=WDJB-MJHT",
        f"/{sources}/{source['id']}?revision=1",
        f"/{sources}/{source['id']}/changes?from=1&to=2",
        f"/{document}/comparison?from=1&to=2",
        f"/projects/{project['slug']}/search?q=Ada",
        f"/projects/{project['slug']}/search?q={UNBROKEN[:80]}",
        f"/{document}/edit?statement=/open_questions/0",
        f"/{document}/edit?statement=/decisions/-",
        f"/{sources}/{broken['id']}",
        f"/documents/{copy}",
        "/projects?archived=yes",
        "/projects/empty",
        "/projects/empty/members",
        f"/nowhere/{UNBROKEN}",
    ]
    forms = [
        # Pages with a mistake, with secrets that are shown once, and with a consent.
        ("/projects", {"name": " "}, "Create project"),
        ("/account/tokens", {"name": UNBROKEN[:100]}, "Create token"),
        (f"/projects/{project['slug']}/invitations", {}, "Create link"),
        ("/device?user_code=WDJB-MJHT", {}, "Continue"),
    ]
    yield Furnished(cookies, addresses, forms)
    engine_of(application.registry).dispose()


def _register(session: Any, owner: User) -> str:
    registration = ClientRegistration(UNBROKEN[:100], [REDIRECT], device=True, service=True)
    client, _ = register_client(session, owner.id, registration)
    create_grant(session, owner.id, client, GrantType.AUTHORIZATION_CODE, client.scopes)
    save_device(
        session,
        client,
        device_code="x",
        user_code="WDJB-MJHT",
        scopes=["projects:read"],
        ip="2001:db8::1234:5678",
    )
    return client.client_id


class _Api:
    def __init__(self, url: str, token: str) -> None:
        self.url = f"{url}/api/v1"
        self.headers = {"Authorization": f"Bearer {token}"}

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/{path}", json=body, headers=self.headers, timeout=60)
        assert answer.ok, answer.text
        return dict(answer.json())

    def upload(self, path: str, name: str, data: bytes) -> dict[str, Any]:
        url, files = f"{self.url}/{path}", {"file": (name, data)}
        answer = requests.post(url, files=files, headers=self.headers, timeout=60)
        assert answer.ok, answer.text
        return dict(answer.json())

    def get(self, path: str) -> dict[str, Any]:
        answer = requests.get(f"{self.url}/{path}", headers=self.headers, timeout=60)
        assert answer.ok, answer.text
        return dict(answer.json())

    def download(self, path: str) -> bytes:
        answer = requests.get(f"{self.url}/{path}", headers=self.headers, timeout=60)
        assert answer.ok, answer.text
        return answer.content

    def wait_for(self, run_id: str) -> dict[str, Any]:
        while True:
            run = self.get(f"runs/{run_id}")
            if run["state"] != "running":
                return run


def _paths(registry: Any, variables: dict[str, str]) -> list[str]:
    """Return the paths of all routes that a browser can open."""
    endpoints = {
        entry["introspectable"].discriminator: entry["introspectable"]["methods"]
        for entry in registry.introspector.get_category("combine endpoints")
    }
    paths = []
    for entry in registry.introspector.get_category("routes"):
        route = entry["introspectable"]
        path = route["pattern"]
        is_open = "GET" in endpoints.get(route["name"], ["GET"])
        if not is_open or path.startswith("/api/") or path in NO_PAGES:
            continue
        for variable, value in variables.items():
            path = path.replace(variable, value)
        paths.append(path)
    unknown = [path for path in paths if "{" in path or "*" in path]
    assert not unknown, f"name a value for each variable of {unknown}, or add to NO_PAGES"
    return paths


def test_every_page_is_accessible_and_fits_the_window(
    service: Service, furnished: Furnished, open_page: OpenPage
) -> None:
    faults: list[str] = []
    seen: set[tuple[str, ...]] = set()
    for who, cookie in {**furnished.cookies, "stranger": None}.items():
        page = open_page(expected=(400, 403, 404, 502))
        if cookie:
            session = {"name": "combine_session", "value": cookie, "url": service.url}
            page.context.add_cookies([session])
        for address in furnished.addresses:
            answer = page.request.get(address)
            # Probes and downloads are not pages.
            if answer.headers["content-type"].startswith("text/html"):
                # Skip a page with the same elements as an earlier one. Pages with the longest names
                # come first.
                elements = tuple(re.findall(r"<([a-z]\w*)", answer.text()))
                if elements not in seen:
                    seen.add(elements)
                    page.goto(address)
                    faults += [f"{who}: {fault}" for fault in faults_of(page)]
        if who == "person":
            for address, fields, button in furnished.forms:
                page.goto(address)
                for field, value in fields.items():
                    page.locator(f"#content [name={field}]:visible").first.fill(value)
                with page.expect_navigation():
                    page.get_by_role("button", name=button, exact=True).click()
                faults += [f"{button}: {fault}" for fault in faults_of(page)]
    assert faults == [], "\n".join(faults)


def test_explorer_is_accessible_and_fits_the_window(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/docs#/projects/createProject")
    page.locator("#operations-projects-createProject textarea").wait_for()
    page.locator("#operations-runs-listRuns .opblock-summary-control").click()
    page.locator("#operations-runs-listRuns .parameters").first.wait_for()
    faults = faults_of(page)
    assert faults == [], "\n".join(faults)
