"""Fixtures for the stack of docker-compose.yml."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.compose_stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`docker-compose up -d` in a clean checkout."""
    stack = Stack.clone(tmp_path_factory.mktemp("compose") / "checkout")
    try:
        stack.sh("docker-compose up -d")
        stack.until_ready()
        yield stack
    finally:
        stack.remove()
