"""Tests which requests the lane accepts, and the bytes of its responses."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paste.cascade import Cascade
from paste.deploy.config import PrefixMiddleware
from paste.urlmap import URLMap
from pyramid.config import Configurator
from waitress.adjustments import Adjustments
from waitress.proxy_headers import parse_proxy_headers
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from combine_health.endpoints.probe_request import ProbeRequest
from combine_health.engine.probes import ProbeAnswer
from combine_health.server.bodies import Parser
from combine_health.server.lane import Lane
from combine_health.server.mounts import mounts_of
from combine_health.server.proxies import are_well_formed

ADJ = Adjustments()
UP = ProbeAnswer(200, b'{"status": "healthy"}')
DOWN = ProbeAnswer(503, b'{"status": "unavailable"}', 2)


def parse(data):
    parser = Parser(ADJ)
    parser.received(data)
    return parser


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Source:
    """Replaces a mount. It knows two probes."""

    path = prefix = ""

    def __init__(self):
        self.answers = {"/health": UP, "/health/ready": DOWN}

    def parse_probe(self, uri, accept):
        known = uri in {"/health", "/health/ready"}
        return ProbeRequest(uri, None, None, "health+json" in accept) if known else None

    def snapshot(self):
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers

    def answer(self, question, snapshot):
        return snapshot.get(question.probe)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def make(clock, source):
    def make(**adjustments):
        return Lane([source], Adjustments(**adjustments), clock)

    return make


@pytest.fixture
def lane(make):
    return make()


def plain(path="/health", method="GET", version="1.1", **headers):
    lines = [f"{method} {path} HTTP/{version}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def test_a_complete_response(lane):
    assert lane.recognise(plain("/health/ready")) == (
        b"HTTP/1.1 503 Service Unavailable\r\n"
        b"Cache-Control: no-store\r\n"
        b"Content-Length: 25\r\n"
        b"Content-Type: application/json\r\n"
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        b"Retry-After: 2\r\n"
        b"Server: waitress\r\n"
        b"Vary: Accept\r\n"
        b"\r\n"
        b'{"status": "unavailable"}',
        False,
    )
    head = lane.recognise(plain("/health/ready", "HEAD"))
    assert lane.recognise(plain("/health/ready")).data == head.data + DOWN.body


def test_the_server_header_can_be_omitted(make):
    assert b"Server" not in make(ident=None).recognise(plain()).data


@pytest.mark.parametrize(
    ("version", "connection", "said", "close"),
    [
        ("1.1", None, None, False),
        ("1.1", "keep-alive", None, False),
        ("1.1", "Close", b"close", True),
        ("1.0", None, b"close", True),
        ("1.0", "close", b"close", True),
        ("1.0", "Keep-Alive", b"Keep-Alive", False),
    ],
)
def test_connections_are_kept_open_as_requested(lane, version, connection, said, close):
    headers = {} if connection is None else {"Connection": connection}
    answer = lane.recognise(plain(version=version, **headers))
    assert answer.close is close
    assert answer.data.startswith(f"HTTP/{version} 200 OK".encode())
    assert (b"Connection: " in answer.data) is (said is not None)
    assert said is None or b"\r\nConnection: " + said + b"\r\n" in answer.data
    lane.draining = True
    last = lane.recognise(plain(version=version, **headers))
    assert last.close
    assert b"\r\nConnection: close\r\n" in last.data


def test_a_response_is_never_outdated(lane, clock, source):
    first = lane.recognise(plain())
    assert lane.recognise(plain()) is first
    clock.now = 1
    assert b"00:00:01 GMT" in lane.recognise(plain()).data
    source.answers = {"/health": DOWN}
    assert b"unavailable" in lane.recognise(plain()).data
    assert lane.recognise(plain("/health/ready")) is None


def test_the_views_respond_without_a_snapshot(lane, source, caplog):
    source.answers = RuntimeError("broken")
    for _ in range(3):
        assert lane.recognise(plain()) is None
        assert lane.answer(parse(plain())) is None
    assert [record.getMessage() for record in caplog.records] == [
        "the health lane cannot answer; the probe waits for a worker thread"
    ]
    source.answers = {"/health": UP}
    assert lane.recognise(plain()).data.endswith(UP.body)


@pytest.mark.parametrize(
    "data",
    [
        plain("/health?"),
        plain("/health/"),
        plain("/healthy"),
        plain("/health/startup"),
        plain("//health"),
        plain("http://x/health"),
        plain(method="POST"),
        plain(method="BREW"),
        plain(version="2.0"),
        b"GET /health\r\n\r\n",
        plain(Content_Length="1") + b"x",
        plain(Transfer_Encoding="chunked") + b"0\r\n\r\n",
        plain(Transfer_Encoding="chunked", version="1.0"),
        plain(Expect="100-continue"),
        plain(Upgrade="h2c"),
        plain(Connection="keep-alive, Upgrade"),
        plain(Content_Length="x"),
    ],
)
def test_unusual_requests_are_left_to_waitress(lane, data):
    assert lane.recognise(data) is None
    assert lane.answer(parse(data)) is None


TRUSTING = {"trusted_proxy": "*", "trusted_proxy_headers": "x-forwarded-for"}
PLAIN_HOPS = [
    {"X_Forwarded_For": "192.0.2.7"},
    {"X_Forwarded_For": "192.0.2.7, 2001:db8::1,10.0.0.1"},
    {"X_Forwarded_Proto": "https", "X_Forwarded_Port": "443", "X_Forwarded_Host": "a.example:8443"},
]
ODD_HOPS = [
    {"Forwarded": "for=192.0.2.7"},
    {"X_Forwarded_By": "me"},
    {"X_Forwarded_For": ":80"},
    {"X_Forwarded_For": "192.0.2.7,"},
    {"X_Forwarded_For": '"192.0.2.7'},
    {"X_Forwarded_For": "unknown"},
    {"X_Forwarded_Proto": "wss"},
    {"X_Forwarded_Proto": "https, http"},
    {"X_Forwarded_Host": "a b"},
    {"X_Forwarded_Port": "x"},
]


@pytest.mark.parametrize("headers", ODD_HOPS)
def test_malformed_proxy_headers_are_left_to_waitress(make, headers):
    data = plain(**headers)
    assert make().recognise(data) is not None
    assert make(**TRUSTING).recognise(data) is None


@pytest.mark.parametrize("headers", PLAIN_HOPS)
def test_well_formed_proxy_headers_are_accepted(make, headers):
    assert make(**TRUSTING).recognise(plain(**headers)) is not None


@given(
    name=st.sampled_from(["for", "host", "port", "proto"]),
    value=st.text('019af.:,[]/-" htps', max_size=20),
)
def test_waitress_accepts_all_well_formed_headers(name, value):
    headers = {f"X_FORWARDED_{name.upper()}": value}
    if are_well_formed(headers):
        environ = {f"HTTP_{key}": text for key, text in headers.items()}
        parse_proxy_headers(environ, 1, {f"x-forwarded-{name}"})


def test_only_one_complete_probe_is_recognized(lane):
    whole = plain()
    for data in (
        whole * 2,
        whole[:-1],
        whole + b"G",
        b"\r\n" + whole,
        b"",
        b"\r\n\r\n",
        whole + b"\r\n",
    ):
        assert lane.recognise(data) is None
    assert lane.recognise(plain(X_Long="x" * 3000)) is None
    assert lane.answer(parse(plain(X_Long="x" * 3000))) is not None


def test_the_lane_remembers_a_bounded_number_of_requests(lane):
    for number in range(1_000):
        assert lane.recognise(plain(User_Agent=str(number))) is not None
    assert len(lane._keys) <= 64
    assert lane.recognise(plain()) is not None


@given(st.binary(max_size=80))
def test_recognized_bytes_match_the_parsed_request(tail):
    """Recognized bytes are one request, and its parsed form gets the same response."""
    source = Source()
    lane = Lane([source], ADJ, Clock())
    data = b"GET /health HTTP/1.1\r\n" + tail + b"\r\n\r\n"
    found = lane.recognise(data)
    if found is not None:
        parser = Parser(ADJ)
        assert parser.received(data) == len(data)
        assert parser.completed
        assert parser.error is None
        assert lane.answer(parser) == found


ALL = ["/health", "/health/ready", "/health/startup"]
CANDIDATES = [prefix + path for prefix in ("", "/in", "/mounted") for path in ALL]


def application(setup=lambda config: None, prefix=None, **settings):
    with Configurator(settings={"combine_health.load_entry_points": "false", **settings}) as config:
        setup(config)
        config.include("combine_health", route_prefix=prefix)
        return config.make_wsgi_app()


def paths(app, **adjustments):
    adj = Adjustments(**adjustments)
    lane = Lane(mounts_of(app, adj.url_prefix), adj)
    return [path for path in CANDIDATES if lane.recognise(plain(path)) is not None]


def test_the_lane_serves_the_paths_of_the_endpoints():
    assert paths(application()) == ALL
    assert paths(application(prefix="/in")) == ["/in" + path for path in ALL]
    assert paths(application(), url_prefix="/mounted") == [*ALL, *["/mounted" + p for p in ALL]]
    assert paths(SimpleNamespace()) == []


def test_the_lane_leaves_paths_that_the_application_took():
    def own(config):
        config.add_route("own", "/{page}")
        config.add_view(lambda request: "own", route_name="own", renderer="string")

    assert paths(application(own)) == ["/health/ready", "/health/startup"]

    def everything(config):
        config.add_route("rest", "/*rest")

    assert paths(application(everything)) == []


class Filter:
    def __init__(self, app):
        self.application = app

    def __call__(self, environ, start_response):
        raise NotImplementedError


def stranger(environ, start_response):
    return []


def test_the_application_is_found_behind_filters():
    assert paths(Filter(Filter(application()))) == ALL
    assert paths(PrefixMiddleware(application(), prefix="/in")) == [
        *ALL,
        *["/in" + path for path in ALL],
    ]
    circle = Filter(None)
    circle.application = circle
    for other in (circle, None, stranger, Configurator().make_wsgi_app()):
        assert not any(mount.health for mount in mounts_of(other))


def composed(**parts):
    found = URLMap()
    for place, app in parts.items():
        found[place.replace("_", "/")] = app
    return found


def test_mounted_applications_respond_below_their_paths():
    one, other = application(prefix="/in"), Filter(application())
    assert paths(composed(_=stranger, _mounted=other)) == ["/mounted" + path for path in ALL]
    assert paths(composed(_=other, _mounted=stranger)) == [
        *ALL,
        # urlmap sends paths below /in to this application, which does not have them
    ]
    both = composed(_=one, _mounted=other)
    assert paths(both) == CANDIDATES[3:]
    assert [mount.prefix for mount in mounts_of(both) if mount.health] == ["/mounted", "/in"]
    deep = URLMap()
    deep["/mounted"] = composed(_=application())
    assert paths(deep) == ["/mounted" + path for path in ALL]


def test_other_compositions_are_ignored():
    app = application()
    below = ["/mounted" + path for path in ALL]
    assert paths(DispatcherMiddleware(stranger, {"/mounted": app})) == below
    assert paths(DispatcherMiddleware(app, {"/mounted": stranger})) == ALL
    assert paths(Cascade([app, stranger])) == ALL
    later = Cascade([stranger, app])
    assert paths(later) == []
    assert any(mount.health for mount in mounts_of(later))

    class Odd:
        """An object with attributes like those of a composition, which mean something else."""

        applications = apps = mounts = ("one", "other")
        prefix = None

        def __init__(self, app):
            self.app = app

        def __call__(self, environ, start_response):
            raise NotImplementedError

    assert paths(Odd(app)) == ALL


def test_the_lane_leaves_host_names_to_urlmap():
    named = URLMap()
    named["http://a.example/"] = application()
    named["/mounted"] = application()
    assert paths(named) == []
    assert sum(mount.health is not None for mount in mounts_of(named)) == 2
