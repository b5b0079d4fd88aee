"""Recognises files by their first bytes, whatever the ending of their name."""

from __future__ import annotations

from combine_core.readers.reading import Unreadable

_PDF = "a PDF"
_ZIP = "a ZIP file"
_OFFICE = "of an old Office program"
_RIGHT = {".pdf": _PDF, ".docx": "a Word document", ".xlsx": "a workbook"}
# The endings of files that are texts. What other packages read is up to them.
_TEXTS = frozenset(
    (".txt", ".md", ".markdown", ".csv", ".tsv", ".html", ".htm", ".vtt", ".srt", ".eml", ".json", ".jsonl")
)  # fmt: skip
_BEGINNINGS = {
    b"%PDF-": _PDF,
    b"PK\x03\x04": _ZIP,
    b"\xd0\xcf\x11\xe0": _OFFICE,
    b"{\\rtf": "a document in the Rich Text Format",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x1f\x8b": "a compressed file",
    b"7z\xbc\xaf": "a compressed file",
    b"Rar!\x1a": "a compressed file",
    b"OggS\0": "a recording",
    b"ID3\x03": "a recording",
    b"ID3\x04": "a recording",
    b"\x1aE\xdf\xa3": "a recording",
}
# What the names of files in a ZIP file say.
_ARCHIVES = {
    b"word/document.xml": _RIGHT[".docx"],
    b"xl/workbook": _RIGHT[".xlsx"],
    b"ppt/presentation.xml": "a presentation",
    b"opendocument": "a document of OpenDocument",
}


def check_signature(suffix: str, data: bytes) -> None:
    """Raise :class:`Unreadable` if the bytes of a file do not fit the ending of its name."""
    right = _RIGHT.get(suffix, "")
    if not right and suffix not in _TEXTS:
        return
    found = _recognise(data)
    if found == _OFFICE:
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise Unreadable("is protected by a password. Save it without one.")
        better = suffix if right else ".docx, .xlsx or .pdf"
        raise Unreadable(f"is {_OFFICE}. Save it as {better}.")
    if found and found not in (right, _ZIP if right in _ARCHIVES.values() else right):
        endings = [ending for ending, what in _RIGHT.items() if what == found]
        advice = f"Give its name the ending {endings[0]}." if endings else "Send its text."
        raise Unreadable(f"is {found}, and no {suffix} file. {advice}")


def _recognise(data: bytes) -> str:
    found = next((what for start, what in _BEGINNINGS.items() if data.startswith(start)), "")
    if data.startswith(b"\0\0\0") and data[4:8] == b"ftyp":
        return "a recording"
    if found == _ZIP:
        return next((what for name, what in _ARCHIVES.items() if name in data), found)
    return found
