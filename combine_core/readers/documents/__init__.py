"""Reads documents: PDF with a text layer, DOCX, HTML."""

from combine_core.readers.documents.pdf import read_pdf
from combine_core.readers.documents.web_page import read_html, read_page
from combine_core.readers.documents.word import read_docx

__all__ = ["read_docx", "read_html", "read_page", "read_pdf"]
