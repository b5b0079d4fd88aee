"""Tests that audit events are stored with or after the transaction, never change, and expire."""

import logging
import uuid
from datetime import UTC, datetime, timedelta

import psycopg2.errors
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError

from combine_auth.audit import KEPT_FOR, Action, AuditEvent, record, record_refusal, record_request
from combine_auth.audit.service import MAX_TEXT_LENGTH
from combine_core.database.metadata import ROWS_AT_ONCE
from combine_core.users import Identity
from tests.functional.auth.conftest import DEVELOPMENT


@pytest.fixture
def events(service):
    def read():
        with service.session() as session:
            return list(session.query(AuditEvent).order_by(AuditEvent.id))

    return read


class Asking:
    """The parts of a request that the audit reads."""

    remote_addr = "192.0.2.1"
    request_id = "abcdef0123456789"

    def __init__(self, service, session=None, user=None):
        self.registry = service.registry
        self.dbsession = session
        self.identity = user and Identity(user.id, user.email, user.name, user.is_admin)
        self._callbacks = []

    def add_finished_callback(self, callback):
        self._callbacks.append(callback)

    def finish(self):
        for callback in self._callbacks:
            callback(self)


def test_an_event_contains_actor_action_and_address(service, events):
    ann = service.user()
    with service.session() as session:
        request = Asking(service, session, ann)
        record_request(
            request, Action.TOKEN_CREATE, target="token:1", name="CI", scopes={"b", "a"}, days=90
        )
    (event,) = events()
    assert (event.action, event.outcome) == ("token-create", "ok")
    assert (event.actor_id, event.actor) == (ann.id, ann.email)
    assert (event.target, event.ip) == ("token:1", "192.0.2.1")
    assert event.request_id == "abcdef0123456789"
    assert event.details == {"name": "CI", "scopes": ["a", "b"], "days": 90}
    assert datetime.now(UTC) - event.created_at < timedelta(minutes=1)


def test_a_sign_in_event_names_the_user(service, events):
    ann = service.user()
    with service.session() as session:
        request = Asking(service, session)
        record_request(request, Action.SIGN_IN, actor_id=ann.id, actor=ann.email)
        record_request(request, Action.SIGN_IN, outcome="access_denied")
    by_ann, by_nobody = events()
    assert by_ann.actor_id == ann.id
    assert (by_nobody.actor_id, by_nobody.actor, by_nobody.outcome) == (None, None, "access_denied")


def test_an_event_is_rolled_back_with_its_transaction(service, events):
    def action():
        with service.session() as session:
            record(session, Action.USER_CREATE)
            raise LookupError

    with pytest.raises(LookupError):
        action()
    assert events() == []


def test_a_separate_event_is_stored_after_any_request(service, events):
    with service.session() as session:
        request = Asking(service, session)
        record_refusal(request, Action.SIGN_IN, outcome="state_mismatch", provider="google")
        session.rollback()
    assert events() == []
    request.finish()
    (event,) = events()
    assert (event.outcome, event.details) == ("state_mismatch", {"provider": "google"})


def test_a_separate_event_that_cannot_be_stored_is_logged(make_service, database_url, caplog):
    away = make_service(url=database_url.rsplit("/", 1)[0] + "/absent")
    request = Asking(away)
    record_refusal(request, Action.SIGN_IN, outcome="state_mismatch")
    caplog.set_level(logging.WARNING)
    request.finish()
    assert "could not write to the audit: sign-in (state_mismatch)" in caplog.text


def test_a_request_is_rejected_without_the_database(service, events):
    class Away(Asking):
        identity = property(lambda self: _raise(), lambda self, value: None)

    def _raise():
        raise OperationalError("SELECT", {}, psycopg2.OperationalError())

    request = Away(service)
    record_refusal(request, Action.SIGN_IN, outcome="state_mismatch")
    request.finish()
    (event,) = events()
    assert event.ip == "192.0.2.1"


@pytest.mark.parametrize(
    "hostile", ["\0", "\ud800", "line\nbreak", "\x1b[2J", "\u2028", "x" * 100_000]
)
def test_hostile_text_is_escaped(service, events, hostile):
    with service.session() as session:
        record(
            session,
            Action.SIGN_IN,
            outcome=hostile,
            actor=hostile,
            target=hostile,
            ip=hostile,
            request_id=hostile,
            detail=hostile,
            inner={hostile: [hostile]},
        )
    (event,) = events()
    for stored in (event.actor, event.target, event.outcome, event.details["detail"]):
        assert stored.isprintable()
        assert 0 < len(stored) <= MAX_TEXT_LENGTH


def test_events_cannot_be_changed_or_deleted(service, events):
    with service.session() as session:
        record(session, Action.SIGN_IN)
    for statement in (
        "UPDATE audit_events SET outcome = 'ok'",
        "DELETE FROM audit_events",
    ):
        with pytest.raises(ProgrammingError, match="append-only"):
            service.execute(statement)
    assert len(events()) == 1


def _old(service, age, count):
    """Store events of this age, with the keys of that time."""
    moment = datetime.now(UTC) - age
    keys = [
        uuid.UUID(int=int(moment.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | number)
        for number in range(count)
    ]
    with service.session() as session:
        session.execute(
            text(
                "INSERT INTO audit_events (id, created_at, action, outcome, details)"
                " VALUES (:id, :moment, 'sign-in', 'ok', '{}')"
            ),
            [{"id": key, "moment": moment} for key in keys],
        )


# The second plan reads the rows to delete once for each row of the table.
@pytest.mark.parametrize("joins", ["", "hashjoin mergejoin hashagg sort material"])
def test_events_older_than_a_year_are_deleted_in_small_batches(service, joins):
    _old(service, KEPT_FOR + timedelta(days=1), ROWS_AT_ONCE + 5)
    _old(service, KEPT_FOR - timedelta(days=1), 3)
    for left in (5 + 3 + 1, 3 + 2, 3 + 3):
        with service.session() as session:
            for join in joins.split():
                session.execute(text(f"SET LOCAL enable_{join} = off"))
            record(session, Action.SIGN_IN)
        assert service.execute("SELECT count(*) FROM audit_events") == [(left,)]


def test_parallel_deletions_do_not_wait_for_each_other(service):
    _old(service, KEPT_FOR + timedelta(days=1), ROWS_AT_ONCE + 5)
    with service.session() as one, service.session() as other:
        other.execute(text("SET LOCAL lock_timeout = '1s'"))
        record(one, Action.SIGN_IN)
        record(other, Action.SIGN_IN)
        other.flush()
    assert service.execute("SELECT count(*) FROM audit_events") == [(2,)]


def test_a_transaction_deletes_old_events_once(service):
    _old(service, KEPT_FOR + timedelta(days=1), 1)
    with service.statements() as sent:
        for _ in range(2):
            with service.session() as session:
                record(session, Action.SIGN_IN)
                record(session, Action.SIGN_OUT)
    assert len([statement for statement in sent if "DELETE FROM" in statement]) == 2
    assert service.execute("SELECT count(*) FROM audit_events") == [(4,)]


def test_the_deletion_reads_no_more_events_than_it_needs(service):
    _old(service, timedelta(days=1), 2000)
    service.execute("ANALYZE audit_events")
    with service.statements() as sent, service.session() as session:
        record(session, Action.SIGN_IN)
        session.flush()
    assert len(sent) == 2
    with service.session() as session:
        plans = session.execute(
            text(
                "EXPLAIN SELECT id FROM audit_events WHERE id < '019a0000-0000-7000-8000-000000000000'"
                " AND created_at < now() - interval '365 days' ORDER BY id LIMIT 20"
            )
        ).scalars()
        assert "pk_audit_events" in "\n".join(plans)


def test_all_details_are_redacted(make_service):
    """A provider may repeat the client secret in its error, which ends up in the details."""
    secret = "canary-of-google-4711"
    service = make_service({**DEVELOPMENT, "combine_auth.google_client_secret": secret})
    with service.session() as session:
        record(
            session,
            Action.SIGN_IN,
            outcome=f"refused {secret}",
            actor=secret,
            target=f"client:{secret}",
            ip=secret,
            request_id=secret,
            **{secret: {"why": [f"the secret {secret} is wrong", "postgresql://u:pw@db/x"]}},
        )
        session.flush()
        (event,) = session.query(AuditEvent)
        assert event.outcome == "refused ***"
        assert event.details == {
            "***": {"why": ["the secret *** is wrong", "postgresql://***@db/x"]}
        }
    stored = service.execute("SELECT audit_events::text FROM audit_events")
    assert secret not in str(stored)
