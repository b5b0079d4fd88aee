"""Tests the API explorer in a browser, under its Content-Security-Policy."""

import shutil

import pytest
from webtest.http import StopableWSGIServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def complain(complaints, message):
    # Chromium also prints mere recommendations for forms.
    if message.type in ("error", "warning"):
        complaints.append(message.text)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.slow
def test_a_project_is_created_by_clicking(app, sign_in):
    from playwright.sync_api import sync_playwright

    token = sign_in().token
    server = StopableWSGIServer.create(app, host="127.0.0.1")
    complaints, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: complain(complaints, message))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{server.application_url}docs")
        page.click(".authorize")
        page.fill(".modal-ux input[aria-label=auth-bearer-value]", token)
        page.locator(".auth-container", has_text="bearerAuth").locator(".authorize").click()
        page.click(".modal-ux button.btn-done")
        operation = page.locator("#operations-projects-createProject")
        operation.locator(".opblock-summary").click()
        operation.locator(".execute").click()
        answer = operation.locator(".live-responses-table").inner_text()
        browser.close()
    server.shutdown()
    assert "201" in answer
    assert '"slug": "harbour"' in answer
    # The list would contain a breach of the policy or a missing file.
    assert complaints == []
    assert {url.split("/")[2] for url in asked} == {f"{server.adj.host}:{server.adj.port}"}
