"""The certified oidc-provider as Google and as Microsoft, and a service that signs people in with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oidc.issuer import Issuer, running_issuers


@pytest.fixture(scope="session")
def _issuers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Issuer]]:
    with running_issuers(tmp_path_factory.mktemp("issuers") / "issuers.log") as issuers:
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
