"""Fixtures for a running service, its registered clients, and a user who decides."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from bs4 import BeautifulSoup

from tests.conftest import Service, cloned_database, starting_services

REDIRECT = "http://127.0.0.1/back"


class Person:
    """A user with a minimal browser."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._browser = requests.Session()
        # Load the page again after the sign-in, so that it belongs to the session.
        self._submit(f"{url}/auth/sign-in", "/auth/local", {})

    def _submit(self, page_url: str, action: str, changes: dict[str, str]) -> requests.Response:
        page = self._browser.get(page_url, timeout=20)
        assert page.status_code == 200, page.text
        return self._send(page, action, changes)

    def _send(
        self, page: requests.Response, action: str, changes: dict[str, str]
    ) -> requests.Response:
        form = BeautifulSoup(page.text, "html.parser").find("form", action=action)
        assert form is not None, page.text
        fields = {one["name"]: one.get("value", "") for one in form.find_all("input")}
        return self._browser.post(
            urljoin(page.url, action), {**fields, **changes}, allow_redirects=False, timeout=20
        )

    def decide(self, url: str, decision: str = "approve") -> str:
        """Open the address that a client sends, decide, and return the address of the redirect."""
        answer = self._submit(url, "/oauth/authorize", {"decision": decision})
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def approve(self, user_code: str) -> None:
        """Approve a device."""
        shown = self._submit(f"{self.url}/device", "/device", {"user_code": user_code})
        done = self._send(shown, "/device", {"decision": "approve"})
        assert "Go back to the device" in done.text


@dataclass(frozen=True)
class Client:
    """A registered client."""

    id: str
    secret: str | None


class Live:
    """The service, as external clients see it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        # This is the address that the service knows itself by.
        self.url = f"http://localhost:{urlsplit(service.url).port}"
        self.me = f"{self.url}/api/v1/me"
        self.person = Person(self.url)
        known = requests.get(f"{self.url}/.well-known/oauth-authorization-server", timeout=20)
        self.endpoints: dict[str, Any] = known.json()

    def register(self, *words: str) -> Client:
        """Register a client with ``combine client create``."""
        done = subprocess.run(
            [
                *("combine", "client", "create", "Foreign"),
                *("--owner", "local@localhost", *words, "-c", str(self.service.ini)),
            ],
            env=self.service.environment,
            cwd=Path(self.service.ini).parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        client_id, *secret = done.stdout.split()
        return Client(client_id, secret[0] if secret else None)

    def status(self, token: str) -> int:
        """Return the status of an API request with this token."""
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(self.me, headers=headers, timeout=20).status_code


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, _template: str
) -> Iterator[Live]:
    # Starting the service takes seconds, so the tests of a file share it, with a database of its
    # own.
    folder = tmp_path_factory.mktemp("service")
    name = f"oauth_clients_{uuid.uuid4().hex}"
    with (
        cloned_database(postgres_url, name, _template) as database_url,
        starting_services(folder, lambda: database_url) as start,
    ):
        # The tests of a file approve more devices in a minute than users do.
        yield Live(start({"COMBINE_AUTH_RATE_LIMITS": "false"}))


@pytest.fixture(scope="module")
def web_client(live: Live) -> Client:
    return live.register("--redirect-uri", REDIRECT)


@pytest.fixture(scope="module")
def open_client(live: Live) -> Client:
    return live.register("--redirect-uri", REDIRECT, "--public")


@pytest.fixture(scope="module")
def robot(live: Live) -> Client:
    return live.register("--service")
