"""Tests that any input gives a value or a short `ValueError`."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from combine_health.checks.http_url import parse
from combine_health.checks.tls_expiry import CertificateError, certificates, validity
from combine_health.cli.maintenance import LONGEST, duration
from combine_health.cli.result import MOST_BYTES, CommandResult, InputError, render


def outcome(function, given):
    """Return the result of the function, or the text of its error."""
    try:
        return function(given), None
    except (ValueError, InputError) as error:
        return None, str(error)


@settings(deadline=None)
@example("HTTP://¯")
@given(st.text(max_size=200) | st.text(max_size=50).map(lambda text: f"http://{text}"))
def test_any_url_is_parsed_or_rejected(url):
    target, refusal = outcome(parse, url)
    if refusal is not None:
        assert len(url) < 8 or url not in refusal
    else:
        assert target.scheme in {"http", "https"}
        assert 1 <= target.port <= 65535
        assert target.path.isascii()
        assert not set(target.path + target.shown + target.authority) & set(" \r\n\t")


@settings(deadline=None)
@given(st.text(alphabet="0123456789smhd -.", max_size=20))
def test_any_duration_is_in_range_or_rejected(text):
    length, refusal = outcome(duration, text)
    if refusal is not None:
        assert "--for" in refusal
    else:
        assert 0 < length.total_seconds() <= LONGEST.total_seconds()


@settings(deadline=None)
@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: b"\x30\x82\x01" + tail))
def test_any_bytes_are_a_certificate_or_rejected(data):
    with pytest.raises(CertificateError):
        validity(data)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_contains_certificates_or_is_rejected(text):
    for block in (text, f"-----BEGIN CERTIFICATE-----{text}-----END CERTIFICATE-----"):
        found, refusal = outcome(lambda text: list(certificates(text)), block)
        assert refusal == "not base64" or all(isinstance(der, bytes) for der in found)


@settings(deadline=None)
@given(st.text(max_size=5000), st.lists(st.text(max_size=3000), max_size=60))
def test_the_output_fits_into_the_limit_of_docker(headline, more):
    text = render(CommandResult(ok=False, headline=headline, more=more))
    assert len(text.encode("ascii", "backslashreplace")) <= MOST_BYTES
    assert len(text.encode()) <= MOST_BYTES
    assert "\x1b" not in text
    assert len(text.splitlines()) >= 1
