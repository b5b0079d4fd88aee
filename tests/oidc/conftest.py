"""The certified oidc-provider as Google and as Microsoft, and a service that signs people in with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oidc.issuer import Issuer, running_issuers, why_not


@pytest.fixture(scope="session", autouse=True)
def _issuers(request: pytest.FixtureRequest) -> Iterator[dict[str, Issuer]]:
    # Here, so that a run without Node says so in one line for all tests.
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("issuers")
    with running_issuers(folder / "issuers.log") as issuers:
        yield issuers


@pytest.fixture
def google(_issuers: dict[str, Issuer]) -> Issuer:
    """The Google-like issuer, as new: no client, no account."""
    _issuers["google"].reset()
    return _issuers["google"]


@pytest.fixture
def microsoft(_issuers: dict[str, Issuer]) -> Issuer:
    """The Microsoft-like issuer, as new: no client, no account."""
    _issuers["microsoft"].reset()
    return _issuers["microsoft"]
