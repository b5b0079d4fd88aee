"""The settings of combine_auth."""

import re
from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import SecretStr

from combine_core.settings.declare import AddonSettings, Given, Kind, parsed, setting
from combine_core.settings.environment import NOT_DEVELOPMENT
from combine_core.settings.problems import Finding, Unusable
from combine_core.settings.values import one_word, switch, words

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _tenants(text: str) -> tuple[str, ...]:
    tenants = words(text)
    for number, tenant in enumerate(tenants, 1):
        if not _GUID.fullmatch(tenant):
            raise Unusable(
                Finding(
                    f"has an entry {number} that is no tenant id",
                    "write the Directory (tenant) ID that the Azure portal shows, such as"
                    " 72f988bf-86f1-41af-91ab-2d7cd011db47",
                )
            )
    return tuple(dict.fromkeys(tenant.lower() for tenant in tenants))


class AuthSettings(AddonSettings):
    """With whom people sign in."""

    addon: ClassVar[str] = "combine_auth"

    google_client_id: Annotated[str | None, parsed(one_word)] = setting(
        variable="GOOGLE_CLIENT_ID",
        write="write the client ID that Google's console shows, or remove the variable",
        shape="client ID",
        help="The service's registration with Google. Set it together with GOOGLE_CLIENT_SECRET.",
    )
    google_client_secret: Annotated[SecretStr | None, parsed(lambda t: SecretStr(one_word(t)))] = (
        setting(
            variable="GOOGLE_CLIENT_SECRET",
            secret=True,
            kind=Kind.KEY,
            write="write the client secret that Google's console shows, or remove the variable",
            shape="client secret",
            help="The secret of that registration.",
        )
    )
    microsoft_client_id: Annotated[str | None, parsed(one_word)] = setting(
        variable="MICROSOFT_CLIENT_ID",
        write="write the Application (client) ID from the Azure portal, or remove the variable",
        shape="client ID",
        help="The service's registration with Microsoft. Set it together with "
        "MICROSOFT_CLIENT_SECRET.",
    )
    microsoft_client_secret: Annotated[
        SecretStr | None, parsed(lambda t: SecretStr(one_word(t)))
    ] = setting(
        variable="MICROSOFT_CLIENT_SECRET",
        secret=True,
        kind=Kind.KEY,
        write="write the value of the client secret from the Azure portal, or remove the variable",
        shape="client secret",
        help="The secret of that registration: its value, not its ID.",
    )
    microsoft_tenants: Annotated[tuple[str, ...], parsed(_tenants)] = setting(
        (),
        variable="MICROSOFT_TENANTS",
        shape="tenant ids, separated by commas or spaces",
        default_shown="any tenant",
        help="The Microsoft tenants whose people may sign in.",
    )
    local_sign_in: Annotated[bool, parsed(switch)] = setting(
        False,
        shape="true or false",
        help="One button signs in as a local user, on loopback only. For development: a service "
        "in any other environment refuses to start with it.",
    )

    def findings(self, given: Given) -> Iterable[tuple[str, Finding]]:
        """The rules between settings."""
        environment = given.place.environment
        if self.local_sign_in and environment in NOT_DEVELOPMENT:
            yield (
                "local_sign_in",
                Finding(
                    f"is on, with which anyone could sign in, and this is {environment}",
                    "write combine_auth.local_sign_in = false, or ENVIRONMENT=development",
                    NOT_DEVELOPMENT,
                ),
            )
        for vendor in ("google", "microsoft"):
            pair = (f"{vendor}_client_id", f"{vendor}_client_secret")
            for one, other in (pair, pair[::-1]):
                if given.lacks(one) and not given.lacks(other):
                    yield (
                        one,
                        Finding(
                            f"is not set, although {other.upper()} is",
                            f"set {one.upper()}, or remove {other.upper()}",
                            NOT_DEVELOPMENT,
                        ),
                    )
