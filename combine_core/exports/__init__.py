"""Documents as files for other programs: Markdown, DOCX and PDF, with the evidence and how they were made.

``service`` gathers an outline from the database, and ``process`` lets ``docx`` or ``pdf`` write the file in a
process of its own, which imports no part of the database.
"""

from combine_core.exports.process import FORMATS, NotExported, export

__all__ = ["FORMATS", "NotExported", "export"]
