"""Masks secrets in log lines. The audit, which needs it too, imports it from the settings."""

from combine_core.settings.redaction import LogRedactor

__all__ = ["LogRedactor"]
