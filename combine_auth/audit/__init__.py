"""What happened to accounts and rights: append-only lines for administrators.

Whoever does something that belongs there calls, in the same transaction,
``record_request(request, Action.TOKEN_CREATE, target=f"token:{row.id}", name=row.name)``, or
:func:`record` where there is no request. A refusal calls :func:`record_apart`.
"""

from combine_auth.audit.action import Action
from combine_auth.audit.model import AuditEvent
from combine_auth.audit.record import KEPT_FOR, record, record_apart, record_request

__all__ = ["KEPT_FOR", "Action", "AuditEvent", "record", "record_apart", "record_request"]
