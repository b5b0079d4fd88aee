"""Tests the page of a document: sections, evidence, flags, versions and downloads."""

import json
from io import BytesIO
from urllib.parse import urlsplit

import docx
import pytest
from sqlalchemy import select

from combine_auth.audit import AuditEvent
from combine_core.documents import DocumentVersion, edit_document
from combine_core.runs import Run
from combine_core.sources import add_text_revision, lock_source


def item(text, quote, source="S1", line=3):
    evidence = [{"source": source, "line_from": line, "line_to": line, "quote": quote}]
    return {"text": text, "evidence": evidence}


TRUE = item("The oven runs at 180 °C.", "The oven runs at 180 °C")
FALSE = item("It explodes at noon.", "The oven explodes at noon")


@pytest.fixture
def oven(place, ada, slug):
    return place.source(slug, ada)


@pytest.fixture
def run(place, ada, slug, oven) -> Run:
    return place.run(slug, ada, oven)


def test_sections_follow_the_order_of_the_schema(place, ada, run, oven):
    version = place.write(run, {"summary": [TRUE]}, {"S1": oven})
    page = ada.get(f"/documents/{version.document_id}")
    headings = [h.text for h in page.html.select(".column-main h2")]
    assert headings == [
        "Summary",
        "Key points",
        "Decisions",
        "Numbers",
        "Open questions",
        "Next steps",
    ]
    assert page.html.select(".column-main section")[1].p.text == "The model named nothing here."


def test_evidence_links_to_the_lines_of_the_source(place, ada, run, oven):
    version = place.write(run, {"summary": [TRUE]}, {"S1": oven})
    page = ada.get(f"/documents/{version.document_id}")
    details = page.html.select_one("details.evidence")
    assert details.summary.text == "Evidence: oven.md, line 3"
    assert details.blockquote.text == "The oven runs at 180 °C"
    link = details.a["href"]
    assert urlsplit(link).fragment == "quote"
    lines = ada.get(link).html
    assert lines.mark.text == details.blockquote.text
    assert lines.select_one(".cited")["id"] == "L3"
    assert details.blockquote.text in lines.select_one(".cited code").text


def test_several_quotes_are_shown(place, ada, run, oven, slug):
    more = place.source(slug, ada, "a\nb\nThe oven is blue.\nAnd it is big.", "more.md")
    both = {
        "text": "A blue oven.",
        "evidence": TRUE["evidence"]
        + [{"source": "S2", "line_from": 3, "line_to": 4, "quote": "is blue. And it is big."}],
    }
    version = place.write(run, {"summary": [both]}, {"S1": oven, "S2": more})
    details = ada.get(f"/documents/{version.document_id}").html.select_one("details.evidence")
    assert details.summary.text == "Evidence: 2 quotes"
    assert [caption.text for caption in details.find_all("figcaption")] == [
        "oven.md, line 3",
        "more.md, lines 3\N{EN DASH}4",
    ]


def test_a_false_quote_is_marked_and_never_shown_as_evidence(place, ada, run, oven):
    unknown = item("It sings.", "La la la", source="S9")
    version = place.write(run, {"summary": [TRUE, FALSE], "decisions": [unknown]}, {"S1": oven})
    page = ada.get(f"/documents/{version.document_id}")
    share = page.html.select_one(".support.note-warn").text
    assert "1 of 3 statements (33 %) are supported by the quotes. Do not rely on" in share
    marked = page.html.select(".unproven")
    assert [mark.select_one(".statement-text").text for mark in marked] == [
        "It explodes at noon.",
        "It sings.",
    ]
    assert "is not in the source" in marked[0].text
    assert "is not a source of the run" in marked[1].text
    assert not any(mark.select("details, blockquote, a:not(.edit-link a)") for mark in marked)
    assert "The oven explodes at noon" not in page
    assert "La la la" not in page
    assert len(page.html.select("details.evidence")) == 1
    assert "version 1 · 1 of 3 statements supported" in ada.get(f"/runs/{run.id}").html.main.text


def test_details_and_repairs_are_shown_with_the_statement(place, ada, run, oven):
    quote = "Anna must order the seal before Wednesday"
    order = item("Anna must order the seal.", quote, line=1)
    order |= {"owner": "Anna", "due": "before Wednesday", "speaker": None}
    version = place.write(run, {"next_steps": [order]}, {"S1": oven})
    page = ada.get(f"/documents/{version.document_id}")
    assert "1 of 1 statement (100 %) is supported" in page.html.select_one(".support").text
    statement = page.html.find(id="/next_steps/0")
    details = [each.get_text(" ", strip=True) for each in statement.select(".details > div")]
    assert details == ["Owner Anna", "Due before Wednesday"]
    assert statement.select_one(".repairs").text == "Repaired: the line numbers."


def test_a_version_without_verdicts_shows_none(place, ada, run, oven):
    version = place.write(run, {"summary": [TRUE]}, {"S1": oven})
    with place.sessions.begin() as session:
        session.get_one(DocumentVersion, version.id).support = None
    page = ada.get(f"/documents/{version.document_id}")
    assert "Not judged." in page.html.select_one(".support.note-warn").text
    assert " supported by" not in page.html.main.text
    # The file was written with the version.
    with place.sessions.begin() as session:
        stored = session.get_one(DocumentVersion, version.id)
        stored.markdown = "# Brief: oven.md\n\n## Summary\n"
    file = page.click("Markdown").text
    assert file.startswith("# Brief: oven.md\n\nNot judged. This version was written before")
    assert ".\n\n## Summary\n\n## How it was made\n" in file


@pytest.mark.parametrize(
    ("used_llm", "words"),
    [(True, "The model named nothing here."), (False, "The rules found nothing here.")],
)
def test_a_document_without_statements_is_explained(place, ada, slug, run, oven, used_llm, words):
    version = place.write(run, {}, {"S1": oven}, used_llm=used_llm)
    page = ada.get(f"/documents/{version.document_id}")
    assert page.html.select_one(".support").text.strip() == f"No statement. {words}"
    assert f"\n\nNo statement. {words}\n\n## Summary" in page.click("Markdown").text
    assert "version 1 · no statement" in ada.get(f"/runs/{run.id}").html.main.text


def test_the_page_names_the_author_model(place, ada, run, oven):
    version = place.write(run, {}, {"S1": oven}, used_llm=False)
    page = ada.get(f"/documents/{version.document_id}")
    assert "No language model was used." in page.html.main.text
    place.write(run, {}, {"S1": oven})
    page = ada.get(f"/documents/{version.document_id}")
    assert "No language model was used." not in page.html.main.text
    assert "with anthropic/claude-sonnet-4-5" in page


def test_versions_are_listed(place, ada, run, oven):
    version = place.write(run, {"summary": [TRUE]}, {"S1": oven})
    place.write(run, {"summary": [item("New.", "Oven 3", line=1)]}, {"S1": oven})
    newest = ada.get(f"/documents/{version.document_id}")
    assert "New." in newest
    assert "not the newest version" not in newest
    old = newest.click("Version 1")
    assert old.request.path == f"/documents/{version.document_id}/versions/1"
    assert "The oven runs at 180 °C." in old
    assert "not the newest version" in old.html.main.text
    assert old.click("Open version 2").request.path == f"/documents/{version.document_id}"
    for number in ("3", "0", "01", "999999999", "99999999999999999999"):
        ada.get(f"/documents/{version.document_id}/versions/{number}", status=404)


def test_inputs_are_listed(place, ada, run, oven):
    version = place.write(run, {}, {"S1": oven})
    page = ada.get(f"/documents/{version.document_id}")
    assert oven.sha256[:12] in page.html.aside.text
    assert page.click("oven.md").html.h1.text == "oven.md"


def test_a_document_is_downloaded_as_markdown(place, ada, run, oven):
    version = place.write(run, {"summary": [TRUE]}, {"S1": oven})
    path = f"/documents/{version.document_id}"
    answer = ada.get(path).click("Markdown")
    assert answer.content_type == "text/markdown"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="brief-oven-md-v1.md"'
    assert answer.body.decode().startswith(f"{version.markdown}\n## How it was made\n")
    assert ada.get(f"{path}.md").body == answer.body


def test_a_document_is_downloaded_as_json(place, ada, run, oven):
    version = place.write(run, {"summary": [TRUE, FALSE]}, {"S1": oven})
    path = f"/documents/{version.document_id}"
    answer = ada.get(path).click("JSON")
    assert answer.content_type == "application/json"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="brief-oven-md-v1.json"'
    exported = json.loads(answer.body)
    assert list(exported["content"])[:2] == ["summary", "key_points"]
    assert exported["content"] == version.content
    assert exported["version"] == 1
    assert exported["reviews"] == []
    assert (exported["run_costs"]["calls"], exported["run_costs"]["currency"]) == (0, "USD")
    assert ada.get(f"{path}.json").body == answer.body


def test_text_of_a_document_is_escaped(place, ada, slug):
    text = "<script>alert(1)</script> & {{ 7 * 7 }} said <img src=x onerror=alert(2)>"
    name = '"><script>alert(3)</script>.md'
    source = place.source(slug, ada, text, name)
    run = place.run(slug, ada, source)
    version = place.write(run, {"summary": [item(text, text, line=1)]}, {"S1": source})
    for path in (
        f"/documents/{version.document_id}",
        f"/projects/{slug}",
        f"/projects/{slug}/sources/{source.id}",
        f"/runs/{run.id}",
    ):
        page = ada.get(path)
        assert "<script>alert" not in page
        assert "<img" not in page
        scripts = page.html.find_all("script")
        assert all(script["src"].startswith("/static/") for script in scripts)
        assert not page.html.find_all(style=True)
        assert not page.html.find_all("style")
    page = ada.get(f"/documents/{version.document_id}")
    assert page.html.select_one(".statement-text").text == text
    assert page.html.blockquote.text == text


def test_a_version_is_restored_and_compared(place, ada, run, oven, form_of):
    first = place.write(run, {"summary": [TRUE]}, {"S1": oven})
    place.write(run, {"summary": [FALSE]}, {"S1": oven})
    path = f"/documents/{first.document_id}"
    page = ada.get(f"{path}/versions/1")
    answer = form_of(page, "restore").submit(status=303)
    restored = answer.follow()
    assert "restored by ada" in restored.html.select_one("header .muted").text.lower()
    assert "from version 1" in restored.html.select_one("header .muted").text
    events = select(AuditEvent.action, AuditEvent.details).where(
        AuditEvent.target == f"document:{first.document_id}"
    )
    with place.sessions() as session:
        assert session.execute(events).all() == [("document-restore", {"version": 3})]
    changes = restored.click(href="from=2")
    kinds = [kind.text for kind in changes.html.select(".change-kind")]
    assert kinds == ["Added in Summary", "Removed in Summary"]
    assert changes.html.select_one("ins").text == TRUE["text"]
    assert changes.html.select_one("del").text == FALSE["text"]
    for query in ("", "?from=1", "?from=1&to=9", "?from=x&to=1"):
        ada.get(f"{path}/comparison{query}", status=404)


def test_edited_statements_show_their_author(place, ada, run, oven):
    version = place.write(run, {"summary": [TRUE]}, {"S1": oven})
    content = {**version.content, "decisions": [{"text": "We sell it.", "evidence": []}]}
    with place.sessions.begin() as session:
        edit_document(session, version.document_id, content, base=1, author_id=ada.user_id)
    page = ada.get(f"/documents/{version.document_id}")
    assert page.html.select_one(".own-mark").text.startswith("Own words of ")
    assert "1 was written by people" in page.html.select_one(".support").text
    assert "Own words of " in ada.get(f"/documents/{version.document_id}.md").text
    assert ada.get(f"/documents/{version.document_id}.json").json["authors"]
    file = docx.Document(BytesIO(page.click("DOCX").body))
    texts = [one.text for one in file.paragraphs]
    at = texts.index("We sell it.")
    assert texts[at + 1].startswith("Own words of ")
    origin = {row.cells[0].text: row.cells[1].text for row in file.tables[0].rows}
    assert origin["Made"].startswith("edited by ")
    assert "Run" not in origin


def test_a_document_is_downloaded_as_docx_and_pdf(place, ada, run, oven):
    said = item("The oven \x01 runs at 180 °C.", "The oven runs at 180 °C")
    version = place.write(run, {"summary": [said, FALSE]}, {"S1": oven})
    page = ada.get(f"/documents/{version.document_id}")
    links = [link.text for link in page.html.select(".downloads a")]
    assert links == ["DOCX", "PDF", "Markdown", "JSON"]
    file = docx.Document(BytesIO(page.click("DOCX").body))
    texts = [one.text for one in file.paragraphs]
    assert "The oven \ufffd runs at 180 °C." in texts
    assert any(text.startswith("Unsupported. ") for text in texts)
    assert page.click("PDF").body.startswith(b"%PDF")
    origin = {row.cells[0].text: row.cells[1].text for row in file.tables[0].rows}
    assert origin["Version"] == f"1, SHA-256 {version.sha256}"
    assert origin["Model"] == "anthropic/claude-sonnet-4-5"
    assert origin["Source"].startswith("oven.md, revision 1, SHA-256 ")
    assert "statements" in origin["Support"]


def test_a_stale_document_shows_the_reason_and_is_acknowledged(
    place, ada, run, oven, slug, form_of
):
    version = place.write(run, {"summary": [TRUE]}, {"S1": oven})
    path = f"/documents/{version.document_id}"
    assert not ada.get(path).html.select(".stale")
    with place.sessions.begin() as session:
        locked = lock_source(session, run.project_id, oven.id)
        add_text_revision(session, locked, "# Oven 3\n\nIt is cold.", ada.user_id)
    page = ada.get(path)
    said = page.html.select_one(".stale")
    assert "The source oven.md has revision 2. This was written from revision 1." in said.text
    assert ada.get(said.a["href"]).html.h1.text == "Changes of oven.md"
    assert ada.get(f"/projects/{slug}").html.select_one("#documents .state").text == "Out of date"
    again = form_of(page, "run")
    assert again["source"].value == str(oven.id)
    form = form_of(page, "acknowledge")
    refused = form.submit(status=400)
    assert refused.html.select_one(".stale .field-error").text.startswith("The note is empty")
    form["note"] = "It will be hot again."
    shown = form.submit(status=303).follow().html.select_one(".stale").text
    assert "It will be hot again." in shown
    assert not ada.get(f"/projects/{slug}").html.select("#documents .state")
