"""Device authorization: devices that wait for a user's approval (RFC 8628)."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from sqlalchemy import func, select, update
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
    """Store the request of a device."""
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


class DeviceStatus(Enum):
    """The answer to a device that polls."""

    APPROVED = auto()
    PENDING = auto()
    TOO_FAST = auto()
    EXPIRED = auto()
    DENIED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True)
class ApprovedDevice:
    """What a user approved."""

    grant_id: uuid.UUID
    user_id: uuid.UUID
    scopes: Sequence[str]


@dataclass(frozen=True)
class PollResult:
    """The status, and ``device`` if it is ``APPROVED``."""

    status: DeviceStatus
    device: ApprovedDevice | None = None


def poll(session: Session, device_code: str, client: OAuthClient) -> PollResult:
    """Answer a device that polls. Commits the time of the poll, and the use of the code."""
    result = _poll(session, device_code, client)
    session.commit()
    return result


def _poll(session: Session, device_code: str, client: OAuthClient) -> PollResult:
    if not DEVICE_CODE.fits(device_code):
        return PollResult(DeviceStatus.UNKNOWN)
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
        return PollResult(DeviceStatus.UNKNOWN)
    device, is_over = row[:2]
    since: Any = row[2]
    if is_over:
        return PollResult(DeviceStatus.EXPIRED)
    if device.denied_at is not None:
        return PollResult(DeviceStatus.DENIED)
    if device.grant_id is not None:
        device.used_at = func.now()
        return _let_in(session, device)
    device.asked_at = func.now()
    if since is not None and since < device.interval:
        device.interval += lifetimes.SLOW_DOWN_S
        return PollResult(DeviceStatus.TOO_FAST)
    return PollResult(DeviceStatus.PENDING)


def _let_in(session: Session, device: OAuthDevice) -> PollResult:
    row = session.execute(
        select(OAuthGrant.id, OAuthGrant.user_id, OAuthGrant.scopes)
        .join(User, User.id == OAuthGrant.user_id)
        .where(
            OAuthGrant.id == device.grant_id,
            OAuthGrant.revoked_at.is_(None),
            User.disabled_at.is_(None),
        )
    ).first()
    if row is None:
        return PollResult(DeviceStatus.UNKNOWN)
    return PollResult(DeviceStatus.APPROVED, ApprovedDevice(*row))


@dataclass(frozen=True)
class PendingDevice:
    """A device that waits for approval."""

    id: uuid.UUID
    user_code: str
    client: OAuthClient
    scopes: Sequence[str]
    ip: str | None


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
    device, client = row
    return PendingDevice(device.id, device.user_code, client, device.scopes, device.ip)


def approve(session: Session, pending: PendingDevice, user_id: uuid.UUID) -> OAuthGrant:
    """Approve the device in the name of this user."""
    grant = create_grant(session, user_id, pending.client, GrantType.DEVICE_CODE, pending.scopes)
    session.execute(
        update(OAuthDevice).where(OAuthDevice.id == pending.id).values(grant_id=grant.id)
    )
    return grant


def deny(session: Session, pending: PendingDevice) -> None:
    """Deny the device."""
    session.execute(
        update(OAuthDevice).where(OAuthDevice.id == pending.id).values(denied_at=func.now())
    )
