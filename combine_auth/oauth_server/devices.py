"""Device authorization (RFC 8628): stores devices until a user approves or denies them."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from combine_auth.authentication import sha256
from combine_auth.clients import GrantType, OAuthClient
from combine_auth.oauth_server import lifetimes
from combine_auth.oauth_server.grants import create_grant, delete_expired_rows
from combine_auth.oauth_server.model import OAuthDevice, OAuthGrant
from combine_auth.tokens.format import DEVICE_CODE
from combine_core.users import User

# Without vowels, so that codes form no words, and without letters that look alike (RFC 8628, 6.1).
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8


def new_user_code() -> str:
    """Return eight random letters for a person to type, such as ``WDJB-MJHT``: one of 25 billion codes."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def read_user_code(text: str) -> str | None:
    """Normalize the case and separators of a typed code; ``None`` if it is not a code."""
    letters = re.sub(r"[\s-]", "", text[:50]).upper()
    if len(letters) != _LENGTH or not set(letters) <= set(_LETTERS):
        return None
    return f"{letters[:4]}-{letters[4:]}"


def save_device(
    session: Session,
    client: OAuthClient,
    *,
    device_code: str,
    user_code: str,
    scopes: Sequence[str],
    ip: str | None,
) -> None:
    delete_expired_rows(session)
    session.add(
        OAuthDevice(
            client_id=client.id,
            device_code_sha256=sha256(device_code),
            user_code=user_code,
            scopes=list(scopes),
            ip=ip,
            interval=lifetimes.POLL_EVERY_S,
            expires_at=func.now() + lifetimes.DEVICE,
        )
    )
    session.flush()


def poll(
    session: Session, device_code: str, client: OAuthClient
) -> tuple[str | None, OAuthGrant | None]:
    """Return the state of a polling device. Commits the time of the poll, and the use of the code.

    :returns: a status of :class:`DeviceCodeGrant`, or ``None`` for an unknown code; and the grant of an
        approved device
    """
    result = _poll(session, device_code, client)
    session.commit()
    return result


def _poll(
    session: Session, device_code: str, client: OAuthClient
) -> tuple[str | None, OAuthGrant | None]:
    if not DEVICE_CODE.is_valid(device_code):
        return None, None
    row = session.execute(
        select(
            OAuthDevice,
            OAuthDevice.expires_at <= func.now(),
            func.extract("epoch", func.now() - OAuthDevice.asked_at),
        )
        .where(
            OAuthDevice.device_code_sha256 == sha256(device_code),
            OAuthDevice.client_id == client.id,
        )
        .with_for_update(),
        execution_options={"populate_existing": True},
    ).first()
    if row is None or row[0].used_at is not None:
        return None, None
    device, is_expired = row[:2]
    seconds_since_poll: Any = row[2]
    if is_expired:
        return DeviceCodeGrant.DEVICE_CODE_EXPIRED, None
    if device.denied_at is not None:
        return DeviceCodeGrant.DEVICE_CODE_DENIED, None
    if device.grant_id is not None:
        device.used_at = func.now()
        grant = session.scalar(
            select(OAuthGrant)
            .join(User, User.id == OAuthGrant.user_id)
            .where(
                OAuthGrant.id == device.grant_id,
                OAuthGrant.revoked_at.is_(None),
                User.disabled_at.is_(None),
            )
        )
        return (DeviceCodeGrant.DEVICE_CODE_AUTHORIZED if grant else None), grant
    device.asked_at = func.now()
    if seconds_since_poll is not None and seconds_since_poll < device.interval:
        device.interval += lifetimes.SLOW_DOWN_S
        return DeviceCodeGrant.DEVICE_CODE_SLOW_DOWN, None
    return DeviceCodeGrant.DEVICE_CODE_PENDING, None


class PendingDevice(NamedTuple):
    """A device that waits for approval, and its client."""

    device: OAuthDevice
    client: OAuthClient


def find_pending(session: Session, user_code: str) -> PendingDevice | None:
    """Return the device that shows this code; ``None`` if no device is waiting with it."""
    row = session.execute(
        select(OAuthDevice, OAuthClient)
        .join(OAuthClient)
        .where(
            OAuthDevice.user_code == user_code,
            OAuthDevice.expires_at > func.now(),
            OAuthDevice.grant_id.is_(None),
            OAuthDevice.denied_at.is_(None),
            OAuthClient.disabled_at.is_(None),
        )
        .with_for_update(of=OAuthDevice)
    ).first()
    if row is None:
        return None
    return PendingDevice(*row)


def approve(
    session: Session, pending: PendingDevice, user_id: uuid.UUID, scopes: Sequence[str]
) -> OAuthGrant:
    """Grant the device these scopes for this user. Raises TooManyGrants."""
    device, client = pending
    grant = create_grant(session, user_id, client, GrantType.DEVICE_CODE, scopes)
    device.grant_id = grant.id
    return grant


def deny(pending: PendingDevice) -> None:
    pending.device.denied_at = func.now()
