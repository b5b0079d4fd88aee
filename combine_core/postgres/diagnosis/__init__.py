"""Diagnoses database faults: the cause and the remedy.

:func:`diagnose` connects to the database and finds the first step that fails: the URL, the host name, the
network, TLS or authentication. :func:`explain_error` only reads an exception. Both return a
:class:`Diagnosis`: a :class:`Cause` with a stable code, its meaning, the remedy in the words of the runbook,
whether retrying helps, and which team to call. The health check uses :class:`Watch`.
"""

from combine_core.postgres.diagnosis.causes import (
    ADVICE,
    TASKS,
    Cause,
    Diagnosis,
    remedies,
    use_embedded_advice,
)
from combine_core.postgres.diagnosis.errors import cause_of, explain_error, is_database_fault
from combine_core.postgres.diagnosis.probe import diagnose
from combine_core.postgres.diagnosis.watch import Watch

__all__ = [
    "ADVICE",
    "TASKS",
    "Cause",
    "Diagnosis",
    "Watch",
    "cause_of",
    "diagnose",
    "explain_error",
    "is_database_fault",
    "remedies",
    "use_embedded_advice",
]
