"""Reads the settings of sign-in: names of providers, issuers, tenants, domains, administrators."""

import re
from urllib.parse import urlsplit

from pydantic import SecretStr

from combine_core.settings import Finding, Unusable, values
from combine_core.settings.values import words

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Microsoft's own word, in addresses, for any tenant except that of personal accounts.
ORGANIZATIONS = "organizations"
PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
GOOGLE_ISSUER = "https://accounts.google.com"
# Google's tokens may name their issuer without the scheme.
GOOGLE_ISSUER_BARE = "accounts.google.com"

_DISCOVERY = "/.well-known/openid-configuration"
# The button of local sign-in; it is not a provider.
_TAKEN = ("local",)
_STORAGES = (
    "memory://",
    "redis://",
    "rediss://",
    "redis+unix://",
    "redis+sentinel://",
    "redis+cluster://",
)


def provider_names(text: str) -> tuple[str, ...]:
    names = words(text)
    for number, name in enumerate(names, 1):
        if not PROVIDER_NAME.fullmatch(name) or name in _TAKEN:
            remedy = (
                "write names such as google microsoft okta: lower-case letters, digits and _, at most"
                " 31; not local"
            )
            what = f"has an entry {number} that cannot be a provider's name"
            raise Unusable(Finding(what, remedy))
    return tuple(dict.fromkeys(names))


def issuer(text: str) -> str:
    """An issuer exactly as written: providers differ in the slash at its end."""
    if text.endswith(_DISCOVERY):
        remedy = f"leave out {_DISCOVERY} at its end"
        raise Unusable(Finding("is the address of a document", remedy))
    values.base_url(text)
    return text


def is_plain(address: str) -> bool:
    return address.casefold().startswith("http://")


def is_on_loopback(address: str) -> bool:
    """Whether the address can only be this machine."""
    return values.is_loopback(urlsplit(address).hostname or "")


def scopes(text: str) -> tuple[str, ...]:
    """Scopes to request; OpenID Connect needs openid among them (Core 1.0, 3.1.2.1)."""
    asked = tuple(dict.fromkeys(words(text)))
    if "openid" not in asked:
        raise Unusable(Finding("lacks the scope openid", "write openid email profile"))
    return asked


def tenants(text: str) -> tuple[str, ...]:
    """Tenant ids in lower case, and the word organizations."""
    entries = [entry.lower() for entry in words(text)]
    for number, entry in enumerate(entries, 1):
        if entry != ORGANIZATIONS and not GUID.fullmatch(entry):
            raise Unusable(
                Finding(
                    f"has an entry {number} that is not a tenant id",
                    "write the Directory (tenant) ID that the Azure portal shows, such as"
                    " 72f988bf-86f1-41af-91ab-2d7cd011db47, or organizations for all but personal"
                    " accounts; remove the variable for any tenant",
                )
            )
    return tuple(dict.fromkeys(entries))


def domains(text: str) -> tuple[str, ...]:
    entries = [entry.lower() for entry in words(text)]
    for number, entry in enumerate(entries, 1):
        if not values.is_host(entry) or ":" in entry or "." not in entry.strip("."):
            remedy = "write domains such as example.com, without @"
            raise Unusable(Finding(f"has an entry {number} that is not a domain", remedy))
    return tuple(dict.fromkeys(entry.removesuffix(".") for entry in entries))


def subjects(text: str) -> tuple[str, ...]:
    """Identities, each as ``issuer|subject``, with Google's issuer in its full spelling."""
    found = []
    for number, entry in enumerate(words(text), 1):
        named, _, subject = entry.partition("|")
        if named == GOOGLE_ISSUER_BARE:
            named = GOOGLE_ISSUER
        if not subject or not urlsplit(named).netloc:
            raise Unusable(
                Finding(
                    f"has an entry {number} that is not an identity",
                    f"write issuer|subject, such as {GOOGLE_ISSUER}|110169484474386276334; the page"
                    " /account shows both",
                )
            )
        found.append(f"{named}|{subject}")
    return tuple(dict.fromkeys(found))


def storage(text: str) -> SecretStr:
    if not text.startswith(_STORAGES):
        remedy = "write memory:// or redis://HOST:6379/0"
        raise Unusable(Finding("is not a storage for counters", remedy))
    return SecretStr(text)


def storage_masked(value: SecretStr) -> str:
    """The storage without user, password and parameters, for people."""
    scheme, _, rest = value.get_secret_value().partition("://")
    credentials, at, server = rest.partition("?")[0].rpartition("@")
    return f"{scheme}://{'********@' if at and credentials else ''}{server}"
