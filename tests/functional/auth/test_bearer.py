"""Tests authentication with personal access tokens."""

from datetime import timedelta

import pytest

from combine_auth.tokens.format import PERSONAL
from tests.functional.auth.conftest import COOKIE
from tests.functional.auth.test_session import NOBODY


def whoami(client, authorization, **headers):
    return client.get("/whoami", headers={"Authorization": authorization, **headers}).json


def test_token_sends_one_statement(service, client):
    user = service.user()
    token = service.token(user)
    whoami(client, f"Bearer {token}")
    with service.statements() as sent:
        answer = whoami(client, f"Bearer {token}")
    assert answer == {
        "email": "ann@example.com",
        "admin": False,
        "userid": str(user.id),
        "kind": "token",
        "may": ["look", "write", "own"],
    }
    assert len(sent) == 1


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   ", "Bearer\t"])
def test_scheme_ignores_case(service, client, scheme):
    token = service.token(service.user())
    assert whoami(client, scheme + token)["email"] == "ann@example.com"


def test_malformed_tokens_send_no_statement(service, client):
    token = service.token(service.user())
    wrong_checksum = token[:-1] + ("a" if token[-1] != "a" else "b")
    malformed = [
        "",
        " ",
        "x",
        token[:-1],
        token + "a",
        wrong_checksum,
        token.swapcase(),
        token.replace("cmb_pat_", "cmb_at_"),
        f'"{token}"',
        f"{token} {token}",
        f"{token},",
        f"{token}\x00",
        f"{token}\n",
        "ä" * 44,
        "\xff\xfe",
        "x" * 200_000,
        ", " * 100_000,
    ]
    with service.statements() as sent:
        for credential in malformed:
            environ = {"HTTP_AUTHORIZATION": f"Bearer {credential}"}
            assert client.get("/whoami", extra_environ=environ).json == NOBODY, credential
    assert sent == []


def test_unknown_token_is_rejected(service, client):
    service.token(service.user())
    with service.statements() as sent:
        assert whoami(client, f"Bearer {PERSONAL.new()}") == NOBODY
    assert len(sent) == 1


@pytest.mark.parametrize(
    "change",
    ["revoked_at = now()", "expires_at = now() - interval '1 second'", "token_sha256 = sha256('')"],
)
def test_expired_or_revoked_token_is_rejected(service, client, change):
    token = service.token(service.user())
    assert whoami(client, f"Bearer {token}") != NOBODY
    service.execute(f"UPDATE personal_access_tokens SET {change}")
    assert whoami(client, f"Bearer {token}") == NOBODY


def test_disabled_user_is_rejected_at_the_next_request(service, client):
    token = service.token(service.user())
    assert whoami(client, f"Bearer {token}") != NOBODY
    service.execute("UPDATE users SET disabled_at = now()")
    assert whoami(client, f"Bearer {token}") == NOBODY


@pytest.mark.parametrize("bad", ["Bearer", "Bearer x", "bearer cmb_pat_x", "Basic YTpi, Bearer x"])
def test_invalid_token_never_falls_back_to_the_cookie(service, client, bad):
    cookie = service.cookie(service.user())
    assert whoami(client, bad, Cookie=f"{COOKIE}={cookie}") == NOBODY


def test_valid_token_wins_over_the_cookie(service, client):
    cookie = service.cookie(service.user())
    token = service.token(service.user("bot@example.com"))
    answer = whoami(client, f"Bearer {token}", Cookie=f"{COOKIE}={cookie}")
    assert (answer["email"], answer["kind"]) == ("bot@example.com", "token")


def test_other_scheme_of_a_proxy_does_not_disable_the_cookie(service, client):
    cookie = service.cookie(service.user())
    answer = whoami(client, "Basic YmVhcmVyOmJlYXJlcg==", Cookie=f"{COOKIE}={cookie}")
    assert answer["kind"] == "session"


def test_two_headers_are_rejected(service, client):
    # Servers join them with a comma.
    ann, bot = service.token(service.user()), service.token(service.user("bot@example.com"))
    for joined in (
        f"Bearer {ann}, Bearer {bot}",
        f"Bearer {ann},Bearer {ann}",
        f"Basic YTpi, Bearer {ann}",
    ):
        assert whoami(client, joined) == NOBODY


@pytest.mark.parametrize("where", ["query", "body", "cookie", "basic", "x-header"])
def test_token_is_read_only_from_the_header(service, client, where):
    token = service.token(service.user())
    if where == "query":
        answer = client.get("/whoami", {"access_token": token}).json
    elif where == "body":
        client.get("/auth/sign-in")
        answer = client.post(
            "/whoami",
            {"access_token": token},
            headers={"X-CSRF-Token": client.cookies["combine_csrf"]},
        ).json
    elif where == "cookie":
        answer = client.get("/whoami", headers={"Cookie": f"{COOKIE}={token}"}).json
    elif where == "basic":
        answer = whoami(client, f"Basic {token}")
    else:
        answer = client.get("/whoami", headers={"X-Authorization": f"Bearer {token}"}).json
    assert answer == NOBODY


def test_last_use_is_written_once_a_minute(service, client):
    token = service.token(service.user())
    with service.statements() as sent:
        whoami(client, f"Bearer {token}")
        whoami(client, f"Bearer {token}")
    assert [statement.rpartition("*/")[2].split()[0] for statement in sent] == [
        "SELECT",
        "UPDATE",
        "SELECT",
    ]
    service.execute(
        "UPDATE personal_access_tokens SET last_used_at = now() - interval '61 seconds'"
    )
    whoami(client, f"Bearer {token}")
    [(age,)] = service.execute("SELECT now() - last_used_at FROM personal_access_tokens")
    assert age < timedelta(seconds=30)


def test_token_is_not_in_the_database(service):
    token = service.token(service.user())
    [(row,)] = service.execute("SELECT personal_access_tokens::text FROM personal_access_tokens")
    assert token[8:38] not in row


def test_unreachable_database_is_not_reported_as_invalid_token(make_service):
    client = make_service(url="postgresql://nobody:nothing@127.0.0.1:1/away").client()
    client.get("/whoami", headers={"Authorization": f"Bearer {PERSONAL.new()}"}, status=503)


def test_a_dpop_proof_is_never_ignored(service, client):
    """See RFC 9449. The session of a browser is not used instead."""
    user = service.user()
    token = service.token(user)
    client.set_cookie(COOKIE, service.cookie(user))
    assert whoami(client, f"DPoP {token}", DPoP="proof") == NOBODY
    assert whoami(client, f"dpop {token}") == NOBODY
    assert whoami(client, f"Bearer {token}", DPoP="proof") == NOBODY
    assert whoami(client, f"Bearer {token}")["email"] == "ann@example.com"
