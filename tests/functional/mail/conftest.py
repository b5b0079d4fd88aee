"""Fixtures for a mail server that stores its messages, and for a review with two users."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from queue import Queue
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from tests.conftest import free_port
from tests.functional.api.conftest import document, make_room

__all__ = ["document", "make_room"]


@dataclass
class MessageHandler:
    """The handler of the test mail server.

    :ivar answers: replies to the next messages, such as ``451 later``; later messages are accepted
    :ivar kept: the accepted messages with their recipients
    """

    answers: list[str] = field(default_factory=list)
    kept: Queue[tuple[list[str], EmailMessage]] = field(default_factory=Queue)
    signed_in: list[Any] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - a name of aiosmtpd
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.kept.put((envelope.rcpt_tos, message))
        return "250 OK"

    def next(self) -> tuple[list[str], EmailMessage]:
        return self.kept.get(timeout=60)


@dataclass(frozen=True)
class MailServer:
    """A running mail server, and the settings that select it."""

    handler: MessageHandler
    settings: dict[str, str]


@pytest.fixture
def mail_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    handler = MessageHandler()
    # Ignore the log of the mail server.
    monkeypatch.setattr(logging.getLogger("mail.log"), "disabled", True)

    def sign_in(*given: Any) -> AuthResult:
        handler.signed_in.append((given[-1].login, given[-1].password))
        return AuthResult(success=True)

    port = free_port()
    server = Controller(
        handler, hostname="127.0.0.1", port=port, authenticator=sign_in, auth_require_tls=False
    )
    server.start()
    settings = {
        "smtp_host": "127.0.0.1",
        "smtp_port": str(port),
        "smtp_tls": "off",
        "smtp_user": "combine",
        "smtp_password": "correct-horse-staple",
        "mail_from": "combine@example.com",
    }
    yield MailServer(handler, settings)
    server.stop()
