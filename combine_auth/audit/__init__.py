"""The audit: what happened to accounts and rights, append-only, for administrators.

A function that changes accounts or rights calls, in the same transaction,
``record_request(request, Action.TOKEN_CREATE, target=f"token:{row.id}", name=row.name)``, or
:func:`record` where there is no request. A view that refuses calls :func:`record_apart`.
"""

from combine_auth.audit.model import Action, AuditEvent
from combine_auth.audit.service import KEPT_FOR, OPERATOR, record, record_apart, record_request

__all__ = [
    "KEPT_FOR",
    "OPERATOR",
    "Action",
    "AuditEvent",
    "record",
    "record_apart",
    "record_request",
]
