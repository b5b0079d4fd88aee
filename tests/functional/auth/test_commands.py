"""``combine token`` and ``combine user``, on a real database."""

import re
import uuid

import pytest
from click.testing import CliRunner

from combine_auth.tokens.format import PERSONAL
from combine_core.cli import main


@pytest.fixture
def combine(ini_file, monkeypatch):
    """``combine("user list")`` runs the command on the service of ``ini_file``."""
    for name in ("ENVIRONMENT", "DATABASE_URL", "COMBINE_CORE_DATABASE_URL", "COMBINE_INI"):
        monkeypatch.delenv(name, raising=False)

    def run(line, ini=ini_file):
        return CliRunner().invoke(main, [*line.split(), "-c", str(ini)])

    return run


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


def failed(result):
    """Check that the command failed without a traceback and return its stderr."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    return result.stderr


def test_token_create_prints_the_token_alone(service, combine):
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
def test_token_days_out_of_range(combine, days):
    result = combine(f"token create --user new@example.com --days {days}")
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize("email", ["nobody", "a@", "@b", "a@b@c", ""])
def test_token_of_no_address(service, combine, email):
    result = combine(f"token create --user={email}")
    assert "is not an e-mail address" in failed(result)
    assert service.execute("SELECT count(*) FROM users") == [(0,)]


def test_deployed_service_makes_no_user_by_the_way(service, combine, deployed_ini):
    assert "There is no user new@example.com" in failed(
        combine("token create --user new@example.com")
    )
    assert service.execute("SELECT count(*) FROM users") == [(0,)]
    assert combine("user create new@example.com").exit_code == 0
    assert PERSONAL.is_valid(combine("token create --user NEW@example.com").stdout.strip())


def test_token_of_a_disabled_user(service, combine):
    service.user(disabled=True)
    assert "disabled" in failed(combine("token create --user ann@example.com"))


def test_token_list_and_revoke(service, combine):
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


def test_token_list_names_expired_ones(service, combine):
    service.token(service.user())
    service.execute("UPDATE personal_access_tokens SET expires_at = now()")
    assert combine("token list --user ann@example.com").stdout.rstrip().endswith("expired")


def test_revoke_unknown(combine):
    assert "There is no token" in failed(combine(f"token revoke {uuid.uuid4()}"))
    assert combine("token revoke x").exit_code == 2


def test_user_create_and_list(combine):
    assert combine("user create ann@example.com --admin --name Ann").exit_code == 0
    assert combine("user create bob@example.com").exit_code == 0
    rows = [line.split()[:3] for line in combine("user list").stdout.splitlines()]
    assert rows == [
        ["EMAIL", "NAME", "ADMINISTRATOR"],
        ["ann@example.com", "Ann", "yes"],
        ["bob@example.com", "bob", "no"],
    ]


def test_user_create_again(combine):
    combine("user create ann@example.com")
    assert "already" in failed(combine("user create Ann@Example.com --admin"))
    assert "yes" not in combine("user list").stdout


def test_grant_admin(combine):
    combine("user create ann@example.com")
    assert combine("user grant-admin ann@example.com").exit_code == 0
    assert " yes " in combine("user list").stdout
    assert "There is no user" in failed(combine("user grant-admin eve@example.com"))


def test_revoke_admin_of_somebody_whom_the_setting_names(service, combine, ini_file):
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


def test_disable_and_enable(service, combine):
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
    # Sessions ended for good.
    assert client.get("/whoami", headers=by_cookie).json["email"] is None
    assert "There is no user" in failed(combine("user disable eve@example.com"))
    assert "There is no user" in failed(combine("user enable eve@example.com"))


def test_database_away(combine, ini_file):
    text = re.sub(
        "database_url = .*",
        "database_url = postgresql://a:secret@127.0.0.1:1/b",
        ini_file.read_text(),
    )
    ini_file.write_text(text)
    said = failed(combine("token create --user ann@example.com"))
    assert "The database cannot be used" in said
    assert "secret" not in said


def test_database_not_migrated(combine, ini_file, make_database):
    url = make_database(migrated=False).replace("%", "%%")
    text = re.sub("database_url = .*", lambda _: f"database_url = {url}", ini_file.read_text())
    ini_file.write_text(text)
    assert "combine migrate" in failed(combine("user list"))


def test_argument_in_another_encoding(combine, service):
    assert combine("token create --user=a\udcff@example.com").exit_code == 2
    assert combine("user create a\udcff@example.com").exit_code == 2
    assert "printable characters" in failed(
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
    assert "There is no user" in failed(combine("user delete ann@example.com --yes"))


def test_an_operator_reads_why_a_user_cannot_be_deleted(service, combine):
    service.execute("UPDATE users SET is_admin = true WHERE id = :id", id=service.user().id)
    assert "only administrator" in failed(combine("user delete ann@example.com"))
