"""Sends mail from a worker through the mail server, and decides when to retry."""

from __future__ import annotations

import logging
import smtplib
import ssl
import uuid
from contextlib import closing
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import urlsplit

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job
from sqlalchemy.orm import Session, sessionmaker

from combine_core.mail import MailNotSent, Occasion, enqueue_mail
from combine_core.mail.letters import Letter, list_recipients, write_letter
from combine_core.settings.core import CoreSettings, SmtpTls

logger = logging.getLogger(__name__)

# The timeout of each response of the mail server.
TIMEOUT_S = 10.0
_FOOT = "Combine sent this to a member of the project. Replies are not read."
MOST_ATTEMPTS = 6
# The delay of the first retry. Each further delay is four times as long; the last one is over four hours.
_FIRST_DELAY_S = 60


class Mailer:
    """A sender of the mail in the queue."""

    def __init__(self, settings: CoreSettings, sessions: sessionmaker[Session]) -> None:
        self._settings = settings
        self._sessions = sessions

    def deliver(self, job_id: int, occasion: str, thing_id: str, by: str, to: str) -> None:
        """Send the message to one recipient, or queue a message for each recipient.

        :param to: the recipient; empty to queue a message for each
        :raises MailNotSent: the mail server did not accept the message
        """
        about = (Occasion(occasion), uuid.UUID(thing_id))
        actor = uuid.UUID(by)
        with self._sessions.begin() as session:
            if not to:
                for recipient in list_recipients(session, *about, actor):
                    enqueue_mail(session, *about, by=actor, to=recipient)
                return
            letter = write_letter(session, *about, actor, uuid.UUID(to))
        # The database connection has been returned, because a mail server may be slow.
        if letter is None:
            logger.info("Mail about %s %s no longer concerns its recipient", occasion, thing_id)
            return
        failure = self._send(letter, job_id)
        if failure is not None:
            logger.warning(
                "Mail about %s %s was not sent (%s). %s",
                occasion,
                thing_id,
                failure,
                "It is not retried." if failure.is_final else "It is retried a few times.",
            )
            raise failure
        logger.info("Mail about %s %s was sent", occasion, thing_id)

    def _send(self, letter: Letter, job_id: int) -> MailNotSent | None:
        try:
            message = self._message(letter, job_id)
            with closing(self._connect()) as server:
                server.send_message(message, to_addrs=[letter.address])
        except (OSError, ValueError) as error:
            return _explained(error)
        return None

    def _message(self, letter: Letter, job_id: int) -> EmailMessage:
        settings = self._settings
        assert settings.mail_from is not None
        message = EmailMessage()
        message["From"] = Address("Combine", addr_spec=settings.mail_from)
        message["To"] = Address(addr_spec=letter.address)
        message["Subject"] = letter.subject
        message["Date"] = formatdate()
        # The same in each attempt, so that mail programs can recognize duplicates.
        host = urlsplit(settings.public_url).hostname
        message["Message-ID"] = f"<combine-mail-{job_id}@{host}>"
        message["Auto-Submitted"] = "auto-generated"
        url = settings.public_url
        message.set_content(
            f"{letter.text}\n\n{url}{letter.path}\n\n-- \n{_FOOT}\nTo turn this mail off: {url}/inbox\n"
        )
        return message

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        assert settings.smtp_host is not None
        address = (settings.smtp_host, settings.smtp_port)
        if settings.smtp_tls is SmtpTls.TLS:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                *address, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(*address, timeout=TIMEOUT_S)
        try:
            if settings.smtp_tls is SmtpTls.STARTTLS:
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user is not None and settings.smtp_password is not None:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server


def _explained(error: OSError | ValueError) -> MailNotSent:
    """Describe an error by its class and the server's code, because its text may contain addresses."""
    name = type(error).__name__
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        [(code, _)] = error.recipients.values()
        return MailNotSent(f"{name} {code}", is_final=code >= 500)
    if isinstance(error, smtplib.SMTPDataError):
        return MailNotSent(f"{name} {error.smtp_code}", is_final=error.smtp_code >= 500)
    if isinstance(error, smtplib.SMTPResponseException):
        # The sender, the password or the greeting was rejected, which an operator can fix.
        return MailNotSent(f"{name} {error.smtp_code}", is_final=False)
    # A ValueError means that the address is invalid.
    return MailNotSent(name, is_final=not isinstance(error, OSError))


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
