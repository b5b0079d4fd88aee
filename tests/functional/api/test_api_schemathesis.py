"""Tests with requests that schemathesis generates: no 5xx, and valid data is accepted."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.errors import InvalidRegexPattern
from schemathesis.specs.openapi.checks import positive_data_acceptance
from sqlalchemy import update

from combine_core.database import session_factory
from combine_core.users import User

QUICK = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def is_rejected_for_existing_data(response) -> bool:
    """Return whether the rejection comes only from missing or changed objects, which no schema describes."""
    if response.status_code == 412:
        return True
    if response.status_code != 422:
        return False
    fields = [error["field"].partition("/")[0] for error in response.json()["errors"]]
    reviews = {"needed", "people", "due_at", "comment"}
    documents = {"content", "note", "version", "pointer"}
    others = {"line", "sources", "model", "email", "Idempotency-Key"}
    return set(fields) <= others | reviews | documents


@pytest.fixture
def world(app, room, sign_in, document) -> dict[str, Any]:
    """The values of the path variables, for an administrator."""
    with session_factory(app.registry).begin() as session:
        session.execute(update(User).values(is_admin=True))
    bob = sign_in("bob@example.com")
    [source] = room.client.get(f"{room.path}/sources").json["items"]
    ids = {
        "/documents/": document["id"],
        "/runs/": document["run_id"],
        "/projects/{slug}/sources/": source["id"],
    }
    return {
        "slug": room.slug,
        "user_id": str(bob.user_id),
        "number": 1,
        "name": "brief",
        "ids": ids,
    }


@pytest.fixture
def description(app):
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


@pytest.fixture
def check(description, world, room):
    authorization = room.client.extra_environ["HTTP_AUTHORIZATION"]
    operations = [found.ok() for found in description.get_all_operations()]

    def check(data, mode: GenerationMode) -> None:
        operation = data.draw(st.sampled_from(operations))
        try:
            case = data.draw(operation.as_strategy(generation_mode=mode))
        except InvalidRegexPattern:
            # schemathesis 4.32 writes maxLength into the pattern of names, and characters above
            # U+FFFF in a form that only Python reads.
            reject()
        if mode is GenerationMode.POSITIVE:
            ids = [value for start, value in world["ids"].items() if case.path.startswith(start)]
            known = {**world, "id": ids[0] if ids else None}
            for name in case.path_parameters or {}:
                if known.get(name) is not None:
                    case.path_parameters[name] = known[name]
        response = case.call(headers={"Authorization": authorization})
        checks = [not_a_server_error]
        # No schema describes a readable file.
        is_described = mode is GenerationMode.POSITIVE and case.media_type != "multipart/form-data"
        if is_described and not is_rejected_for_existing_data(response):
            checks.append(positive_data_acceptance)
        case.validate_response(response, checks=checks)

    return check


@QUICK
@given(data=st.data())
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.slow
def test_a_few_hundred_requests_pass(check, mode, data):
    check(data, mode)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(QUICK, max_examples=1500)
@given(data=st.data())
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_three_thousand_requests_pass(check, mode, data):
    check(data, mode)
