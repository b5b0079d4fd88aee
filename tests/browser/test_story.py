"""Tests how four users work on a document, from three sources to the register after a second meeting."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

if shutil.which("chromium") is None:
    # Skip the whole file here: a fixture would report a skip for each test.
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)

from playwright.sync_api import expect
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from combine_auth.sessions import start_session
from combine_core.projects import create_project
from combine_core.users import Membership, Role, get_or_create_user
from tests.story import (
    CORRECTED,
    MODEL,
    SECOND_MEETING,
    SOURCES,
    reads_with_care,
    without_white_space,
    words_of_pdf,
)
from tests.vendor_server import VendorServer

pytestmark = pytest.mark.timeout(1800)

NARROW = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 800}
ROLES = {"bob": Role.WRITER, "carol": Role.REVIEWER, "dave": Role.REVIEWER}
RUN_TIMEOUT_MS = 120_000


@pytest.fixture
def vendor():
    with VendorServer() as server:
        yield server.always(reads_with_care)


@pytest.fixture
def service(start_service, vendor):
    """A service that calls a model."""
    started = start_service({"OPENAI_API_KEY": "of-nobody", "OPENAI_BASE_URL": vendor.openai_url})
    # This is the address that the service knows itself by.
    return replace(started, url=f"http://localhost:{urlsplit(started.url).port}")


@pytest.fixture
def people(open_page, service):
    """Pages of Ada, who owns the project Harbour, and of its members Bob, Carol (on a phone) and Dave."""
    engine = create_engine(service.environment["DATABASE_URL"])
    cookies = {}
    with Session(engine) as session, session.begin():
        ada = get_or_create_user(session, "ada@example.com", "Ada")
        project = create_project(session, "Harbour", ada.id)
        cookies["ada"] = start_session(session, ada.id)
        for name, role in ROLES.items():
            user = get_or_create_user(session, f"{name}@example.com", name.title())
            session.add(Membership(project_id=project.id, user_id=user.id, role=role))
            cookies[name] = start_session(session, user.id)
    engine.dispose()
    pages = []
    for name, cookie in cookies.items():
        page = open_page(viewport=NARROW if name == "carol" else WIDE)
        page.context.add_cookies([{"name": "combine_session", "value": cookie, "url": service.url}])
        pages.append(page)
    return pages


def upload(page, texts):
    page.goto("/projects/harbour")
    if not page.get_by_label("Files").is_visible():
        page.get_by_text("Upload files").click()
    page.get_by_label("Files").set_input_files(
        [
            {"name": name, "mimeType": "text/markdown", "buffer": text.encode()}
            for name, text in texts.items()
        ]
    )
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("link", name=list(texts)[-1]).wait_for()


def run(page, names):
    provider, _, model = MODEL.partition("/")
    for name in names:
        page.get_by_role("checkbox", name=f"Use {name} in the run").check()
    page.get_by_role("radio", name=provider).check()
    page.get_by_label(f"Model of {provider}").fill(model)
    page.get_by_role("button", name="Start run").click()
    open_written_document(page)


def open_written_document(page):
    """Wait for the document of the run. The page follows the run without a reload."""
    page.get_by_text("Succeeded", exact=True).wait_for(timeout=RUN_TIMEOUT_MS)
    page.get_by_role("link", name=re.compile("^Brief: ")).click()
    page.get_by_role("heading", name="Decisions").wait_for()


def ask_for_review(page, needed):
    page.get_by_role("link", name="Ask for a review").click()
    page.get_by_label("Number of approvals needed").fill(str(needed))
    page.get_by_role("button", name="Ask for the review").click()
    page.get_by_text(f"0 of {needed} approval").first.wait_for()


def decide(page, button, then):
    """Open the review in the inbox and decide on it."""
    page.goto("/inbox")
    page.get_by_role("link", name=re.compile("^Brief: ")).click()
    page.get_by_role("button", name=button).wait_for()
    if button == "Reject":
        page.get_by_label("Comment").fill("The budget is 45,000 euros.")
    page.get_by_role("button", name=button).click()
    page.locator(".review-panel", has_text=then).wait_for()


@pytest.mark.slow
def test_four_users_write_review_and_update_a_document(people, vendor, tmp_path):
    ada, bob, carol, dave = people

    # Three sources become a brief, with one call for each source and one for the brief.
    upload(ada, SOURCES)
    run(ada, SOURCES)
    assert len(vendor.requests) == 4
    expect(ada.locator(".statement")).to_have_count(7)
    document = urlsplit(ada.url).path.partition("/versions")[0]

    # Bob adds a question and asks for a review. Carol rejects the version.
    bob.goto(document)
    bob.get_by_role("link", name="Add a statement to Open questions").click()
    bob.get_by_label("Text", exact=True).fill("Who feeds the seals?")
    bob.get_by_role("button", name="Save as a new version").click()
    bob.locator(".own-mark", has_text="Bob").wait_for()
    ask_for_review(bob, 2)
    decide(carol, "Reject", "Rejected")

    # Ada corrects the source. The brief explains why it is out of date.
    ada.goto("/projects/harbour")
    ada.get_by_role("link", name="budget.md").click()
    ada.get_by_text("Correct this source").click()
    ada.get_by_label("Or text").fill(CORRECTED)
    ada.get_by_role("button", name="Add revision").click()
    ada.get_by_text("45,000").first.wait_for()
    bob.goto(document)
    stale = bob.locator(".stale")
    assert "The source budget.md has revision 2." in stale.inner_text()

    # A second run pays for the changed source and for the brief.
    before = len(vendor.requests)
    stale.get_by_role("button", name="Run again").click()
    open_written_document(bob)
    asked = [request.prompt for request in vendor.requests[before:]]
    assert ["## Source" in prompt for prompt in asked] == [True, False]
    assert all("45,000 euros" in prompt for prompt in asked)
    expect(bob.locator(".stale")).to_have_count(0)

    # The comparison shows the old and the new version.
    bob.get_by_role("link", name="changes between versions 2 and 3").click()
    changed = bob.locator(".statement", has_text="The budget of the harbour")
    assert changed.locator("del").inner_text().strip() == "40,000"
    assert changed.locator("ins").inner_text().strip() == "45,000"
    assert bob.locator("del", has_text="Who feeds the seals?").is_visible()

    # Two members approve. One approval is not enough.
    bob.goto(document)
    ask_for_review(bob, 2)
    decide(carol, "Approve", "In review · 1 of 2 approvals")
    decide(dave, "Approve", "Approved · 2 of 2 approvals")

    # The export contains every statement and every quote.
    dave.goto(document)
    statements = dave.locator(".statement-text").all_inner_texts()
    quotes = [
        one.text_content() for one in dave.get_by_role("blockquote", include_hidden=True).all()
    ]
    assert (len(statements), len(quotes)) == (7, 7)
    with dave.expect_download() as downloading:
        dave.get_by_role("link", name="PDF").click()
    words = words_of_pdf(Path(downloading.value.path()))
    for text in [*statements, *quotes, "Carol approved it on", "Dave approved it on"]:
        assert without_white_space(text) in words, text

    # After the second meeting, one register item continues with another date, and one item is new.
    upload(ada, {"second.md": SECOND_MEETING})
    run(ada, ["second.md"])
    ask_for_review(ada, 1)
    decide(dave, "Approve", "Approved")
    bob.goto("/projects/harbour")
    bob.get_by_role("link", name="Register").click()
    rows = bob.get_by_role("table", name="Items").locator("tbody tr")
    expect(rows).to_have_count(8)
    bob.get_by_label("Needs a decision").check()
    bob.get_by_role("button", name="Show").click()
    bob.wait_for_url("**undecided=true*")
    expect(rows).to_have_count(2)
    dates = rows.filter(has_text="3 May 2027").filter(has_text="9 June 2027")
    expect(dates).to_have_count(1)
    rows.filter(has_text="2027-03-15").get_by_role("button", name="Same item").click()
    bob.get_by_role("button", name="Accept the change").click()
    bob.get_by_text("Due: 2027-02-01 → 2027-03-15").wait_for()
    assert bob.get_by_text("owner Ada · due 2027-03-15").first.is_visible()
    bob.goto("/projects/harbour/register")
    expect(rows).to_have_count(7)
