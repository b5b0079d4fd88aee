"""Tests that a file whose name has the wrong ending is refused, with the right one."""

from __future__ import annotations

import io

import docx
import pytest

from combine_core.readers import Unreadable, read_file


def word() -> bytes:
    out = io.BytesIO()
    docx.Document().save(out)
    return out.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def test_a_text_may_begin_like_another_format() -> None:
    assert read_file("x.txt", b"ID3 tags and ftyp boxes").text == "ID3 tags and ftyp boxes"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.txt", b"%PDF-1.7\n", r"is a PDF, and no \.txt file\. Give its name the ending \.pdf\."),
        ("x.md", word(), r"is a Word document, .* ending \.docx\."),
        ("x.csv", b"%PDF-1.7\n", r"ending \.pdf"),
        ("x.xlsx", word(), r"ending \.docx"),
        ("x.pdf", word(), r"ending \.docx"),
        ("x.docx", b"%PDF-1.7\n", r"ending \.pdf"),
        ("x.docx", OLE + "EncryptedPackage".encode("utf-16-le"), "protected by a password"),
        ("x.xlsx", OLE + b"\0" * 99, r"old Office program\. Save it as \.xlsx"),
        ("x.eml", OLE + b"\0" * 99, r"old Office program\. Save it as \.docx, \.xlsx or \.pdf"),
        ("x.txt", rb"{\rtf1 Hello}", "Rich Text"),
        ("x.srt", b"\0\0\0\x18ftypmp42", "a recording"),
        ("x.html", b"\x89PNG\r\n", "a picture"),
        ("x.zip", word(), "Save it as one of these"),
        ("README", b"Hello", "Save it as one of these"),
    ],
)
def test_a_wrong_ending_is_refused_with_the_right_one(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_file(name, data)
