"""Controls the issuers of tests/oidc/issuers: start them, and set what they do next."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

FOLDER = Path(__file__).parent
CLIENT_ID = "combine-under-test"
CLIENT_SECRET = "a-secret-of-the-tests-that-no-log-may-show"
# The tenant of the issuer like Microsoft, unless a test names another.
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
OTHER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"

_PATHS = {
    "google": {
        "discovery": "/.well-known/openid-configuration",
        "token": "/token",
        "jwks": "/oauth2/v3/certs",
    },
    "microsoft": {
        "discovery": "/.well-known/openid-configuration",
        "token": "/token",
        "jwks": "/keys",
    },
}
_DURATION_S = 20


@dataclass
class Issuer:
    """An issuer: ``google`` or ``microsoft``.

    :ivar origin: such as ``http://127.0.0.2:40123``
    """

    name: str
    origin: str
    _control: str

    @property
    def issuer(self) -> str:
        """Return the issuer for the settings. The one of Microsoft is a template."""
        return self.origin + ("/{tenantid}/v2.0" if self.name == "microsoft" else "")

    @property
    def discovery_url(self) -> str:
        """Return the address of its discovery document."""
        prefix = "/common/v2.0" if self.name == "microsoft" else ""
        return f"{self.origin}{prefix}{_PATHS[self.name]['discovery']}"

    def reset(self, **given: Any) -> None:
        """Reset it to its first key, without faults and sessions, and with only these clients.
        Listen again."""
        self._tell("reset", given)

    def register(self, service_url: str, **changes: Any) -> None:
        """Register the service at this URL, and no other. ``None`` omits a member."""
        client = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [f"{service_url}/auth/{self.name}/callback"],
            "post_logout_redirect_uris": [
                f"{service_url}/auth/sign-in",
                f"{service_url}/",
            ],
            "response_types": ["code"],
            "grant_types": ["authorization_code"],
            **changes,
        }
        self._tell("clients", [{k: v for k, v in client.items() if v is not None}])

    def account(self, name: str, /, **claims: Any) -> None:
        """Add an account that signs in by typing ``name``, or change its claims."""
        self._tell(
            "accounts", {name: {"sub": f"{self.name}-{name}", "name": name.title(), **claims}}
        )

    def fail(self, what: str, **fault: Any) -> None:
        """Break ``discovery``, ``token`` or ``jwks`` until :meth:`mend`, or for one request with
        ``times=1``.

        ``status=500``, ``body="..."``, ``headers={}``, ``reset=True``, or ``hold=True`` for no
        response.
        """
        self._tell("fault", {"path": _PATHS[self.name][what], **fault})

    def mend(self) -> None:
        """End all faults, and close connections that still wait."""
        self._tell("mend")

    def rotate_keys(self, *, overlap: bool) -> None:
        """Sign with another key. With ``overlap``, the old one is still published."""
        self._tell("keys", {"overlap": overlap})

    def stop(self) -> None:
        """Refuse connections."""
        self._tell("stop")

    def start(self) -> None:
        """Listen again on the same port."""
        self._tell("start")

    def times_asked(self, what: str) -> int:
        """Return the number of requests for ``discovery``, ``token`` or ``jwks`` since the reset."""
        path = _PATHS[self.name][what]
        return sum(request["path"] == path for request in self._tell("requests"))

    def _tell(self, verb: str, given: Any = None) -> Any:
        answer = requests.post(
            f"{self._control}/{self.name}/{verb}", json=given or {}, timeout=_DURATION_S
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


def skip_without_node() -> None:
    """Skip the test file that calls this on import, if the issuers cannot run.

    All files use this line, because a skip in a fixture is reported for each test.
    """
    reason = None
    if shutil.which("node") is None:
        reason = "no Node here (Debian: apt-get install nodejs npm)"
    elif not (FOLDER / "node_modules" / "oidc-provider").is_dir():
        reason = "oidc-provider is not installed here (make node-modules)"
    if reason is not None:
        pytest.skip(reason, allow_module_level=True)


@contextmanager
def running_issuers(log: Path) -> Iterator[dict[str, Issuer]]:
    """Run both issuers, by name, in one process for the block. It also ends with this process."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            ["node", "issuers/main.mjs"],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, log.read_text()
            addresses = json.loads(line)
            control = addresses.pop("control")
            yield {name: Issuer(name, origin, control) for name, origin in addresses.items()}
        finally:
            # The process ends when its input ends.
            process.communicate(timeout=_DURATION_S)
