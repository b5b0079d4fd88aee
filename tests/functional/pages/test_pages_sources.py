"""Tests adding sources with forms, and reading a source line by line."""

import copy
import statistics
import time

import pytest
import webtest
from pyramid_retry import mark_error_retryable
from sqlalchemy.orm import undefer

from combine_core import submissions
from combine_core.documents import DocumentVersion, citations
from combine_core.pages.sources import LINES_ON_PAGE
from combine_core.sources import MAX_SOURCE_BYTES


def names(page):
    return [link.text for link in page.html.select("#sources .rows a")]


def paste(page, form_of, name, text):
    form = form_of(page, "paste")
    form["name"] = name
    form["text"] = text
    return form


def test_a_text_is_pasted(ada, slug, form_of):
    page = ada.get(f"/projects/{slug}")
    answer = paste(page, form_of, "Minutes", "First\r\nSecond <b>\r\n").submit(status=303)
    assert answer.location == f"http://localhost:8000/projects/{slug}#sources"
    page = answer.follow()
    assert names(page) == ["Minutes"]
    source = page.click("Minutes")
    assert [code.text for code in source.html.select(".source-lines code")] == [
        "First",
        "Second <b>",
    ]
    assert "2\xa0lines" in source


@pytest.mark.parametrize(
    ("name", "text", "field", "why"),
    [
        ("", "text", "name", "The name is empty."),
        ("notes", " \n ", "text", "The text is empty."),
        ("notes", "a\x00b", "text", "The text contains a NUL byte"),
    ],
)
def test_an_error_is_shown_at_its_field(ada, slug, form_of, name, text, field, why):
    page = paste(ada.get(f"/projects/{slug}"), form_of, name, text).submit(status=400)
    assert why in page.html.find(id=f"paste-{field}-error").text
    assert page.html.find(id=f"paste-{field}")["aria-describedby"] == f"paste-{field}-error"
    # The input is kept, and the form is open.
    assert page.html.find(id="paste-name")["value"] == name
    assert page.html.find(id="paste-text").find_parent("details").has_attr("open")
    assert names(page) == []


def test_the_input_is_kept_unchanged(ada, slug, form_of):
    text = "\n  <script>alert(1)</script>\n</textarea>\n"
    page = paste(ada.get(f"/projects/{slug}"), form_of, "x" * 201, text).submit(status=400)
    assert form_of(page, "paste")["text"].value.replace("\r\n", "\n") == text
    assert "<script>alert" not in page


def test_a_text_above_the_limit_is_rejected(ada, slug, form_of):
    text = "x" * (MAX_SOURCE_BYTES + 1)
    page = paste(ada.get(f"/projects/{slug}"), form_of, "big", text).submit(status=413)
    assert f"The text has {len(text)} bytes" in page.html.find(id="paste-text-error").text


def upload(client, page, form_of, *files):
    form = form_of(page, "upload")
    fields = form.submit_fields()
    return client.post(
        form.action,
        [pair for pair in fields if pair[0] != "file"],
        upload_files=[("file", name, data) for name, data in files],
        expect_errors=True,
    )


def test_a_file_is_uploaded(ada, slug, form_of):
    page = ada.get(f"/projects/{slug}")
    files = [("C:\\notes\\a.md", "\ufeff# Ä\n".encode()), ("dir/b.txt", b"two\nlines")]
    answer = upload(ada.client, page, form_of, *files)
    assert answer.status_int == 303
    assert names(answer.follow()) == ["b.txt", "a.md"]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.exe", b"MZ", "a.exe: cannot be read. Save it as one of these: txt, md,"),
        ("a.md", b"", "a.md: The text is empty."),
        ("a.md", bytes(range(256)) * 9, "a.md: The file is in no encoding"),
        ("a.md", b"a\x00b", "a.md: The text contains a NUL byte"),
        ("x" * 200 + ".md", b"text", "The name has 203 characters"),
    ],
)
def test_an_unusable_file_stores_nothing(ada, slug, form_of, name, data, why):
    page = ada.get(f"/projects/{slug}")
    answer = upload(ada.client, page, form_of, ("good.md", b"good"), (name, data))
    assert answer.status_int == 400
    assert why in answer.html.find(id="upload-file-error").text
    assert "upload-file-error" in answer.html.find(id="upload-file")["aria-describedby"]
    assert names(answer) == []


def test_a_file_above_the_limit_is_rejected(ada, slug, form_of):
    page = ada.get(f"/projects/{slug}")
    answer = upload(ada.client, page, form_of, ("big.md", b"x" * (MAX_SOURCE_BYTES + 1)))
    assert answer.status_int == 413


def test_a_retried_request_reads_its_files_again(ada, slug, form_of, monkeypatch):
    attempts = []
    add_file = submissions.add_file

    def conflict_once(*args):
        attempts.append(args)
        if len(attempts) == 1:
            conflict = RuntimeError("could not serialize access")
            mark_error_retryable(conflict)
            raise conflict
        return add_file(*args)

    monkeypatch.setattr(submissions, "add_file", conflict_once)
    page = ada.get(f"/projects/{slug}")
    # The file is large enough to be stored in a temporary file.
    text = "A line of some length.\n" * 500
    answer = upload(ada.client, page, form_of, ("notes.md", text.encode()))
    assert answer.status_int == 303
    assert len(attempts) == 2
    source = answer.follow().click("notes.md")
    assert len(source.html.select(".source-lines li")) == 500


def test_a_missing_file_is_rejected(ada, slug, form_of):
    page = form_of(ada.get(f"/projects/{slug}"), "upload").submit(status=400)
    assert "Choose a file." in page.html.find(id="upload-file-error").text


def test_fields_of_the_wrong_kind_are_rejected(ada, slug, form_of):
    page = ada.get(f"/projects/{slug}")
    fields = [pair for pair in form_of(page, "paste").submit_fields() if pair[0] != "text"]
    answer = ada.client.post(
        page.request.path,
        fields,
        upload_files=[("text", "a.md", b"a file in the place of a text")],
        status=400,
    )
    assert "The name is empty." in answer
    fields = [pair for pair in form_of(page, "upload").submit_fields() if pair[0] != "file"]
    answer = ada.client.post(page.request.path, [*fields, ("file", "just text")], status=400)
    assert "Choose a file." in answer


def test_a_form_sent_twice_adds_one_source(ada, slug, form_of):
    form = paste(ada.get(f"/projects/{slug}"), form_of, "Minutes", "First\nSecond")
    form.submit(status=303)
    assert names(form.submit(status=303).follow()) == ["Minutes"]
    form["text"] = "Another text of the same name"
    form["same_name"] = "another"
    assert names(form.submit(status=303).follow()) == ["Minutes", "Minutes"]


def test_a_corrected_text_is_a_revision(ada, slug, form_of):
    paste(ada.get(f"/projects/{slug}"), form_of, "Minutes", "First\nSecond").submit(status=303)
    corrected = paste(ada.get(f"/projects/{slug}"), form_of, "Minutes", "First\n2nd\nThird")
    project = corrected.submit(status=303).follow()
    assert names(project) == ["Minutes"]
    assert "revision 2" in project.html.find(id="sources").text
    source = project.click("Minutes")
    assert "Revision 2 · 3 lines" in " ".join(source.html.main.text.split())
    changes = source.click("changes")
    assert "2 lines added, 1 line removed" in " ".join(changes.html.main.text.split())
    removed = [row.code.text for row in changes.html.select(".change-removed")]
    added = [row.code.text for row in changes.html.select(".change-added")]
    assert (removed, added) == (["Second"], ["2nd", "Third"])
    earlier = changes.click("revision 1")
    assert [line.code.text for line in earlier.html.select(".source-lines li")] == [
        "First",
        "Second",
    ]
    assert "This is an earlier revision" in earlier


def test_the_form_asks_which_of_two_sources_is_revised(ada, slug, form_of):
    for text in ("one", "two"):
        form = paste(ada.get(f"/projects/{slug}"), form_of, "Minutes", text)
        form["same_name"] = "another"
        form.submit(status=303)
    page = ada.get(f"/projects/{slug}")
    again = paste(page, form_of, "Minutes", "three").submit(status=409)
    assert "The name is that of several sources" in again.html.find(id="paste-name-error").text
    answer = upload(ada.client, page, form_of, ("Minutes", b"x"))
    assert answer.status_int == 400


def test_a_file_is_read_by_a_worker(ada, slug, form_of, run_jobs):
    page = ada.get(f"/projects/{slug}")
    html = b"<main><h1>Port</h1><p>The harbour opens on 1 May.</p></main>"
    files = ("port.html", html), ("broken.pdf", b"%PDF-1.7")
    project = upload(ada.client, page, form_of, *files).follow()
    assert project.html.find(id="sources").text.count("Being read") == 2
    source = project.click("port.html")
    assert source.headers["Refresh"]
    assert "A worker is reading the file." in source
    run_jobs()
    source = ada.get(source.request.path)
    assert "Refresh" not in source.headers
    assert "The harbour opens on 1 May." in source
    broken = ada.get(f"/projects/{slug}").click("broken.pdf")
    assert "The file is no PDF that can be read." in " ".join(broken.html.main.text.split())
    form = broken.forms[1]
    form["file"] = webtest.Upload("fixed.md", b"Fixed.")
    assert "Fixed." in form.submit(status=303).follow()


def test_an_invalid_revision_is_rejected(ada, place, slug):
    source = place.source(slug, ada)
    page = ada.get(f"/projects/{slug}/sources/{source.id}")
    form = page.forms[1]
    assert "The text is empty." in form.submit(status=400).html.find(id="revision-text-error").text
    form["file"] = webtest.Upload("a.exe", b"MZ")
    refused = form.submit(status=400)
    assert "The file cannot be read." in refused.html.find(id="revision-file-error").text


def test_lines_have_anchors_and_the_cited_ones_are_marked(place, ada, slug):
    source = place.source(slug, ada)
    page = ada.get(f"/projects/{slug}/sources/{source.id}?lines=3-4")
    lines = page.html.select(".source-lines li")
    assert [line["id"] for line in lines] == [f"L{number}" for number in range(1, 7)]
    assert [line["id"] for line in lines if "cited" in line.get("class", ())] == ["L3", "L4"]
    assert lines[2].code.text == "The oven runs at 180 °C from Monday."
    assert lines[2].a["href"] == "#L3"


@pytest.mark.parametrize("query", ["lines=0", "lines=9-2", "lines=x", "lines=7-9", "from=99999999"])
def test_invalid_ranges_show_the_source(place, ada, slug, query):
    source = place.source(slug, ada)
    page = ada.get(f"/projects/{slug}/sources/{source.id}?{query}")
    assert len(page.html.select(".source-lines li")) == 6


def test_a_long_source_comes_in_pages(place, ada, slug):
    count = 2 * LINES_ON_PAGE + 1
    source = place.source(slug, ada, "\n".join(f"line {n}" for n in range(1, count + 1)))
    first = ada.get(f"/projects/{slug}/sources/{source.id}")
    assert len(first.html.select(".source-lines li")) == LINES_ON_PAGE
    last = first.click("Later lines", index=0).click("Later lines", index=0)
    assert [line["id"] for line in last.html.select(".source-lines li")] == [f"L{count}"]
    assert "Later lines" not in last
    before = last.click("Earlier lines", index=0)
    assert before.html.select_one(".source-lines li")["id"] == f"L{LINES_ON_PAGE + 1}"

    cited = ada.get(f"/projects/{slug}/sources/{source.id}?lines={LINES_ON_PAGE + 5}")
    assert cited.html.select_one(".cited")["id"] == f"L{LINES_ON_PAGE + 5}"


@pytest.mark.parametrize("shape", ["\n", "word ", "x\n"])
def test_the_cost_of_a_large_source_is_bounded(place, ada, slug, shape):
    def seconds(size):
        text = "begin" + shape * (size // len(shape)) + "end"
        source = place.source(slug, ada, text)
        path = f"/projects/{slug}/sources/{source.id}"
        times = []
        for _ in range(3):
            started = time.perf_counter()
            answer = ada.get(path)
            times.append(time.perf_counter() - started)
        # This allows for the text itself and the markup of one page of lines.
        assert len(answer.body) < len(text) + 500_000
        return statistics.median(times)

    # The text is 16 times as long. A page with quadratic cost would take about 256 times as long.
    assert seconds(MAX_SOURCE_BYTES - 100) < 64 * seconds(MAX_SOURCE_BYTES // 16) + 0.5


def test_the_list_links_to_older_sources(place, ada, slug):
    for number in range(21):
        place.source(slug, ada, name=f"{number}.md")
    page = ada.get(f"/projects/{slug}")
    assert names(page)[0] == "20.md"
    assert len(names(page)) == 20
    assert names(page.click("Older")) == ["0.md"]


def statement(quote, first, last, text=None, label="S1"):
    evidence = [{"source": label, "line_from": first, "line_to": last, "quote": quote}]
    return {"text": text or quote, "evidence": evidence}


def cite(place, ada, slug, source, *statements):
    """Write a version of a document that quotes the source."""
    run = place.run(slug, ada, source)
    return place.write(run, {"summary": list(statements)}, {"S1": source})


def marked(page):
    """Return the marked words by the id of their line."""
    return [(mark.find_parent("li")["id"], mark.text) for mark in page.html.select("mark")]


def test_a_link_from_a_statement_marks_the_quoted_words(place, ada, slug):
    text = "# Log\n" + "word " * 4000 + "The pump failed at noon. " + "word " * 4000 + "\nEnd.\n"
    source = place.source(slug, ada, text)
    version = cite(place, ada, slug, source, statement("The pump failed at noon.", 2, 2))
    document = ada.get(f"/documents/{version.document_id}")
    page = document.click(href="/sources/.*lines=2-2")
    assert marked(page) == [("L2", "The pump failed at noon.")]
    assert page.html.mark["id"] == "quote"
    assert document.html.select_one("details.evidence a")["href"].endswith("#quote")
    assert page.html.select_one("#L2 code").text == text.split("\n")[1]
    # The page links back to the statement.
    note = page.html.select_one("aside.followed")
    assert note.a.text == "The pump failed at noon."
    assert "The words that this statement quotes are marked." in note.text
    assert note.a["href"].endswith(f"{version.document_id}/versions/1#/summary/0")
    assert document.html.find(id="/summary/0")


def test_the_page_links_to_other_quotes_of_the_statement(place, ada, slug):
    source = place.source(slug, ada, "The pump failed at noon.\n\nIt failed again at night.\n")
    both = statement("The pump failed at noon.", 1, 1)
    both["evidence"] += statement("It failed again at night.", 3, 3)["evidence"]
    version = cite(place, ada, slug, source, both)
    page = ada.get(f"/documents/{version.document_id}").click(href="/sources/.*lines=1-1")
    assert page.html.select_one(".followed-quotes [aria-current]").text == "line 1"
    other = page.click(href="/sources/.*lines=3-3", index=0)
    assert marked(other) == [("L3", "It failed again at night.")]
    assert other.html.select_one(".followed-quotes [aria-current]").text == "line 3"


def test_words_are_marked_across_lines(place, ada, slug):
    source = place.source(
        slug, ada, "# Oven\n\nAn oven. The seal <b>\nis worn, and\nold. New text.\n"
    )
    quote = "The seal <b>\nis worn, and\nold."
    version = cite(place, ada, slug, source, statement(quote, 3, 5, "The seal is worn and old."))
    page = ada.get(f"/documents/{version.document_id}").click(href="lines=3-5")
    assert marked(page) == [("L3", "The seal <b>"), ("L4", "is worn, and"), ("L5", "old.")]
    assert [code.text for code in page.html.select(".source-lines > li > code")] == (
        source.text.split("\n")[:-1]
    )


def test_lines_are_marked_if_the_words_are_not_found(place, ada, slug):
    """A quote of an early version may have other white space than the source."""
    source = place.source(slug, ada)
    version = cite(place, ada, slug, source, statement("The oven runs at 180 °C", 3, 3))
    with place.sessions.begin() as session:
        stored = session.get_one(
            DocumentVersion, version.id, options=[undefer(DocumentVersion.content)]
        )
        content = copy.deepcopy(stored.content)
        content["summary"][0]["evidence"][0]["quote"] = "The oven  runs"
        stored.content = content
    page = ada.get(f"/documents/{version.document_id}").click(href="lines=3-3")
    assert not page.html.select("mark")
    assert page.html.select_one("#quote").find_parent("li")["id"] == "L3"
    assert "The lines that this statement quotes are marked" in page.html.select_one(".note").text
    path = f"/projects/{slug}/sources/{source.id}?lines=3-3"
    for query in ("version=x", f"version={source.id}", f"version={version.id}&statement=/no/9"):
        page = ada.get(f"{path}&{query}")
        assert page.html.select_one(".cited")["id"] == "L3"
        assert not page.html.select(".note")


def test_lines_link_to_the_statements_that_quote_them(place, ada, slug):
    source = place.source(slug, ada)
    path = f"/projects/{slug}/sources/{source.id}"
    assert "No document of the project quotes this source yet." in ada.get(path)
    false = statement("The oven runs at 180 °C from Monday.", 3, 3, "The oven runs at 190 °C.")
    old = cite(place, ada, slug, source, statement("Who pays for the new seal?", 5, 5))
    version = cite(
        place,
        ada,
        slug,
        source,
        statement("We decided to replace the door seal by Friday.\nWho pays", 4, 5, "Door seal"),
        statement("We decided to replace the door seal by Friday.", 4, 4),
        false,
    )
    assert old.document_id == version.document_id
    page = ada.get(path)
    # Only the newest version counts, and an unsupported statement has no evidence.
    states = [line.get("class") for line in page.html.select(".source-lines > li")]
    assert states == [["bare"], None, ["bare"], ["carries"], ["carries"], ["bare"]]
    counted = page.html.select_one(".coverage p").text
    assert counted == "Statements rest on 2 of 5\xa0lines with text. 3\xa0lines have no statement."
    labels = [link["aria-label"] for link in page.html.select(".line-number")]
    assert labels[2:4] == ["Line 3, no statement rests on it", "Line 4"]
    assert "unsupported" in page.html.select_one("#L3 .citing").text
    [citing] = page.html.select("#L4 .citing")
    assert citing.summary.text == "2\xa0statements quoting line 4"
    link = citing.select("a")[0]
    assert "Brief: oven.md, version 2" in citing.text
    document = ada.get(link["href"])
    anchor = document.html.find(id=link["href"].split("#")[1])
    assert anchor.select_one(".statement-text").text == link.text


def test_statements_of_other_projects_are_not_shown(place, ada, slug):
    source = place.source(slug, ada)
    version = cite(place, ada, slug, source, statement("The oven runs at 180 °C", 3, 3))
    other = place.project(ada, "Pumps")
    own = place.source(other, ada)
    query = f"lines=3-3&version={version.id}&statement=/summary/0"
    page = ada.get(f"/projects/{other}/sources/{own.id}?{query}")
    assert "Brief" not in page
    assert "No document of the project quotes this source yet." in page


def test_the_number_of_documents_read_is_limited(place, ada, slug, monkeypatch):
    monkeypatch.setattr(citations, "MAX_CITING_DOCUMENTS", 1)
    source = place.source(slug, ada)
    cite(place, ada, slug, source, statement("The oven runs at 180 °C", 3, 3))
    run = place.run(slug, ada, source, more := place.source(slug, ada, name="more.md"))
    newest = statement("Who pays for the new seal?", 5, 5, "Who pays?")
    place.write(run, {"summary": [newest]}, {"S1": source, "S2": more})
    page = ada.get(f"/projects/{slug}/sources/{source.id}")
    assert [each.find_parent("li")["id"] for each in page.html.select(".citing")] == ["L5"]
    assert "most recent documents are counted" in page.html.select_one(".coverage").text
