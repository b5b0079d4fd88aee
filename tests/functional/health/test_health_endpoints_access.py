"""Tests access to details by address, proxy, token and permission."""

import pytest
from pyramid.authentication import RemoteUserAuthenticationPolicy
from pyramid.authorization import (
    ACLAuthorizationPolicy,
    ACLHelper,
    Allow,
    Authenticated,
    Everyone,
)
from pyramid.security import Allowed, Denied

from combine_health import HealthEnvironmentError
from combine_health.engine.registry import health_of

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
PUBLIC = {"REMOTE_ADDR": "203.0.113.9"}
TOKEN = "c4n4ry-t0k3n-0123456789"


def with_database(config):
    config.add_health_check("database", lambda _: True)


def is_full(app, environ):
    body = app.get("/health/detailed", status=200, extra_environ=environ).json
    if "version" not in body:
        assert body == {"status": "healthy", "checks": {"database": {"status": "healthy"}}}
        return False
    return True


@pytest.mark.parametrize(
    ("environ", "full"),
    [
        (LOCAL, True),
        ({"REMOTE_ADDR": "::1"}, True),
        ({"REMOTE_ADDR": "10.1.2.3"}, True),
        ({"REMOTE_ADDR": "172.18.0.1"}, True),
        ({"REMOTE_ADDR": "::ffff:192.168.1.1"}, True),
        ({"REMOTE_ADDR": "fd00::1"}, True),
        ({"REMOTE_ADDR": "localhost"}, True),  # this client uses a Unix socket
        (PUBLIC, False),
        ({"REMOTE_ADDR": "172.32.0.1"}, False),
        ({"REMOTE_ADDR": "2001:4860::8888"}, False),
        ({"REMOTE_ADDR": ""}, False),
        ({"REMOTE_ADDR": "nonsense"}, False),
        ({**LOCAL, "HTTP_X_FORWARDED_FOR": "203.0.113.9"}, False),
        ({**LOCAL, "HTTP_X_FORWARDED_FOR": "127.0.0.1, 203.0.113.9"}, False),
        ({**LOCAL, "HTTP_X_FORWARDED_FOR": "192.168.1.7"}, True),
        ({**PUBLIC, "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        ({**LOCAL, "HTTP_X_FORWARDED_FOR": "192.168.1.7:4711"}, True),
        ({**LOCAL, "HTTP_FORWARDED": "for=203.0.113.9"}, False),
        ({**LOCAL, "HTTP_FORWARDED": 'for="[fd00::1]:4711";proto=https, For=10.0.0.1'}, True),
        ({**LOCAL, "HTTP_FORWARDED": 'for="[fd00::1]", for=_hidden'}, False),
        # The server has removed X-Forwarded-For of an untrusted proxy.
        ({**LOCAL, "HTTP_VIA": "1.1 proxy"}, False),
        ({**LOCAL, "HTTP_X_FORWARDED_PROTO": "https"}, False),
        ({**LOCAL, "HTTP_X_REAL_IP": "203.0.113.9"}, False),
        ({**LOCAL, "HTTP_X_REAL_IP": "10.0.0.7"}, False),
        ({**LOCAL, "HTTP_X_REAL_IP": "10.0.0.7", "HTTP_X_FORWARDED_FOR": "10.0.0.7"}, True),
        ({**LOCAL, "HTTP_X_REAL_IP": "8.8.8.8", "HTTP_X_FORWARDED_FOR": "10.0.0.7"}, False),
    ],
)
def test_local_clients_see_details(make_app, environ, full):
    assert is_full(make_app(with_database), environ) is full


@pytest.mark.parametrize(
    ("environ", "full"),
    [
        (LOCAL, False),  # may be the proxy itself, whose header the server has removed
        ({"REMOTE_ADDR": "172.18.0.5"}, False),
        ({"REMOTE_ADDR": "172.18.0.1", "HTTP_X_FORWARDED_FOR": "172.18.0.1"}, True),
        ({"REMOTE_ADDR": "203.0.113.9", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}, False),
        ({**LOCAL, "HTTP_X_FORWARDED_FOR": "127.0.0.1, 203.0.113.9"}, False),
        ({**LOCAL, "HTTP_X_FORWARDED_FOR": " , "}, False),
        ({**LOCAL, "HTTP_FORWARDED": "for=10.0.0.1"}, True),
    ],
)
def test_only_local_clients_behind_a_proxy_see_details(make_app, environ, full):
    assert is_full(make_app(with_database, behind_proxy="true"), environ) is full


def test_the_log_names_the_missing_setting_once(make_app, caplog):
    app = make_app(with_database, behind_proxy="true")
    for _ in range(3):
        app.get("/health/detailed", extra_environ=LOCAL)
    assert caplog.text.count("trusted_proxy") == 1
    caplog.clear()
    app = make_app(with_database)
    for _ in range(3):
        app.get("/health/detailed", extra_environ={**LOCAL, "HTTP_VIA": "1.1 proxy"})
    assert caplog.text.count("behind_proxy = true") == 1


@pytest.mark.parametrize(("policy", "full"), [("never", False), ("always", True)])
def test_details_can_be_shown_never_or_always(make_app, policy, full):
    app = make_app(with_database, details=policy)
    for environ in (LOCAL, PUBLIC, {**PUBLIC, "HTTP_X_FORWARDED_FOR": "203.0.113.9"}):
        assert is_full(app, environ) is full


class Policy:
    def __init__(self, answer):
        self.answer = answer

    def identity(self, request):
        raise AssertionError("nobody asks who it is")

    authenticated_userid = identity

    def permits(self, _request, _context, permission):
        assert permission == "health:details"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "full"), [(Allowed("yes"), True), (Denied("no"), False), (RuntimeError(), False)]
)
def test_authorized_clients_see_details(make_app, answer, full):
    def setup(config):
        config.set_security_policy(Policy(answer))
        config.set_default_permission("everything")
        with_database(config)

    app = make_app(setup, details="authorized")
    assert is_full(app, LOCAL) is full
    assert app.get("/health/ready").json == {"status": "ready"}


def test_without_a_security_policy_no_client_is_authorized(make_app, caplog):
    # Without a policy, Pyramid permits everything.
    app = make_app(with_database, details="authorized", token=TOKEN)
    assert not is_full(app, LOCAL)
    assert "no security policy" in caplog.text
    assert is_full(app, {**PUBLIC, "HTTP_X_HEALTH_TOKEN": TOKEN})


USERS = {"anna": ["group:operators"], "ben": ["group:editors"]}


class TutorialPolicy:
    """The security policy of the Pyramid tutorial, with the user name in a header."""

    def authenticated_userid(self, request):
        name = request.headers.get("X-User")
        return name if name in USERS else None

    def permits(self, request, context, permission):
        return ACLHelper().permits(context, self.effective_principals(request), permission)

    def effective_principals(self, request):
        userid = self.authenticated_userid(request)
        if userid is None:
            return [Everyone]
        return [Everyone, Authenticated, f"u:{userid}", *USERS[userid]]


class TutorialRoot:
    def __init__(self, request):
        self.__acl__ = [
            (Allow, Everyone, "view"),
            (Allow, "group:editors", "edit"),
            (Allow, "group:operators", "health:details"),
        ]


def who_sees_details(app):
    users = ("anna", "ben", "nobody")
    return {user for user in users if is_full(app, {**LOCAL, "HTTP_X_USER": user})}


def test_the_acl_of_the_root_decides(make_app):
    def setup(config):
        config.set_root_factory(TutorialRoot)
        config.set_security_policy(TutorialPolicy())
        with_database(config)

    assert who_sees_details(make_app(setup, details="authorized")) == {"anna"}


def test_an_acl_without_the_permission_shows_no_details(make_app):
    def setup(config):
        config.set_security_policy(TutorialPolicy())
        with_database(config)

    assert who_sees_details(make_app(setup, details="authorized")) == set()


@pytest.mark.parametrize(
    ("principals", "users"),
    [
        ("group:operators", {"anna"}),
        ("group:editors, anna", {"anna", "ben"}),
        ("system.Authenticated", {"anna", "ben"}),
        ("group:others", set()),
    ],
)
def test_details_may_depend_on_a_principal(make_app, principals, users):
    def setup(config):
        config.set_security_policy(TutorialPolicy())
        with_database(config)

    app = make_app(setup, details="authorized", details_principals=principals)
    assert who_sees_details(app) == users


def test_a_principal_works_with_a_policy_of_user_ids(make_app):
    class Names(TutorialPolicy):
        effective_principals = None

    def setup(config):
        config.set_security_policy(Names())
        with_database(config)

    app = make_app(setup, details="authorized", details_principals="anna")
    assert who_sees_details(app) == {"anna"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_principal_works_with_the_policies_of_pyramid_1(make_app):
    def setup(config):
        config.set_authentication_policy(
            RemoteUserAuthenticationPolicy("HTTP_X_USER", lambda name, _: USERS.get(name))
        )
        config.set_authorization_policy(ACLAuthorizationPolicy())
        config.set_root_factory(TutorialRoot)
        with_database(config)

    assert who_sees_details(make_app(setup, details="authorized")) == {"anna"}
    app = make_app(setup, details="authorized", details_principals="group:editors")
    assert who_sees_details(app) == {"ben"}


def test_a_principal_of_kinto_has_the_prefix_of_its_policy(make_app):
    # Another policy of the same application may use "anna" for another user.
    def setup(config):
        config.set_security_policy(TutorialPolicy())
        config.add_request_method(
            lambda request: [f"account:{request.authenticated_userid}"], "prefixed_principals", True
        )
        with_database(config)

    app = make_app(setup, details="authorized", details_principals="account:anna")
    assert who_sees_details(app) == {"anna"}
    app = make_app(setup, details="authorized", details_principals="anna")
    assert who_sees_details(app) == set()


def test_a_failing_root_or_policy_hides_details_and_logs_the_remedy(make_app, caplog):
    def broken(_request):
        raise RuntimeError("no database")

    def setup(config):
        config.set_root_factory(broken)
        config.set_security_policy(TutorialPolicy())
        with_database(config)

    assert who_sees_details(make_app(setup, details="authorized")) == set()
    assert "RuntimeError: no database" in caplog.text
    assert "combine_health.details_principals" in caplog.text


@pytest.mark.parametrize(
    ("headers", "full"),
    [
        ({"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, True),
        ({"HTTP_AUTHORIZATION": f"bearer  {TOKEN} "}, True),
        ({"HTTP_X_HEALTH_TOKEN": TOKEN}, True),
        ({"HTTP_X_HEALTH_TOKEN": TOKEN, "HTTP_AUTHORIZATION": "Basic eDp5"}, True),
        ({"HTTP_AUTHORIZATION": f"Basic {TOKEN}"}, False),
        ({"HTTP_AUTHORIZATION": "Bearer"}, False),
        ({"HTTP_AUTHORIZATION": "Bearer "}, False),
        ({"HTTP_AUTHORIZATION": TOKEN}, False),
        ({"HTTP_AUTHORIZATION": f"Bearer {TOKEN}x"}, False),
        ({"HTTP_AUTHORIZATION": f"Bearer {TOKEN[:-1]}"}, False),
        ({"HTTP_X_HEALTH_TOKEN": ""}, False),
        ({"HTTP_X_HEALTH_TOKEN": "\xe9\xff" * 20}, False),
        ({"QUERY_STRING": f"token={TOKEN}"}, False),  # access logs would show it
        ({}, False),
    ],
)
@pytest.mark.parametrize("details", ["local", "authorized"])
def test_the_token_shows_details(make_app, details, headers, full):
    app = make_app(with_database, details=details, token=TOKEN)
    assert is_full(app, {**PUBLIC, **headers}) is full


def test_headers_are_ignored_without_a_configured_token(make_app):
    app = make_app(with_database)
    for value in ("", "None", "null"):
        assert not is_full(app, {**PUBLIC, "HTTP_X_HEALTH_TOKEN": value})


def test_never_overrides_everything(make_app):
    app = make_app(with_database, details="never", token=TOKEN)
    assert not is_full(app, {**LOCAL, "HTTP_X_HEALTH_TOKEN": TOKEN})


@pytest.mark.parametrize("token", ["short", "with some spaces in it", "gehe\xefm" * 5])
def test_a_weak_token_is_an_error_and_is_not_printed(make_app, token):
    with pytest.raises(HealthEnvironmentError, match=r"combine_health\.token is \*{8}: ") as caught:
        make_app(token=token)
    assert token not in str(caught.value)


def test_the_token_is_masked(make_app):
    app = make_app(with_database, token=TOKEN)

    assert TOKEN not in repr(health_of(app.app.registry).settings)
    assert health_of(app.app.registry).redactor.text(f"it is {TOKEN}") == "it is ***"
