"""Tests sign-in in Chromium behind a TLS proxy that does not report itself."""

from __future__ import annotations

import shutil

import pytest

from tests.conftest import free_port
from tests.oidc.browsing import agree, combine, go_to_provider, heading, sign_out
from tests.oidc.issuer import skip_without_node
from tests.oidc.tls_proxy import tls_proxy

pytestmark = pytest.mark.slow

skip_without_node()
if shutil.which("chromium") is None:
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)


def test_every_form_redirects_correctly(serve, open_page, google):
    port = free_port()
    url = f"https://localhost:{port}"
    service = serve(PUBLIC_URL=url, COMBINE_AUTH_LOCAL_SIGN_IN="false")
    google.register(url)
    with tls_proxy(port, int(service.environment["PORT"])):
        # `open_page` fails the test if the Content-Security-Policy blocks anything.
        page = open_page(service, ignore_https_errors=True)
        page.goto(f"{url}/projects")
        heading(page, "Sign in")
        go_to_provider(page, "Google")
        agree(page, "anna")
        heading(page, "Projects")
        assert page.url == f"{url}/projects"
        page.get_by_label("Name").first.fill("Bakery")
        page.get_by_role("button", name="Create").first.click()
        heading(page, "Bakery")
        assert page.url.startswith(f"{url}/projects/")
        sign_out(page)
        assert page.url.startswith(f"{url}/auth/sign-in")
        warnings = [line for line in service.log().splitlines() if "PUBLIC_URL is" in line]
        assert len(warnings) == 1
        assert f"A request came for http://localhost:{port}" in warnings[0]
        assert "X-Forwarded-Proto" in warnings[0]
        # The doctor is a separate process.
        told = combine(service, "doctor")
        assert "scheme_contradicts" in told
        assert f"contradicts_scheme.request: http://localhost:{port}" in told
