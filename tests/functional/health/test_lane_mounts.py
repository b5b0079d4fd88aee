"""Tests lane, banner and drain of an application that an ini file mounts below a path.

Pylons/pyramid#1022: the server did not find the application behind the urlmap of Paste.
"""

import signal

import pytest

from tests.functional.health.served import Served, until

URLMAP = """
    [composite:main]
    use = egg:Paste#urlmap
    / = other
    /below = inner

    [app:other]
    use = egg:Paste#static
    document_root = /nowhere
"""
PREFIX = """
    [pipeline:main]
    pipeline = prefix inner

    [filter:prefix]
    use = egg:PasteDeploy#prefix
    prefix = /below
"""
WHERE = {
    "urlmap": {"around": URLMAP},
    "a filter": {"around": PREFIX},
    "url_prefix": {"server": "url_prefix = /below\n"},
}


@pytest.mark.parametrize("keys", WHERE.values(), ids=WHERE.keys())
def test_the_lane_works_below_a_path(tmp_path, keys):
    drain = "drain_seconds = 60\n"  # this is longer than the test takes
    server = Served(tmp_path, **{**keys, "server": keys.get("server", "") + drain})
    try:
        url = f"http://localhost:{server.port}/below"
        banner = [server.process.stdout.readline().strip() for _ in range(3)]
        assert banner == [f"{url}/health", f"{url}/health/ready", f"{url}/health/detailed"]
        server.wait_for("/below/health/ready", 200)
        with server.held(path="/below/hold"):
            assert server.ask("/below/health/ready/web?check=database").status == 200
        answer = server.ask("/below/health/detailed")
        assert answer.headers["Link"] == '</below/health/detailed/schema>; rel="describedby"'
        assert answer.json["server"]["threads"] == 2
        assert server.ask("/below/health/detailed/schema").status == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.ask("/below/health/ready").status == 503)
        assert server.ask("/below/health/ready").json["status"] == "draining"
        assert "no health add-on" not in server.log
    finally:
        server.kill()


def test_a_missing_add_on_is_logged_once(tmp_path):
    server = Served(
        tmp_path, around="[app:main]\nuse = egg:Paste#static\ndocument_root = /nowhere\n"
    )
    try:
        assert server.ask("/health").status == 404
        assert server.end() == 0
        assert server.log.count("no health add-on is found in the application") == 1
    finally:
        server.kill()
