"""Tests mail about reviews and mentions, from the request to the mail server."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from webtest import TestApp

from combine_core.database import session_factory
from combine_core.llm import providers_of
from combine_core.runs import worker as worker_module
from combine_core.runs.worker import make_worker
from combine_core.settings.core import CoreSettings
from combine_core.users import Membership, Role, User
from tests.functional.api.conftest import NOTES
from tests.postgres_cluster import wait_for

API = "/api/v1"
PATIENCE_S = 120
COMBINE = str(Path(sys.executable).with_name("combine"))
JOBS = (
    "SELECT count(*), count(*) FILTER (WHERE status = 'failed'), max(attempts)"
    " FROM procrastinate_jobs WHERE queue_name = 'mail'"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(worker_module, "POLL_S", 0.1)


@pytest.fixture
def mailing(make_app, mail_server):
    """The application, with the test mail server."""
    settings = {f"combine_core.{name}": value for name, value in mail_server.settings.items()}
    health = {"combine_health.background": "false", "combine_health.details": "always"}
    return make_app(settings | health)


@pytest.fixture
def sessions(mailing):
    return session_factory(mailing.registry)


@pytest.fixture
def working(mailing, mail_server, database_url):
    """``with working():`` run a worker that sends mail."""

    @contextmanager
    def working():
        settings = CoreSettings(database_url=database_url, **mail_server.settings)
        worker = make_worker(settings, providers_of(mailing.registry), grace=0.2)
        thread = worker.start()
        try:
            yield
        finally:
            worker.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    return working


@pytest.fixture
def ada(mailing, sign_in):
    return sign_in("ada@example.com", app=mailing)


@pytest.fixture
def room(make_room, ada):
    return make_room(ada.client)


@pytest.fixture
def bob(mailing, sign_in, room, add_member):
    bob = sign_in("bob@example.com", app=mailing)
    add_member(room.id, bob.user_id, Role.REVIEWER)
    return bob


@pytest.fixture
def ask(ada, bob, document):
    def ask(**body):
        path = f"{API}/documents/{document['id']}/reviews"
        return ada.client.post_json(path, {"version": 1, **body}, status=201).json

    return ask


@pytest.fixture
def mention(ada, bob, document):
    def mention():
        decisions = document["content"]["decisions"]
        assert decisions
        body = {"version": 1, "pointer": "/decisions/0", "text": "@bob@example.com, is it so?"}
        path = f"{API}/documents/{document['id']}/comments"
        return ada.client.post_json(path, body, status=201).json

    return mention


def jobs(sessions):
    with sessions() as session:
        return tuple(session.execute(text(JOBS)).one())


def decide(person, review, **body):
    body = {"decision": "approve", "sha256": review["sha256"], **body}
    person.client.post_json(f"{API}/reviews/{review['id']}/decisions", body)


def link_of(message):
    [link] = [line for line in message.get_content().splitlines() if line.startswith("http")]
    return link.removeprefix("http://localhost:8000")


def test_reviews_decisions_and_mentions_send_mail(
    ada, bob, ask, mention, mail_server, working, sessions, document
):
    review = ask()
    with working():
        to, message = mail_server.handler.next()
        assert (to, message["To"]) == ([bob.email], bob.email)
        assert message["Subject"] == f"Review: {document['title']}"
        assert message["From"] == "Combine <combine@example.com>"
        assert message["Auto-Submitted"] == "auto-generated"
        assert link_of(message) == f"/reviews/{review['id']}"
        assert "asks you to review version 1 of" in message.get_content()
        assert ("combine", "correct-horse-staple") in [
            tuple(part.decode() for part in pair) for pair in mail_server.handler.signed_in
        ]
        decide(bob, review)
        to, message = mail_server.handler.next()
        assert to == [ada.email]
        assert message["Subject"] == f"Approved: {document['title']}"
        assert "Approvals: 1 of 1." in message.get_content()
        comment = mention()
        to, message = mail_server.handler.next()
        assert (to, link_of(message)) == ([bob.email], f"/documents/{document['id']}/comments")
        assert comment["text"] not in message.get_content()
        wait_for(lambda: jobs(sessions)[0] == 0)
    assert mail_server.handler.kept.empty()


def test_a_user_turns_mail_off_and_on(ada, bob, ask, mention, mail_server, working, sessions):
    assert bob.client.get(f"{API}/inbox/mail").json == {"enabled": True}
    answer = bob.client.put_json(f"{API}/inbox/mail", {"enabled": False})
    assert answer.json == bob.client.get(f"{API}/inbox/mail").json == {"enabled": False}
    review = ask()
    with working():
        wait_for(lambda: jobs(sessions)[0] == 0)
        assert mail_server.handler.kept.empty()
        # Others still get theirs.
        decide(bob, review)
        to, message = mail_server.handler.next()
        assert to == [ada.email]
        assert "To turn this mail off: http://localhost:8000/inbox" in message.get_content()
        bob.client.put_json(f"{API}/inbox/mail", {"enabled": True})
        mention()
        to, _ = mail_server.handler.next()
        assert to == [bob.email]
        wait_for(lambda: jobs(sessions)[0] == 0)


def test_the_inbox_has_a_button_for_mail(bob):
    page = bob.client.get("/inbox")
    assert "You get mail about reviews" in page
    [form] = [form for form in page.forms.values() if "mail" in form.fields]
    page = form.submit(status=303).follow()
    assert "You get no mail about reviews" in page
    [form] = [form for form in page.forms.values() if "mail" in form.fields]
    assert "You get mail about reviews" in form.submit(status=303).follow()


def test_no_mail_is_sent_about_settled_matters(
    ada, bob, ask, mention, mail_server, working, sessions
):
    review = ask()
    ada.client.post_json(f"{API}/reviews/{review['id']}/withdraw", {})
    read = mention()
    bob.client.post(f"{API}/comments/{read['id']}/read", status=204)
    deleted = mention()
    ada.client.delete(f"{API}/comments/{deleted['id']}", status=204)
    decided = ask()
    decide(bob, decided)
    with sessions.begin() as session:
        session.query(Membership).filter_by(user_id=ada.user_id).delete()
        session.get_one(User, bob.user_id).disabled_at = text("now()")
    with working():
        wait_for(lambda: jobs(sessions)[0] == 0)
    assert mail_server.handler.kept.empty()


def test_a_busy_server_is_retried(ask, mail_server, working, sessions, caplog):
    mail_server.handler.answers = ["451 later, bob@example.com"]
    ask()
    with working():
        wait_for(lambda: jobs(sessions)[2] == 1)
        assert mail_server.handler.kept.empty()
        with sessions.begin() as session:
            due = text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE attempts = 1")
            assert session.execute(due).rowcount == 1
        mail_server.handler.next()
        wait_for(lambda: jobs(sessions)[0] == 0)
    assert "was not sent (SMTPRecipientsRefused 451). It is retried" in caplog.text
    assert "bob@example.com" not in caplog.text


def test_a_rejected_message_is_given_up_and_reported(
    mailing, ask, mail_server, working, sessions, caplog
):
    mail_server.handler.answers = ["550 nobody is called bob@example.com here"]
    ask()
    with working():
        wait_for(lambda: jobs(sessions)[1] == 1)
    assert "was not sent (SMTPRecipientsRefused 550). It is not retried" in caplog.text
    assert "bob@example.com" not in caplog.text
    check = TestApp(mailing).get("/health/detailed").json["checks"]["mail"]
    assert (check["status"], check["cause"], check["data"]["failed"]) == (
        "degraded",
        "mail_failing",
        1,
    )
    assert "SMTP_HOST" in check["remedy"]


def test_nothing_is_queued_without_a_mail_server(app, sign_in, make_room, run_jobs, dbsession):
    room = make_room(sign_in().client)
    run = room.run(room.add())
    run_jobs()
    [document] = room.client.get(f"{API}/runs/{run['id']}").json["documents"]
    body = {"version": 1, "author_may_decide": True}
    room.client.post_json(f"{API}/documents/{document['id']}/reviews", body, status=201)
    assert dbsession.execute(text(JOBS)).one()[0] == 0


def test_a_failed_request_sends_nothing(bob, ask, sessions):
    review = ask()
    before = jobs(sessions)[0]
    body = {"decision": "approve", "sha256": "0" * 64}
    bob.client.post_json(f"{API}/reviews/{review['id']}/decisions", body, status=409)
    assert jobs(sessions)[0] == before


def test_no_password_is_sent_without_encryption(ask, mail_server, working, sessions, caplog):
    mail_server.settings["smtp_tls"] = "starttls"
    ask()
    with working():
        wait_for(lambda: jobs(sessions)[2] == 1)
    assert "was not sent (SMTPNotSupportedError). It is retried" in caplog.text
    assert not mail_server.handler.signed_in


@pytest.mark.slow
def test_service_worker_and_mail_server_work_together(
    start_service, mail_server, tmp_path, sign_in, add_member
):
    variables = {name.upper(): value for name, value in mail_server.settings.items()}
    served = start_service({"COMBINE_CORE_WORKER": "false", **variables})
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [COMBINE, "worker", "-c", served.ini],
            env=served.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        token = sign_in("ada@example.com").token
        project = call(served, token, "/projects", {"name": "Harbour"})
        path = f"/projects/{project['slug']}"
        source = call(served, token, f"{path}/sources", {"name": "notes.md", "text": NOTES})
        body = {"line": "brief", "sources": [source["id"]], "model": "extract"}
        run = call(served, token, f"{path}/runs", body)
        ended = lambda: call(served, token, f"/runs/{run['id']}")["documents"]  # noqa: E731
        wait_for(ended)
        [document] = ended()
        add_member(project["id"], sign_in("bob@example.com").user_id, Role.REVIEWER)
        review = call(served, token, f"/documents/{document['id']}/reviews", {"version": 1})
        to, message = mail_server.handler.next()
        assert to == ["bob@example.com"]
        assert f"{served.url.replace('127.0.0.1', 'localhost')}/reviews/{review['id']}" in (
            message.get_content().splitlines()
        )
        assert worker.poll() is None
    finally:
        worker.terminate()
        worker.wait(PATIENCE_S)
    for written in (log.read_text(errors="replace"), served.log()):
        assert "correct-horse-staple" not in written
        assert "bob@example.com" not in written


def call(served, token, path, body=None):
    request = urllib.request.Request(
        f"{served.url}{API}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)
