"""Tests that a mail is read whole, and that its sender is named for her own words alone."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from combine_core.readers import Reading, Unreadable
from tests.unit.readers.shown import read, shown

HEAD = "From: Ann <ann@example.com>\nSubject: Roof\n"


def said(reading: Reading) -> list[tuple[str, str, str]]:
    """Kind, speaker and words of the blocks below the headers."""
    blocks = reading.blocks or []
    found = [
        (block.kind.value, block.speaker, words)
        for block, (_, words) in zip(blocks, shown(reading), strict=True)
    ]
    return [one for one in found if one[0] != "front_matter"][1:]


def mail(text: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["Subject"] = "Ann <ann@example.com>", "Roof"
    message.set_content(text)
    return message


def test_lists_and_leads_of_a_mail_are_recognised() -> None:
    reading = read("eml", f"{HEAD}\nHello.\n \nDecisions:\n- We take oak.\n- [x] Tom calls.\n")
    assert said(reading) == [
        ("paragraph", "Ann", "Hello."),
        ("heading", "", "Decisions:"),
        ("list_item", "Ann", "We take oak."),
        ("list_item", "Ann", "Tom calls."),
    ]
    assert reading.blocks is not None
    assert reading.blocks[-1].headings == ("Roof", "Decisions")
    assert reading.blocks[-1].done


def test_all_texts_are_read_and_attachments_are_named() -> None:
    inner = mail("The fee is 500.")
    inner.replace_header("From", "Ben <ben@example.com>")
    message = mail("First.")
    message.add_attachment(b"x", maintype="application", subtype="pdf", filename="plan.pdf")
    message.add_attachment(inner)
    message.attach(EmailMessage())
    message.get_payload()[-1].set_content("Last.")
    reading = read("eml", bytes(message))
    assert said(reading) == [
        ("paragraph", "Ann", "First."),
        ("quotation", "", "The fee is 500."),
        ("paragraph", "Ann", "Last."),
    ]
    assert "From: Ben <ben@example.com>" in reading.text
    assert reading.notes == ("These attachments are not read: plan.pdf. Add them as sources.",)


def test_the_form_with_words_is_read_once() -> None:
    message = mail("\n")
    message.add_alternative("<p>We take oak.</p>", subtype="html")
    assert said(read("eml", bytes(message))) == [("paragraph", "Ann", "We take oak.")]
    message = mail("Plain.")
    message.add_alternative("<p>Formatted.</p>", subtype="html")
    assert said(read("eml", bytes(message))) == [("paragraph", "Ann", "Plain.")]


def test_a_text_counts_beside_a_page_without_words() -> None:
    message = mail("Yes.")
    message.add_attachment("<img src=logo.png>", subtype="html", disposition="inline")
    assert said(read("eml", bytes(message))) == [("paragraph", "Ann", "Yes.")]


@pytest.mark.parametrize(
    "announcement",
    [
        "<div>On Mon, 3 May 2026, Ben wrote:<blockquote><p>It costs 500.</p></blockquote></div>",
        "<div><b>From:</b> Ben<br><b>Sent:</b> Monday<br><b>To:</b> Ann</div><p>It costs 500.</p>",
    ],
)
def test_an_answer_in_html_is_apart_from_what_it_quotes(announcement: str) -> None:
    page = f"{HEAD}Content-Type: text/html\n\n<p>No.</p>{announcement}"
    found = said(read("eml", page))
    assert found[0] == ("paragraph", "Ann", "No.")
    assert found[-1] == ("quotation", "", "It costs 500.")
    assert [one for one in found if one[1]] == found[:1]


def test_an_announcement_may_be_wrapped() -> None:
    text = "No.\n\nOn Mon, May 3, 2026 at 10:00 AM Ben Miller <ben@example.org>\nwrote:\n\n> It costs 500.\n"
    assert [one for one in said(read("eml", bytes(mail(text)))) if one[1]] == [
        ("paragraph", "Ann", "No.")
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            f"{HEAD}Content-Type: text/plain; charset=iso-8859-1\n\n".encode() + b"\x935 \x80\x94",
            "“5 €”",
        ),
        (f"\ufeff{HEAD}\nGröße".encode(), "Größe"),
        (f"{HEAD}\nGröße".encode("utf-16"), "Größe"),
        (f"{HEAD}Content-Type: text/markdown\n\nGröße".encode("latin-1"), "Größe"),
        (
            f"{HEAD}Content-Type: multipart/mixed; boundary=--=_a\n\n----=_a\n\nWords\n----=_a--\n".encode(),
            "Words",
        ),
    ],
)
def test_mails_of_careless_programs(data: bytes, words: str) -> None:
    assert said(read("eml", data)) == [("paragraph", "Ann", words)]


def test_headers_without_an_encoding() -> None:
    reading = read("eml", "From: Jürgen <j@x.org>\nSubject: Größe\n\nYes.\n".encode("latin-1"))
    assert shown(reading)[0] == ("heading", "# Größe")
    assert said(reading) == [("paragraph", "Jürgen", "Yes.")]


@pytest.mark.parametrize(
    "kind", ["application/pkcs7-mime; name=smime.p7m", "multipart/encrypted; boundary=b"]
)
def test_an_encrypted_mail_is_refused_as_such(kind: str) -> None:
    with pytest.raises(Unreadable, match="encrypted"):
        read("eml", f"{HEAD}Content-Type: {kind}\n\n--b\n\n--b--\n")
