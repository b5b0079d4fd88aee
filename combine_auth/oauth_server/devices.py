"""Device authorization: devices that wait for a user's approval (RFC 8628)."""

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

# No vowels, so that codes form no words; no letters that look alike (RFC 8628, 6.1).
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8


def new_user_code() -> str:
    """Eight letters for a person to type, such as ``WDJB-MJHT``: one of 25 billion."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def read_user_code(text: str) -> str | None:
    """The code that a person typed, whatever its case and separators; ``None`` if it cannot be a code."""
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
    """Answer a device that polls. Commits the time of the poll, and the use of the code.

    :returns: a status of :class:`DeviceCodeGrant`, ``None`` for an unknown code; and, if the device was
        approved, the grant
    """
    result = _poll(session, device_code, client)
    session.commit()
    return result


def _poll(
    session: Session, device_code: str, client: OAuthClient
) -> tuple[str | None, OAuthGrant | None]:
    if not DEVICE_CODE.fits(device_code):
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
    device, is_over = row[:2]
    since: Any = row[2]
    if is_over:
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
    if since is not None and since < device.interval:
        device.interval += lifetimes.SLOW_DOWN_S
        return DeviceCodeGrant.DEVICE_CODE_SLOW_DOWN, None
    return DeviceCodeGrant.DEVICE_CODE_PENDING, None


class PendingDevice(NamedTuple):
    """A device that waits for approval, and the program on it."""

    device: OAuthDevice
    client: OAuthClient


def find_pending(session: Session, user_code: str) -> PendingDevice | None:
    """The device that shows this code; ``None`` if none waits for approval."""
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
    """Let the device use these scopes in the name of this user. Raises TooManyGrants."""
    device, client = pending
    grant = create_grant(session, user_id, client, GrantType.DEVICE_CODE, scopes)
    device.grant_id = grant.id
    return grant


def deny(pending: PendingDevice) -> None:
    pending.device.denied_at = func.now()
