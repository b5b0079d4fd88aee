"""The audit: an append-only log of changes to accounts, rights and project data, for administrators.

A function that makes such a change records it in the same transaction, with
``record_request(request, Action.TOKEN_CREATE, target=f"token:{row.id}", name=row.name)``, or with
:func:`record` if there is no request. A view that refuses a request calls :func:`record_refusal`.
"""

from combine_auth.audit.model import Action, AuditEvent
from combine_auth.audit.service import KEPT_FOR, OPERATOR, record, record_refusal, record_request

__all__ = [
    "KEPT_FOR",
    "OPERATOR",
    "Action",
    "AuditEvent",
    "record",
    "record_refusal",
    "record_request",
]
