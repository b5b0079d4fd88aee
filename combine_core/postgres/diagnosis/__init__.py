"""Finds out why the database cannot be used, and what to do about it.

:func:`diagnose` connects to the database and names the first step that fails: the URL, the host name, the
network, TLS or the sign-in. :func:`explain_error` only reads an exception. Both return a
:class:`Diagnosis`: a :class:`Cause` with a stable code, its meaning, the remedy in the words of the runbook,
whether trying again helps, and which team to call. :class:`Watch` is what the health check uses.
"""

from combine_core.postgres.diagnosis.causes import (
    ADVICE,
    TASKS,
    Advice,
    Cause,
    Diagnosis,
    Role,
    remedies,
    speak_of_embedded,
)
from combine_core.postgres.diagnosis.errors import cause_of, explain_error, is_database_fault
from combine_core.postgres.diagnosis.probe import diagnose
from combine_core.postgres.diagnosis.watch import Watch

__all__ = [
    "ADVICE",
    "TASKS",
    "Advice",
    "Cause",
    "Diagnosis",
    "Role",
    "Watch",
    "cause_of",
    "diagnose",
    "explain_error",
    "is_database_fault",
    "remedies",
    "speak_of_embedded",
]
