"""Says when a job that failed to send mail is tried again."""

from __future__ import annotations

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from combine_core.mail.jobs import MailNotSent

MOST_ATTEMPTS = 6
# The first attempt to follow; each later one takes four times as long. The last one is six hours later.
_PAUSE_S = 60


class MailRetries(BaseRetryStrategy):
    """Another attempt, later and later, after those that have not failed yet."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When the job is tried again; ``None``: it is given up.

        A worker that stops hands its job back in this way, too.
        """
        is_final = isinstance(exception, MailNotSent) and exception.is_final
        if is_final or job.attempts + 1 >= MOST_ATTEMPTS:
            return None
        seconds = _PAUSE_S * 4**job.attempts
        return RetryDecision(retry_in={"seconds": seconds}, priority=-(job.attempts + 1))
