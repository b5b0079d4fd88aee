"""Tests the way from sign-in to the finished document, by clicking."""

import re
import shutil
from pathlib import Path

import pytest

if shutil.which("chromium") is None:
    # Skip the whole file here: a fixture would report a skip for each test.
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)

RUNBOOK = """# Operations Runbook

## Health Monitoring

The liveness probe is GET /health.
We decided that the readiness probe is GET /health/ready and answers 503 without the database.

## Database Connection Failed

Check the database container first, then the format of DATABASE_URL.
The on-call engineer must call the database team within 15 minutes.
Who may restore a backup at night?
"""
NARROW = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 800}


def sign_in(page):
    page.goto("/")
    page.get_by_role("button", name="Sign in as local developer").click()
    page.get_by_role("heading", name="Projects").wait_for()


def make_project(page, name="Operations"):
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create project").click()
    page.get_by_role("heading", name=name).wait_for()


def paste_runbook(page):
    page.get_by_label("Name").fill("runbook.md")
    page.get_by_label("Text", exact=True).fill(RUNBOOK)
    page.get_by_role("button", name="Add text").click()
    page.get_by_role("link", name="runbook.md").wait_for()


def start_run(page):
    page.get_by_role("checkbox", name="Use runbook.md in the run").check()
    page.get_by_role("button", name="Start run").click()
    page.get_by_role("heading", name="Run of brief").wait_for()


def test_user_gets_a_first_document_by_clicking(open_page, tmp_path):
    page = open_page(viewport=WIDE)
    sign_in(page)
    make_project(page)
    file = tmp_path / "runbook.md"
    file.write_text(RUNBOOK)
    page.get_by_label("Files").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    start_run(page)

    # The page follows the run without a reload.
    page.get_by_text("Succeeded", exact=True).wait_for()
    page.get_by_role("link", name="Brief: runbook.md").click()
    page.get_by_role("heading", name="Decisions").wait_for()
    assert page.get_by_text("No language model was used.").is_visible()

    # Each statement opens its quote, and the quote links to its line.
    statement = page.locator(".statement", has_text="We decided").first
    quote = statement.get_by_role("blockquote")
    assert not quote.is_visible()
    statement.get_by_text("runbook.md, line 6").first.click()
    assert quote.is_visible()
    assert quote.inner_text() in RUNBOOK
    statement.get_by_role("link", name="runbook.md, line 6").click()
    cited = page.locator(".cited")
    cited.wait_for()
    assert cited.locator("code").inner_text() == RUNBOOK.splitlines()[5]
    assert page.url.endswith("#quote")
    assert page.locator("mark").inner_text() in RUNBOOK.splitlines()[5]
    page.go_back()

    # The printed page shows all quotes, although they are closed on the screen.
    page.emulate_media(media="print")
    quotes = page.get_by_role("blockquote").all()
    assert len(quotes) >= 5
    assert all(each.is_visible() for each in quotes)
    assert page.get_by_role("heading", name="Made from").is_visible()
    assert not page.get_by_role("button").filter(visible=True).count()
    page.emulate_media(media="screen")

    with page.expect_download() as downloading:
        page.get_by_role("link", name="Markdown").click()
    download = downloading.value
    assert download.suggested_filename == "brief-runbook-md-v1.md"
    markdown = Path(download.path()).read_text()
    assert markdown.startswith("# Brief: runbook.md")
    statements, _, origin = markdown.partition("## How it was made")
    assert "extract" in origin
    sentences = re.findall(r"^- (.*?)(?: \[\d+\])*$", statements, re.MULTILINE)
    assert len(sentences) >= 5
    for sentence in sentences:
        assert sentence.replace("\\", "") in RUNBOOK

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()


@pytest.mark.slow
def test_pages_work_without_javascript(open_page):
    page = open_page(viewport=NARROW, java_script_enabled=False)
    sign_in(page)
    make_project(page)
    paste_runbook(page)
    start_run(page)
    # The page reloads itself. The link is for impatient users.
    page.get_by_text("Succeeded", exact=True).wait_for()
    page.get_by_role("link", name="Brief: runbook.md").click()
    page.get_by_text("runbook.md, line 6").first.click()
    assert page.get_by_role("blockquote").first.is_visible()


def test_form_errors_are_shown_at_their_fields(open_page):
    page = open_page(viewport=NARROW)
    sign_in(page)
    make_project(page)
    page.get_by_label("Name").fill("notes")
    text = page.get_by_label("Text", exact=True)
    text.fill("   ")
    page.get_by_role("button", name="Add text").click()
    page.get_by_text("The text is empty.").wait_for()
    assert page.evaluate("document.activeElement.id") == "paste-text"
    assert page.get_by_label("Name").input_value() == "notes"
    assert text.get_attribute("aria-describedby") == "paste-text-error"


@pytest.mark.slow
def test_user_works_with_the_keyboard_alone(open_page):
    page = open_page(viewport=WIDE)
    sign_in(page)
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="Skip to the content")
    assert link.evaluate("link => link === document.activeElement")
    assert link.bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    # Skip the link to archived projects.
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    name = page.get_by_label("Name")
    assert name.evaluate("field => field === document.activeElement")
    assert name.evaluate("field => getComputedStyle(field).outlineStyle") == "solid"
    page.keyboard.type("Operations")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Operations").wait_for()
