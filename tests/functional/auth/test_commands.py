"""Tests ``combine token`` and ``combine user`` on a real database."""

import re
import uuid

import pytest

from combine_auth.tokens.format import PERSONAL


@pytest.fixture
def deployed_ini(ini_file):
    """The same service in production."""
    text = ini_file.read_text().replace("environment = development", "environment = production")
    text = text.replace("local_sign_in = true", "local_sign_in = false")
    ini_file.write_text(
        text
        + "combine_core.secret_key = 0f3b9a7c5d1e8246a9b0c7d3e5f18264\n"
        + "combine_core.public_url = https://combine.example.com\n"
    )
    return ini_file


def check_failed(result):
    """Check that the command failed without a traceback and return its stderr."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    return result.stderr


def test_token_create_prints_only_the_token(service, combine):
    result = combine("token create --user new@example.com --name nightly --days 7")
    assert result.exit_code == 0
    assert PERSONAL.is_valid(result.stdout.removesuffix("\n"))
    assert "not shown again" in result.stderr
    headers = {"Authorization": f"Bearer {result.stdout.strip()}"}
    assert service.client().get("/whoami", headers=headers).json["email"] == "new@example.com"
    [(days,)] = service.execute(
        "SELECT (expires_at - created_at)::text FROM personal_access_tokens"
    )
    assert days == "7 days"


def test_token_works_for_90_days_by_default(service, combine):
    combine("token create --user new@example.com")
    [(days,)] = service.execute(
        "SELECT (expires_at - created_at)::text FROM personal_access_tokens"
    )
    assert days == "90 days"


@pytest.mark.parametrize("days", ["0", "366", "x", "-1"])
def test_token_days_out_of_range_are_rejected(combine, days):
    result = combine(f"token create --user new@example.com --days {days}")
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize("email", ["nobody", "a@", "@b", "a@b@c", ""])
def test_token_of_an_invalid_address_is_rejected(service, combine, email):
    result = combine(f"token create --user={email}")
    assert "is not an e-mail address" in check_failed(result)
    assert service.execute("SELECT count(*) FROM users") == [(0,)]


def test_deployed_service_creates_no_user_for_a_token(service, combine, deployed_ini):
    assert "There is no user new@example.com" in check_failed(
        combine("token create --user new@example.com")
    )
    assert service.execute("SELECT count(*) FROM users") == [(0,)]
    assert combine("user create new@example.com").exit_code == 0
    assert PERSONAL.is_valid(combine("token create --user NEW@example.com").stdout.strip())


def test_token_of_a_disabled_user_is_rejected(service, combine):
    service.user(disabled=True)
    assert "disabled" in check_failed(combine("token create --user ann@example.com"))


def test_tokens_are_listed_and_revoked(service, combine):
    token = combine("token create --user ann@example.com --name nightly").stdout.strip()
    listed = combine("token list --user ann@example.com").stdout
    assert token not in listed
    [head, row] = listed.splitlines()
    assert head.split()[:3] == ["ID", "NAME", "TOKEN"]
    assert "nightly" in row
    assert f"cmb_pat_...{token[-4:]}" in row
    assert row.endswith("works")
    token_id = row.split()[0]
    assert combine(f"token revoke {token_id}").exit_code == 0
    assert combine("token list --user ann@example.com").stdout.splitlines()[1].endswith("revoked")
    headers = {"Authorization": f"Bearer {token}"}
    assert service.client().get("/whoami", headers=headers).json["email"] is None


def test_token_list_marks_expired_tokens(service, combine):
    service.token(service.user())
    service.execute("UPDATE personal_access_tokens SET expires_at = now()")
    assert combine("token list --user ann@example.com").stdout.rstrip().endswith("expired")


def test_revoking_an_unknown_token_fails(combine):
    assert "There is no token" in check_failed(combine(f"token revoke {uuid.uuid4()}"))
    assert combine("token revoke x").exit_code == 2


def test_users_are_created_and_listed(combine):
    assert combine("user create ann@example.com --admin --name Ann").exit_code == 0
    assert combine("user create bob@example.com").exit_code == 0
    rows = [line.split()[:3] for line in combine("user list").stdout.splitlines()]
    assert rows == [
        ["EMAIL", "NAME", "ADMINISTRATOR"],
        ["ann@example.com", "Ann", "yes"],
        ["bob@example.com", "bob", "no"],
    ]


def test_creating_an_existing_user_fails(combine):
    combine("user create ann@example.com")
    assert "already" in check_failed(combine("user create Ann@Example.com --admin"))
    assert "yes" not in combine("user list").stdout


def test_administrator_rights_are_granted(combine):
    combine("user create ann@example.com")
    assert combine("user grant-admin ann@example.com").exit_code == 0
    assert " yes " in combine("user list").stdout
    assert "There is no user" in check_failed(combine("user grant-admin eve@example.com"))


def test_revoke_admin_warns_of_a_user_in_the_setting(service, combine, ini_file):
    user = service.user()
    service.execute(
        "INSERT INTO identities (id, user_id, provider, issuer, subject, email_verified)"
        " VALUES (gen_random_uuid(), :id, 'google', 'https://accounts.google.com', '1', false)",
        id=user.id,
    )
    with ini_file.open("a") as file:
        file.write("combine_auth.admin_subjects = https://accounts.google.com|1\n")
    combine("user grant-admin ann@example.com")
    result = combine("user revoke-admin ann@example.com")
    assert result.exit_code == 0
    assert "ADMIN_SUBJECTS names an identity of this user" in result.stderr
    assert "ADMIN_SUBJECTS" not in combine("user grant-admin ann@example.com").stderr


def test_users_are_disabled_and_enabled(service, combine):
    user = service.user()
    cookie, token = service.cookie(user), service.token(user)
    by_cookie = {"Cookie": f"combine_session={cookie}"}
    by_token = {"Authorization": f"Bearer {token}"}
    client = service.client()

    assert combine("user disable ann@example.com").exit_code == 0
    assert client.get("/whoami", headers=by_cookie).json["email"] is None
    assert client.get("/whoami", headers=by_token).json["email"] is None
    assert re.search(r"ann@example.com .* \d{4}-\d\d-\d\d \d\d:\d\dZ$", combine("user list").stdout)

    assert combine("user enable ann@example.com").exit_code == 0
    assert client.get("/whoami", headers=by_token).json["email"] == "ann@example.com"
    # The sessions have ended permanently.
    assert client.get("/whoami", headers=by_cookie).json["email"] is None
    assert "There is no user" in check_failed(combine("user disable eve@example.com"))
    assert "There is no user" in check_failed(combine("user enable eve@example.com"))


def test_unreachable_database_is_reported(combine, ini_file):
    text = re.sub(
        "database_url = .*",
        "database_url = postgresql://a:secret@127.0.0.1:1/b",
        ini_file.read_text(),
    )
    ini_file.write_text(text)
    said = check_failed(combine("token create --user ann@example.com"))
    assert "The database cannot be used" in said
    assert "secret" not in said


def test_missing_migration_is_reported(combine, ini_file, make_database):
    url = make_database(migrated=False).replace("%", "%%")
    text = re.sub("database_url = .*", lambda _: f"database_url = {url}", ini_file.read_text())
    ini_file.write_text(text)
    assert "combine migrate" in check_failed(combine("user list"))


def test_argument_in_another_encoding_is_rejected(combine, service):
    assert combine("token create --user=a\udcff@example.com").exit_code == 2
    assert combine("user create a\udcff@example.com").exit_code == 2
    assert "printable characters" in check_failed(
        combine("token create --user=a@example.com --name=\udcff")
    )
    assert service.execute("SELECT count(*) FROM users") == [(0,)]


def test_a_user_is_deleted_after_a_question(service, combine):
    service.user("ann@example.com")
    asked = combine("user delete ann@example.com")
    assert asked.exit_code == 1
    assert "Delete ann, ann@example.com, with nothing else? [y/N]" in asked.stderr
    assert service.execute("SELECT count(*) FROM users") == [(1,)]
    done = combine("user delete ann@example.com --yes")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Deleted ann, ann@example.com, with nothing else." in done.stderr
    assert service.execute("SELECT count(*) FROM users") == [(0,)]
    assert service.execute("SELECT action, actor FROM audit_events") == [
        ("user-delete", "operator")
    ]
    assert "There is no user" in check_failed(combine("user delete ann@example.com --yes"))


def test_the_reason_why_a_user_cannot_be_deleted_is_shown(service, combine):
    service.execute("UPDATE users SET is_admin = true WHERE id = :id", id=service.user().id)
    assert "only administrator" in check_failed(combine("user delete ann@example.com"))
