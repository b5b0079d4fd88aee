"""Tests ``combine audit`` on a real database."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from combine_auth.audit import Action, record


@pytest.fixture
def ann(service):
    """A user with some audit events."""
    ann = service.user()
    with service.session() as session:
        record(session, Action.USER_CREATE, actor="operator", target=f"user:{ann.id}")
        record(
            session,
            Action.SIGN_IN,
            actor_id=ann.id,
            actor=ann.email,
            ip="192.0.2.7",
            request_id="6f1c0b7e2d3a4958",
            provider="google",
        )
        record(session, Action.SIGN_IN, outcome="email_in_use", actor="Bob@example.com")
        record(
            session,
            Action.SETTINGS,
            actor="service",
            changed=["LOG_LEVEL"],
            digests={"A": "x"},
            key="k",
        )
    return ann


def objects(result):
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_events_are_shown_newest_first(combine, ann):
    result = combine("audit")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert head.split() == [
        "TIME",
        "ACTION",
        "OUTCOME",
        "ACTOR",
        "TARGET",
        "ADDRESS",
        "REQUEST",
        "DETAILS",
    ]
    assert [row.split()[2] for row in rows] == ["settings", "sign-in", "sign-in", "user-create"]
    assert "192.0.2.7" in rows[2]
    assert "6f1c0b7e2d3a4958" in rows[2]
    assert "provider=google" in rows[2]
    assert 'changed=["LOG_LEVEL"]' in rows[0]
    assert "digests" not in result.output


@pytest.mark.parametrize(
    ("words", "actions"),
    [
        (["--user", "ANN@example.com"], ["sign-in", "user-create"]),
        (["--user", "bob@example.com"], ["sign-in"]),
        (["--user", "nobody@example.com"], []),
        (["--action", "sign-in"], ["sign-in", "sign-in"]),
        (["--outcome", "email_in_use"], ["sign-in"]),
        (["--since", "1h", "--limit", "1"], ["settings"]),
        (["--until", "1h"], []),
        (["--since", "2020-01-01", "--action", "user-create"], ["user-create"]),
        (["--since", "9999-12-31T23:00Z"], []),
        (["--since", "0001-01-02"], ["settings", "sign-in", "sign-in", "user-create"]),
    ],
)
def test_events_are_filtered(combine, ann, words, actions):
    assert [found["action"] for found in objects(combine("audit", "--json", *words))] == actions


def test_json_contains_all_fields(combine, ann):
    [found] = objects(combine("audit", "--json", "--user", ann.email, "--action", "sign-in"))
    at = datetime.fromisoformat(found.pop("at"))
    assert datetime.now(UTC) - at < timedelta(minutes=5)
    assert found.pop("id")
    assert found == {
        "action": "sign-in",
        "outcome": "ok",
        "actor_id": str(ann.id),
        "actor": ann.email,
        "target": None,
        "ip": "192.0.2.7",
        "request_id": "6f1c0b7e2d3a4958",
        "details": {"provider": "google"},
    }


@pytest.mark.parametrize(
    "words",
    [
        ["--since", "yesterday"],
        ["--since", "0d"],
        ["--since", "999999d", "--until", "x"],
        ["--action", "sign"],
        ["--limit", "0"],
        ["--user", "a\nb"],
    ],
)
def test_invalid_options_are_reported(combine, ann, words):
    result = combine("audit", *words)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "Invalid value for" in result.stderr


def test_all_pages_are_read(service, combine):
    with service.session() as session:
        for number in range(205):
            record(session, Action.SIGN_IN, number=number)
    numbers = [
        found["details"]["number"]
        for found in objects(combine("audit", "--json", "--limit", "203"))
    ]
    assert numbers == list(range(204, 1, -1))
    assert "There may be more" in combine("audit", "--limit", "203").stderr
