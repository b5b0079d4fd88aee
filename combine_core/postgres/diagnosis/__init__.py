"""Why the database cannot be used, and what to do about it.

:func:`diagnose` asks: it resolves the name, connects, speaks the first words of the protocol and signs in,
and names the first step that fails. :func:`explain_error` only reads an exception. Both answer with a
:class:`Diagnosis`: a :class:`Cause` with a stable code, its meaning, the remedy in the words of the runbook,
whether trying again helps, and whom to call. :class:`Watch` is what the health check looks through.
"""

from combine_core.postgres.diagnosis.causes import (
    ADVICE,
    REMEDIES,
    RESOLUTION,
    Advice,
    Cause,
    Diagnosis,
    Role,
)
from combine_core.postgres.diagnosis.probe import diagnose
from combine_core.postgres.diagnosis.texts import explain_error
from combine_core.postgres.diagnosis.watch import Watch

__all__ = [
    "ADVICE",
    "REMEDIES",
    "RESOLUTION",
    "Advice",
    "Cause",
    "Diagnosis",
    "Role",
    "Watch",
    "diagnose",
    "explain_error",
]
