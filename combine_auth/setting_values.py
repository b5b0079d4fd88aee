"""Parses the values of the sign-in settings: provider names, issuers, tenants, domains, subjects, limits."""

import os
import re
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from combine_core.settings import Finding, Unusable, values
from combine_core.settings.values import words

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Microsoft's name, in addresses, for all tenants except that of personal accounts.
ORGANIZATIONS = "organizations"
PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
GOOGLE_ISSUER = "https://accounts.google.com"
# Only algorithms with public keys: whoever knows a shared secret could sign tokens with it.
ALGORITHMS = tuple(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512))
# Google's tokens may name their issuer without the scheme.
GOOGLE_ISSUER_BARE = "accounts.google.com"

# The kinds of rate-limited requests: the keys of combine_auth.limits.RULES.
LIMITED = (
    *("sign-in", "callback", "invitation", "token", "introspection", "authorize", "device"),
    *("device-code", "report", "project-invitation"),
)

_DISCOVERY = "/.well-known/openid-configuration"
# The path of the local sign-in, which is not a provider.
_RESERVED = ("local",)
_STORAGES = (
    "memory://",
    "redis://",
    "rediss://",
    "redis+unix://",
    "redis+sentinel://",
    "redis+cluster://",
)


def _parse_entries(
    text: str, is_valid: Callable[[str], object], problem: str, remedy: str
) -> tuple[str, ...]:
    """Split the text into words without duplicates. Raises Unusable for an invalid word."""
    entries = words(text)
    for number, entry in enumerate(entries, 1):
        if not is_valid(entry):
            raise Unusable(Finding(f"has an entry {number} that {problem}", remedy))
    return tuple(dict.fromkeys(entries))


def provider_names(text: str) -> tuple[str, ...]:
    return _parse_entries(
        text,
        lambda name: PROVIDER_NAME.fullmatch(name) and name not in _RESERVED,
        "cannot be a provider's name",
        "write names such as google microsoft okta: lower-case letters, digits and _, at most 31; not"
        " local",
    )


def issuer(text: str) -> str:
    """Validate an issuer and return it unchanged: a trailing slash is significant."""
    if text.endswith(_DISCOVERY):
        remedy = f"remove {_DISCOVERY} from its end"
        raise Unusable(Finding("is the address of a discovery document, not an issuer", remedy))
    values.base_url(text)
    return text


def discovery_url(text: str) -> str:
    """Validate the address of a discovery document. Azure B2C names the policy in its query."""
    values.base_url(text.partition("?")[0])
    if "#" in text:
        raise Unusable(Finding("has a fragment", "remove the part from # on"))
    return text


def examine_authorities(path: Path) -> Iterable[Finding]:
    """Yield the problem with a file or directory of CA certificates, if there is one."""
    remedy = "write the path of a PEM file that this service may read, or remove the variable"
    try:
        if path.is_dir():
            os.scandir(path).close()
        else:
            ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        yield Finding("names a file without certificates", remedy)
    except OSError as error:
        yield Finding(f"names a file that cannot be read ({error.strerror})", remedy)


def uses_http(address: str) -> bool:
    return address.casefold().startswith("http://")


def is_on_loopback(address: str) -> bool:
    """Check whether the address is on loopback, so that it can only be this machine."""
    return values.is_loopback(urlsplit(address).hostname or "")


def scopes(text: str) -> tuple[str, ...]:
    """Parse the scopes to request. OpenID Connect requires openid (Core 1.0, 3.1.2.1)."""
    requested = tuple(dict.fromkeys(words(text)))
    if "openid" not in requested:
        raise Unusable(Finding("lacks the scope openid", "write openid email profile"))
    return requested


def algorithms(text: str) -> tuple[str, ...]:
    """Parse the algorithms that are accepted for ID tokens."""
    listed = ", ".join(ALGORITHMS)
    remedy = f"write some of {listed}, as the provider's documentation names them"
    return _parse_entries(text, ALGORITHMS.__contains__, "is not a supported algorithm", remedy)


def tenants(text: str) -> tuple[str, ...]:
    """Parse tenant ids, in lower case, and the word organizations."""
    return _parse_entries(
        text.lower(),
        lambda entry: entry == ORGANIZATIONS or GUID.fullmatch(entry),
        "is not a tenant id",
        "write the Directory (tenant) ID that the Azure portal shows, such as"
        " 72f988bf-86f1-41af-91ab-2d7cd011db47, or organizations for all but personal accounts; remove"
        " the variable for any tenant",
    )


def domains(text: str) -> tuple[str, ...]:
    def is_valid(entry: str) -> bool:
        return values.is_host(entry) and ":" not in entry and "." in entry.strip(".")

    remedy = "write domains such as example.com, without @"
    entries = _parse_entries(text.lower(), is_valid, "is not a domain", remedy)
    return tuple(dict.fromkeys(entry.removesuffix(".") for entry in entries))


def subjects(text: str) -> tuple[str, ...]:
    """Parse identities written as ``issuer|subject``. Google's issuer gets its scheme."""

    def canonical(entry: str) -> str:
        bare = f"{GOOGLE_ISSUER_BARE}|"
        return f"{GOOGLE_ISSUER}|{entry.removeprefix(bare)}" if entry.startswith(bare) else entry

    def is_valid(entry: str) -> bool:
        issuer, _, subject = canonical(entry).partition("|")
        return bool(subject and urlsplit(issuer).netloc)

    example = f"{GOOGLE_ISSUER}|110169484474386276334"
    remedy = f"write issuer|subject, such as {example}; the page /account shows both"
    entries = _parse_entries(text, is_valid, "is not an identity", remedy)
    return tuple(dict.fromkeys(map(canonical, entries)))


def address_limits(text: str) -> tuple[str, ...]:
    """Parse limits such as ``sign-in=300``: requests of a kind that one address may send in a minute."""

    def is_valid(entry: str) -> bool:
        kind, _, number = entry.partition("=")
        return kind in LIMITED and re.fullmatch("[1-9][0-9]{0,5}", number) is not None

    kinds = ", ".join(LIMITED)
    remedy = f"write KIND=NUMBER, such as sign-in=300 callback=300; the kinds are {kinds}"
    return _parse_entries(text, is_valid, "is not a limit", remedy)


def storage(text: str) -> SecretStr:
    if not text.startswith(_STORAGES):
        remedy = "write memory:// or redis://HOST:6379/0"
        raise Unusable(Finding("is not a storage for counters", remedy))
    return SecretStr(text)


def storage_masked(value: SecretStr) -> str:
    """Return the storage with the credentials masked and without parameters, for display."""
    scheme, _, rest = value.get_secret_value().partition("://")
    credentials, at, server = rest.partition("?")[0].rpartition("@")
    return f"{scheme}://{'********@' if at and credentials else ''}{server}"
