"""Tests each reader with files written by other libraries, and with garbage."""

from __future__ import annotations

import io
import json
from datetime import date, datetime, time
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from combine_core.readers import (
    BlockKind,
    Unreadable,
    UnsupportedFile,
    blocks_as_json,
    blocks_from_json,
    read_blocks,
    read_file,
    suffixes,
)
from tests.unit.readers.shown import read, shown


def test_docx_becomes_blocks() -> None:
    import docx

    document = docx.Document()
    document.add_heading("Board", 1)
    document.add_heading("Decisions", 2)
    document.add_paragraph("Option B for storage", style="List Bullet")
    document.add_paragraph("The roof leaks.")
    table = document.add_table(rows=2, cols=2)
    for row, words in enumerate((("Item", "Price"), ("Door", "900"))):
        for column, word in enumerate(words):
            table.cell(row, column).text = word
    out = io.BytesIO()
    document.save(out)
    reading = read("docx", out.getvalue())
    assert shown(reading) == [
        ("heading", "# Board"),
        ("heading", "## Decisions"),
        ("list_item", "Option B for storage"),
        ("paragraph", "The roof leaks."),
        ("heading", "Item | Price"),
        ("table_row", "Door | 900"),
    ]
    assert reading.blocks is not None
    assert reading.blocks[2].headings == ("Board", "Decisions")
    assert reading.blocks[-1].columns == ("Item", "Price")


def test_xlsx_becomes_blocks() -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Prices"
    sheet.append(["Item", "Price"])
    sheet.append(["Door", 900])
    out = io.BytesIO()
    book.save(out)
    assert shown(read("xlsx", out.getvalue())) == [
        ("heading", "# Prices"),
        ("heading", "Item | Price"),
        ("table_row", "Door | 900"),
    ]


def test_xlsx_values_are_formatted_like_in_a_spreadsheet() -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Item", "Share", "Day", "Sum", "Start"])
    sheet.append(["Door", 0.195, date(2026, 5, 3), 0.1 + 0.2, time(9, 30)])
    sheet.append(["Roof", 0.5, datetime.fromisoformat("2026-05-03 14:30"), "=D2*2", None])
    sheet["B2"].number_format = "0.0%"
    sheet["B3"].number_format = "0%"
    out = io.BytesIO()
    book.save(out)
    reading = read("xlsx", out.getvalue())
    assert [words for _, words in shown(reading)][2:] == [
        "Door | 19.5% | 2026-05-03 | 0.3 | 09:30",
        "Roof | 50% | 2026-05-03 14:30",
    ]
    [note] = reading.notes
    assert note.startswith("The results of 1 formulas are not in the file")


def test_csv_with_semicolons_in_windows_1252() -> None:
    reading = read("csv", "Nr;Maßnahme\n1;Tür ölen\n2;Größe prüfen\n".encode("cp1252"))
    assert shown(reading)[1:] == [("table_row", "1 | Tür ölen"), ("table_row", "2 | Größe prüfen")]
    assert reading.notes == ("It was converted from Windows-1252.",)


def test_a_speaker_in_captions_may_have_something_in_brackets() -> None:
    captions = "WEBVTT\n\n00:01.000 --> 00:04.000\nMarius Van Der Berg (Blue): Happy to lead.\n"
    reading = read("vtt", captions.encode())
    assert reading.blocks is not None
    assert reading.blocks[0].speaker == "Marius Van Der Berg (Blue)"


def test_captions_of_one_speaker_belong_together() -> None:
    captions = (
        "WEBVTT\n\n1\n00:00:01.000 --> 00:00:04.000\nAnna: We will move the launch to\n\n"
        "2\n00:00:04.000 --> 00:00:07.000\nAnna: 9 September, not July.\n\n"
        "3\n00:00:07.000 --> 00:00:09.000\n<v Ben>Good.</v>\n"
    )
    reading = read("vtt", captions.encode())
    assert shown(reading) == [
        ("cue", "We will move the launch to 9 September, not July."),
        ("cue", "Good."),
    ]
    assert reading.blocks is not None
    assert [(b.speaker, b.time) for b in reading.blocks] == [
        ("Anna", "00:00:01.000"),
        ("Ben", "00:00:07.000"),
    ]
    srt = "1\n00:00:01,000 --> 00:00:04,000\nHello there.\n"
    assert shown(read("srt", srt.encode())) == [("cue", "Hello there.")]


def test_html_navigation_is_dropped() -> None:
    page = (
        "<html><head><title>x</title></head><body><nav><a href='/'>Home</a></nav><main><h1>Port</h1>"
        "<p>The harbour <b>opens</b> on 1 May.</p><ul><li>Tell Ann</li></ul>"
        "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Door</td><td>900</td></tr></table>"
        "<p><a href='/x'>More</a></p></main><footer>Imprint</footer><script>evil()</script></body></html>"
    )
    reading = read("html", page.encode())
    assert shown(reading) == [
        ("heading", "# Port"),
        ("paragraph", "The harbour opens on 1 May."),
        ("list_item", "Tell Ann"),
        ("heading", "Item | Price"),
        ("table_row", "Door | 900"),
        ("links", "More"),
    ]


def test_html_in_its_encoding_with_words_apart() -> None:
    page = (
        "<body><p>Größe 5 €</p><ul><li>Total<div>12</div></li></ul>"
        "<div>The fee is <b>900</b> EUR.<ul><li>Ann</li></ul></div></body>"
    )
    for data in (page.encode(), b"<meta charset=cp1252>" + page.encode("cp1252")):
        assert shown(read("html", data)) == [
            ("paragraph", "Größe 5 €"),
            ("list_item", "Total 12"),
            ("paragraph", "The fee is 900 EUR."),
            ("list_item", "Ann"),
        ]


def test_docx_with_insertions_deletions_and_content_controls() -> None:
    import docx
    from docx.oxml import parse_xml

    document = docx.Document()
    w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    body = document.element.body
    body.insert(
        0,
        parse_xml(
            f"<w:p {w}><w:r><w:t xml:space='preserve'>The fee is </w:t></w:r>"
            "<w:ins><w:r><w:t>not 900</w:t></w:r></w:ins><w:del><w:r><w:delText>8</w:delText></w:r></w:del>"
            "<w:r><w:t xml:space='preserve'> EUR.</w:t></w:r></w:p>"
        ),
    )
    body.insert(
        1,
        parse_xml(
            f"<w:sdt {w}><w:sdtContent><w:p><w:r><w:t>Approved.</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        ),
    )
    out = io.BytesIO()
    document.save(out)
    assert shown(read("docx", out.getvalue())) == [
        ("paragraph", "The fee is not 900 EUR."),
        ("paragraph", "Approved."),
    ]


def test_a_table_without_a_head_and_an_apostrophe() -> None:
    reading = read("csv", b"Fee,900 EUR\n'tis fine,12\nAnn,3\n")
    assert [words for _, words in shown(reading)] == ["Fee | 900 EUR", "'tis fine | 12", "Ann | 3"]


@pytest.mark.parametrize(
    ("rows", "head"),
    [
        ("Item,2025,2026\nDoor,5,6\n", True),
        ("Item,Q1,Q2\nDoor,5,6\n", True),
        ("Fee,900 EUR\nRent,1200 EUR\n", False),
        ("Door 1,open\nDoor 2,shut\n", False),
        ("2026-05-03,Meeting\n2026-05-04,Visit\n", False),
        ("Name:,Anna\nTown:,Bern\n", False),
        ("anna@example.org,Chair\nben@example.org,Clerk\n", False),
        ("A1,A pump,See https://example.org/pump\nA2,A valve,\n", False),
    ],
)
def test_the_header_row_names_the_columns(rows: str, head: bool) -> None:
    blocks = read("csv", rows.encode()).blocks or []
    assert (blocks[0].kind is BlockKind.HEADING) is head
    assert bool(blocks[-1].columns) is head


def test_lists_of_links_are_dropped() -> None:
    page = "<ul><li><a href=a>One</a> | <a href=b>Two</a></li><li>See <a href=c>three</a></li></ul>"
    assert shown(read("html", page.encode())) == [
        ("links", "One | Two"),
        ("list_item", "See three"),
    ]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "El comité aprobó el presupuesto. Mañana se reunirá la comisión de nuevo."),
        ("cp1252", "Styrelsen beslutade att köpa en ny båt på måndag."),
        ("cp1250", "Rada schválila rozpočet. Střecha bude opravena příští týden, řekl předseda."),
        (
            "cp1254",
            "Bütçe geçen ay görüşüldü ve değişti, İstanbul'dan ödenecek.",
        ),
        (
            "cp1257",
            "Valdyba patvirtino biudžetą. Stogas bus suremontuotas pavasarį, taip nuspręsta.",
        ),
        ("iso8859_2", "Zarząd zatwierdził budżet na rok. Członkowie głosowali jednogłośnie."),
        ("cp1251", "Совет утвердил бюджет на год. Крыша будет отремонтирована весной."),
    ],
)
def test_single_byte_encodings_are_detected(encoding: str, text: str) -> None:
    reading = read_file("x.txt", text.encode(encoding))
    assert reading.text == text
    name = (
        encoding.replace("cp", "Windows-").replace("_", "-").upper().replace("WINDOWS", "Windows")
    )
    assert reading.notes == (f"It was converted from {name}.",)


def test_polish_in_its_own_encoding() -> None:
    text = "Zarząd zatwierdził budżet na rok. Członkowie głosowali jednogłośnie za wnioskiem.\n" * 5
    assert read_file("x.txt", text.encode("cp1250")).text == text


def test_words_before_a_colon_are_not_a_speaker() -> None:
    captions = "WEBVTT\n\n00:01.000 --> 00:02.000\nWe agreed on two things: the roof leaks.\n"
    reading = read("vtt", captions.encode())
    assert shown(reading) == [("cue", "We agreed on two things: the roof leaks.")]


def test_mail_becomes_blocks() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "Ann <ann@example.com>",
        "ben@x.org",
        "Roof",
    )
    message.set_content("The roof leaks.\n\nNo.\n> Is it dry?\n")
    reading = read("eml", bytes(message))
    assert shown(reading)[-3:] == [
        ("paragraph", "The roof leaks."),
        ("paragraph", "No."),
        ("quotation", "> Is it dry?"),
    ]
    assert reading.blocks is not None
    assert [block.speaker for block in reading.blocks[-2:]] == ["Ann", ""]
    assert reading.blocks[-2].headings == ("Roof",)


@pytest.mark.parametrize(
    "announcement",
    [
        "-----Original Message-----\nFrom: Ben <ben@x.org>\nSubject: Roof",
        "--- On Wed, 4/4/12, ben@x.org <ben@x.org> wrote:",
        "________________________________\nVon: Ben\nGesendet: Montag",
        "From: Ben\nSent: Monday",
        "Begin forwarded message:",
    ],
)
def test_below_an_announcement_a_mail_quotes(announcement: str) -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "Ann <ann@example.com>", "Roof"
    message.set_content(f"The roof leaks.\n\n{announcement}\n\nIs it dry?\n\nBen\n")
    found = shown(read("eml", bytes(message)))
    assert [words for kind, words in found if kind == "paragraph"] == ["The roof leaks."]
    assert found[-2:] == [("quotation", "Is it dry?"), ("quotation", "Ben")]


def test_chats_become_blocks() -> None:
    slack = [{"type": "message", "user": "U1", "text": "We go.", "ts": "1700000000.1",
              "user_profile": {"real_name": "Ann"}}]  # fmt: skip
    assert shown(read("json", json.dumps(slack).encode())) == [("message", "We go.")]
    lines = '{"user": "Ben", "text": "No."}\n{"item": "Door", "price": 900}\n'
    assert shown(read("jsonl", lines.encode())) == [("message", "No."), ("table_row", "Door | 900")]
    zoom = (
        '00:50:01\tAnna:\tReplying to "keep it ..."\n\nWhat he says is right\n'
        '00:51:09\tBen:\tReacted to "keep it ..." with a thumb\n00:51:10\tCarla:\tWe do not want that\n'
    )
    chat = read_file("chat.txt", zoom.encode())
    assert shown(chat) == [("message", "What he says is right"), ("message", "We do not want that")]
    assert chat.blocks is not None
    assert [block.speaker for block in chat.blocks] == ["Anna", "Carla"]


def test_slack_messages_are_readable() -> None:
    day = [
        {"type": "message", "subtype": "channel_join", "user": "U2", "text": "<@U2> has joined"},
        {"type": "message", "user": "U1", "text": "<@U2> to look at <https://a.example/x|the plan>",
         "user_profile": {"real_name": "Ann"}},
        {"type": "message", "user": "U2", "text": "<!here> &amp; <#C1|roof>: <https://a.example>, <@U9>",
         "user_profile": {"display_name": "Ben"}},
        {"type": "message", "user": "U1", "text": "Yes, <mailto:b@a.example|b@a.example>"},
    ]  # fmt: skip
    reading = read("json", json.dumps(day).encode())
    assert shown(reading) == [
        ("message", "@Ben to look at [the plan](https://a.example/x)"),
        ("message", "@here & #roof: https://a.example, @U9"),
        ("message", "Yes, b@a.example"),
    ]
    assert [block.speaker for block in reading.blocks or ()] == ["Ann", "Ben", "Ann"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252", "shift_jis"])
def test_encodings_are_detected(encoding: str) -> None:
    text = (
        "今天の会議は十時に始まります。予算は承認されました。" * 5
        if encoding == "shift_jis"
        else "Größe und Tür, café\n" * 5
    )
    text = text.replace("今天", "今日")
    reading = read_file("notes.md", text.encode(encoding))
    assert reading.text == text
    assert bool(reading.notes) == (encoding != "utf-8-sig")


@pytest.mark.parametrize("damage", [b"\xff", b"\xc3"])
def test_a_damaged_character_does_not_change_the_others(damage: bytes) -> None:
    text = "Größe und Tür, café\n" * 5
    reading = read_file("x.txt", text.encode() + damage + b" Ende")
    assert reading.text == f"{text}\ufffd Ende"
    assert reading.notes == ("1 characters are damaged in the file.",)


def test_japanese_with_escape_sequences_is_recognised() -> None:
    reading = read_file("x.txt", "今日の会議".encode("iso2022_jp"))
    assert reading.text == "今日の会議"


def test_garbage_with_a_text_extension_is_rejected() -> None:
    with pytest.raises(Unreadable, match="UTF-8"):
        read_file("x.txt", bytes(range(256)) * 40)


def test_the_error_for_an_unknown_extension_lists_the_known_ones() -> None:
    with pytest.raises(UnsupportedFile, match="pdf"):
        read_file("x.exe", b"MZ")
    assert {".pdf", ".docx", ".txt", ".vtt"} <= set(suffixes())


def test_a_file_is_read_in_a_subprocess() -> None:
    reading = read_file("Prices.CSV", b"Item,Price\nDoor,900\n")
    assert shown(reading)[-1] == ("table_row", "Door | 900")
    with pytest.raises(Unreadable, match="no PDF"):
        read_file("x.pdf", b"no pdf")


@pytest.mark.slow
def test_a_zip_bomb_and_an_endless_table_are_rejected() -> None:
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", b"\0" * (400 * 1024 * 1024))
    with pytest.raises(Unreadable):
        read_file("bomb.docx", out.getvalue())
    with pytest.raises(Unreadable, match="Split it"):
        read_file("x.csv", b"a,b\n" + b"word word,word\n" * 400_000)


def test_a_slow_reader_is_killed() -> None:
    with pytest.raises(Unreadable, match="seconds to read"):
        read_file("x.csv", b"a,b\n1,2\n", seconds=0.01)


def test_blocks_survive_storage() -> None:
    reading = read(
        "jsonl", b'{"user": "Ben", "text": "No.", "ts": "1700000000"}\n{"a": 1, "b": 2}\n'
    )
    assert reading.blocks is not None
    stored = blocks_as_json(reading.blocks)
    assert blocks_from_json(stored) == reading.blocks
    rows = read("csv", b"Item,Price\nDoor,900\nRoof,800\n").blocks or []
    assert blocks_as_json(rows).count("Price") == 1
    assert blocks_from_json(blocks_as_json(rows)) == rows
    later = json.loads(stored)
    later[0]["mood"] = "good"
    assert blocks_from_json(json.dumps(later)) == reading.blocks


@settings(deadline=None)
@given(
    st.sampled_from(
        ["csv", "tsv", "html", "vtt", "srt", "eml", "json", "jsonl", "pdf", "docx", "xlsx"]
    ),
    st.binary(max_size=300) | st.text(max_size=200).map(str.encode),
)
def test_garbage_is_read_or_rejected(name: str, data: bytes) -> None:
    try:
        reading = read(name, data)
    except Unreadable:
        return
    assert reading.text.strip()
    for block in reading.blocks or ():
        assert 0 <= block.start <= block.body <= block.end <= len(reading.text)
        assert block.kind in BlockKind


def test_a_carriage_return_ends_a_line() -> None:
    lines = b'{"text":"We go.","user":"Ann"}\r{"text":"No.","user":"Ben"}\r'
    assert shown(read("jsonl", lines)) == [("message", "We go."), ("message", "No.")]
    captions = b"WEBVTT\r\r00:01.000 --> 00:02.000\rAnna: Hello there.\r"
    assert shown(read("vtt", captions)) == [("cue", "Hello there.")]
    assert read("txt", b"# Title\rOne line.\r").text == "# Title\nOne line.\n"


def test_captions_of_careless_programs() -> None:
    captions = (
        "1\n00:00:01,0 --> 00:00:02,5\nShort milliseconds.\n\n"
        "7\n00:00:05,000-->00:00:06,000\nNo spaces.\n"
    )
    assert shown(read("srt", captions.encode())) == [("cue", "Short milliseconds. No spaces.")]


def test_one_cue_may_have_two_speakers() -> None:
    captions = (
        "WEBVTT\n\nSTYLE\n::cue { color: red }\n\nNOTE a comment\n\n"
        "00:01.000 --> 00:02.000\n<v.loud Mary Ann>Hello <b>there</b>.</v>\n<v Bob>Hi!</v>\n"
    )
    reading = read("vtt", captions.encode())
    assert shown(reading) == [("cue", "Hello there."), ("cue", "Hi!")]
    assert reading.blocks is not None
    assert [block.speaker for block in reading.blocks] == ["Mary Ann", "Bob"]


def test_breaks_and_tables_in_careless_pages() -> None:
    page = (
        "<body>One<br>two<ul><li>Prices<table><tr><th>Item<th>Price<tr><td>Door<td>900</table></ul>"
    )
    assert shown(read("html", page.encode())) == [
        ("paragraph", "One two"),
        ("list_item", "Prices"),
        ("heading", "Item | Price"),
        ("table_row", "Door | 900"),
    ]


@pytest.mark.parametrize("charset", ["utf-8", "unknown-8bit"])
def test_a_mail_that_names_a_wrong_encoding(charset: str) -> None:
    head = f"From: a@x.org\nSubject: t\nContent-Type: text/plain; charset={charset}\n"
    mail = f"{head}Content-Transfer-Encoding: 8bit\n\nViele Grüße aus München\n".encode("cp1252")
    reading = read("eml", mail)
    assert shown(reading)[-1] == ("paragraph", "Viele Grüße aus München")
    assert reading.notes == ("It was converted from Windows-1252.",)


def test_slack_messages_of_bots_are_read() -> None:
    section = {
        "elements": [{"type": "text", "text": "The build "}, {"type": "text", "text": "broke."}]
    }
    messages = [
        {"username": "ci", "text": "", "attachments": [{"fallback": "Build 7 failed"}]},
        {"user": "U1", "blocks": [{"type": "rich_text", "elements": [section]}]},
        {"user": "U1", "text": ""},
    ]
    assert shown(read("json", json.dumps({"messages": messages}).encode())) == [
        ("message", "Build 7 failed"),
        ("message", "The build broke."),
    ]


def test_json_lines_with_other_names_for_the_words() -> None:
    lines = b'{"speaker": "Ann", "content": "We go."}\n{"content": "A door", "price": 900}\n'
    assert shown(read("jsonl", lines)) == [("message", "We go."), ("table_row", "A door | 900")]


def test_titles_above_a_table_are_not_column_names() -> None:
    table = b"Prices of the year\n\nName,Price\nDoor,900\nWindow,400\n"
    assert shown(read("csv", table)) == [
        ("paragraph", "Prices of the year"),
        ("heading", "Name | Price"),
        ("table_row", "Door | 900"),
        ("table_row", "Window | 400"),
    ]


def test_the_chat_of_a_newer_zoom() -> None:
    chat = (
        "14:01:02 From Anna Lee to Everyone:\n\tHello there\n14:01:05 From Ben to Everyone : Hi\n"
    )
    reading = read("txt", chat.encode())
    assert shown(reading) == [("message", "Hello there"), ("message", "Hi")]
    assert reading.blocks is not None
    assert [block.speaker for block in reading.blocks] == ["Anna Lee", "Ben"]


def test_a_log_of_irc() -> None:
    log = (
        "13:00  * tom waves\n13:02 < anna> The pump leaks.\n13:02 <@ben> Since May\n"
        "[13:03:10] *** Quits: tom\n"
    )
    reading = read("txt", log.encode())
    assert shown(reading) == [("message", "The pump leaks."), ("message", "Since May")]
    assert reading.blocks is not None
    assert [(block.speaker, block.time) for block in reading.blocks] == [
        ("anna", "13:02"),
        ("ben", "13:02"),
    ]


def test_a_log_of_irc_with_times_in_utc() -> None:
    log = "[2026-09-20T14:59:13.301Z]\t<anna>\tThe pump leaks.\n[2026-09-20T15:00:02Z] <ben> Since May\n"
    reading = read("txt", log.encode())
    assert shown(reading) == [("message", "The pump leaks."), ("message", "Since May")]


def test_a_table_of_titles_and_values_has_no_head() -> None:
    page = (
        "<body><table><tr><th>Start</th><td>May</td></tr><tr><th>End</th><td>June</td></tr></table>"
    )
    reading = read("html", page.encode())
    assert shown(reading) == [("table_row", "Start | May"), ("table_row", "End | June")]


def test_a_label_of_two_words_and_a_name_with_a_role_are_no_speakers() -> None:
    text = "- **Action point**: Anna buys oil\n- Ben Lee (chair): nobody else stands\n"
    assert {block.speaker for block in read_blocks(text)} == {""}
