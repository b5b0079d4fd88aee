"""A provider, as data: whom to ask, as whom, and whose word to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from pydantic import SecretStr

from combine_auth.setting_values import PROVIDER_NAME

# In an issuer, in place of the tenant's id: Microsoft publishes its issuer so.
TENANT: Final = "{tenantid}"
# With public keys alone: what a secret signs, everyone who knows the secret can sign.
ALGORITHMS: Final = frozenset(
    f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)
)
PERSONAL_TENANT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Provider:
    """One OpenID provider and the service's registration with it.

    :ivar name: in paths and variables: ``google``
    :ivar title: on buttons: ``Google``
    :ivar issuer: exactly as the provider has it, with ``{tenantid}`` in place of a tenant
    :ivar discovery_url: of its metadata (OpenID Connect Discovery 1.0, 4)
    :ivar client_id: empty in what a plugin offers: then it is read from the settings of the name
    :ivar algorithms: that ID tokens may be signed with; neither token nor metadata adds to them
    :ivar extra_parameters: of the authorization request
    :ivar other_issuers: further spellings of the issuer in ID tokens
    :ivar allowed_tenants: ids, or ``organizations``; empty for any
    :ivar allowed_hosted_domains: of Google Workspace (the claim ``hd``); empty for any
    :ivar allowed_email_domains: of verified addresses; empty for any
    :ivar email_verified_claim: the claim that says that an address is the person's own
    :ivar email_verified_values: what it says then
    :ivar console: where the service is registered, in words for the operator
    """

    name: str
    title: str
    issuer: str
    discovery_url: str
    client_id: str = ""
    client_secret: SecretStr = field(default_factory=lambda: SecretStr(""))
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    algorithms: tuple[str, ...] = ("RS256",)
    extra_parameters: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    other_issuers: tuple[str, ...] = ()
    allowed_tenants: frozenset[str] = frozenset()
    allowed_hosted_domains: frozenset[str] = frozenset()
    allowed_email_domains: frozenset[str] = frozenset()
    email_verified_claim: str = "email_verified"
    email_verified_values: tuple[bool | int | str, ...] = (True,)
    console: str = "the provider's console"

    def __post_init__(self) -> None:
        """Refuse what could never work, or would let others in. Raises ValueError."""
        if not PROVIDER_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} can be no provider's name: write a-z, 0-9 and _")
        if not self.algorithms or not set(self.algorithms) <= ALGORITHMS:
            raise ValueError(f"{self.name}: algorithms are some of {', '.join(sorted(ALGORITHMS))}")
        if "openid" not in self.scopes:
            raise ValueError(f"{self.name}: the scopes lack openid")

    @property
    def client_id_variable(self) -> str:
        """The variable that holds the client ID, for messages."""
        return f"{self.name.upper()}_CLIENT_ID"

    @property
    def client_secret_variable(self) -> str:
        """The variable that holds the client secret, for messages."""
        return f"{self.name.upper()}_CLIENT_SECRET"


@dataclass(frozen=True)
class Claims:
    """What a verified ID token says about who signed in.

    :ivar issuer: in its one spelling; Microsoft's with the token's own tenant. With `subject` it says
        who it is, for good
    :ivar email: a well-formed address, or ``None``; the person's own only where `email_verified`
    :ivar tenant: Microsoft's ``tid``
    :ivar hosted_domain: Google's ``hd``
    :ivar auth_time: when the person last showed the provider who they are, where it says so
    """

    issuer: str
    subject: str
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    tenant: str | None = None
    hosted_domain: str | None = None
    auth_time: datetime | None = None


def redirect_uri(public_url: str, provider_name: str) -> str:
    """Where the provider sends the browser back to; to be entered in the provider's console."""
    return f"{public_url}/auth/{provider_name}/callback"
