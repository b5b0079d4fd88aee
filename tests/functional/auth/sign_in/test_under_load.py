"""Tests the resources held during a provider request, and those left after a thousand parallel sign-ins."""

from __future__ import annotations

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.functional.auth.sign_in.conftest import BROWSER, CSRF, HOST, SESSION, Browser, count
from tests.oidc_issuer import Fault


def checked_out(service):
    return service.engine.pool.checkedout()


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        threading.Event().wait(0.005)


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize("endpoint", ["token", "jwks"])
def test_callback_holds_no_connection_during_the_provider_request(
    service, browser, google, endpoint, signed_in
):
    if signed_in:
        # Use another client, because the keys of this one are not known yet.
        browser.post("/auth/local", status=303)
    back = google.callback_url(browser.start())
    fault = google.faults[endpoint] = Fault(hangs=True, times=1)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(browser.come_back(back)))
    waiting.start()
    until(lambda: google.counts[endpoint] == 1)
    assert checked_out(service) == 0
    # There is no open transaction on the server either. The attempt is already used up.
    with service.session() as session:
        open_ones = session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"
            )
        )
    assert open_ones == 0
    assert service.execute("SELECT used_at IS NOT NULL FROM sign_in_attempts") == [(True,)]
    fault.release.set()
    waiting.join(60)
    assert not waiting.is_alive()
    browser.failure(answers[0], "provider_unavailable", 503)
    assert checked_out(service) == 0


@pytest.mark.parametrize("purpose", ["sign-in", "link", "confirm"])
def test_start_holds_no_connection_during_the_provider_request(service, browser, google, purpose):
    browser.post("/auth/local", status=303)
    fault = google.faults["discovery"] = Fault(hangs=True, times=1)
    answers = []
    fields = {"purpose": purpose}
    waiting = threading.Thread(
        target=lambda: answers.append(browser.post("/auth/google/start", fields))
    )
    waiting.start()
    until(lambda: google.counts["discovery"] == 1)
    assert checked_out(service) == 0
    fault.release.set()
    waiting.join(60)
    assert not waiting.is_alive()
    browser.failure(answers[0], "provider_unavailable", 503)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    "attempts", [40, pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])]
)
def test_a_thousand_parallel_sign_ins_leave_no_resources(make_service, google, attempts, capsys):
    """Many browsers leave for the provider and return in another order, from several threads."""
    service = make_service()
    threads = 8
    warm = Browser(service)
    warm.sign_in(google, sub="warm", email="warm@example.com")
    before = descriptors()

    def leave(number):
        client = service.client(REMOTE_ADDR=f"192.0.2.{number % 250}")
        headers = {"Cookie": f"{CSRF}={'0' * 32}", "X-CSRF-Token": "0" * 32}
        answer = client.post(
            "/auth/google/start", {"next": f"/tab{number}"}, headers=headers, status=303
        )
        [cookie] = [
            c.partition(";")[0]
            for c in answer.headers.getall("Set-Cookie")
            if c.startswith(f"{BROWSER}=")
        ]
        person = number // 2
        back = google.callback_url(
            answer.location, sub=f"sub {person}", email=f"p{person}@example.com"
        )
        return number, cookie, back.removeprefix(HOST)

    def come_back(flight):
        number, cookie, back = flight
        answer = service.client().get(back, headers={"Cookie": cookie}, status=303)
        assert answer.location == f"{HOST}/tab{number}", answer.location
        [session] = [
            c.partition(";")[0]
            for c in answer.headers.getall("Set-Cookie")
            if c.startswith(f"{SESSION}=")
        ]
        return number, session

    with ThreadPoolExecutor(threads) as pool:
        begun = time.perf_counter()
        flights = list(pool.map(leave, range(attempts)))
        left = time.perf_counter()
        assert count(service, "sign_in_attempts") == attempts + 1
        assert service.execute("SELECT count(*) FROM sign_in_attempts WHERE used_at IS NULL") == [
            (attempts,)
        ]
        random.Random(4711).shuffle(flights)
        returned = list(pool.map(come_back, flights))
        done = time.perf_counter()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{attempts} left in {left - begun:.1f} s and came back in {done - left:.1f} s;"
            f" descriptors {before} -> {descriptors()}\n"
        )
    assert count(service, "sessions") == attempts + 1
    # Two browsers of each user returned, many of them in parallel.
    assert count(service, "users") == count(service, "identities") == attempts // 2 + 1
    assert service.execute("SELECT count(*) FROM sign_in_attempts WHERE used_at IS NULL") == [(0,)]
    assert service.execute(
        "SELECT count(*) FROM audit_events WHERE action = 'sign-in' AND outcome = 'ok'"
    ) == [(attempts + 1,)]
    # Each browser has the session of its own user.
    for number, cookie in returned[:: max(1, attempts // 50)]:
        who = service.client().get("/whoami", headers={"Cookie": cookie}).json["email"]
        assert who == f"p{number // 2}@example.com"
    assert checked_out(service) == 0
    settings = service.engine.pool
    assert settings.checkedin() <= settings.size() + threads
    # The connections of the issuer are in this process too.
    until(lambda: descriptors() <= before + 2 * threads)
    # Later sign-ins delete expired attempts.
    service.execute("UPDATE sign_in_attempts SET expires_at = now() - interval '2 hours'")
    for _ in range(attempts // 100 + 1):
        Browser(service).start()
    assert count(service, "sign_in_attempts") <= attempts // 100 + 1
