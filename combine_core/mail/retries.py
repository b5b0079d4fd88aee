"""Decides when to retry a job that failed to send mail."""

from __future__ import annotations

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from combine_core.mail.jobs import MailNotSent

MOST_ATTEMPTS = 6
# The delay of the first retry. Each further delay is four times as long; the last one is over four hours.
_FIRST_DELAY_S = 60


class MailRetries(BaseRetryStrategy):
    """A retry strategy with growing delays, in which new jobs come before retried ones."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return the time of the next attempt, or ``None`` to give up.

        A worker that stops returns its job to the queue by this method, too.
        """
        is_final = isinstance(exception, MailNotSent) and exception.is_final
        if is_final or job.attempts + 1 >= MOST_ATTEMPTS:
            return None
        seconds = _FIRST_DELAY_S * 4**job.attempts
        return RetryDecision(retry_in={"seconds": seconds}, priority=-(job.attempts + 1))
