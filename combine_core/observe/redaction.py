"""Exports the log redactor of :mod:`combine_core.settings.redaction` under its public name."""

from combine_core.settings.redaction import LogRedactor

__all__ = ["LogRedactor"]
