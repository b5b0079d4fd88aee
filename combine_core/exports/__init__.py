"""Exports documents as Markdown, DOCX and PDF, with their evidence and provenance.

``service`` builds an outline from the database. ``process`` starts a child process, which does not import the
database, and in which ``docx`` or ``pdf`` writes the file.
"""

from combine_core.exports.process import FORMATS, NotExported, export

__all__ = ["FORMATS", "NotExported", "export"]
