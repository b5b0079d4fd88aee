"""Reads the settings of sign-in: names of providers, issuers, tenants, domains, administrators."""

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
# Microsoft's own word, in addresses, for any tenant except that of personal accounts.
ORGANIZATIONS = "organizations"
PROVIDER_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
GOOGLE_ISSUER = "https://accounts.google.com"
# Only algorithms with public keys. A shared secret could be used to sign by anyone who knows it.
ALGORITHMS = tuple(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512))
# Google's tokens may name their issuer without the scheme.
GOOGLE_ISSUER_BARE = "accounts.google.com"

# The kinds of requests that are limited: the keys of combine_auth.limits.RULES.
LIMITED = (
    *("sign-in", "callback", "invitation", "token", "introspection", "authorize", "device"),
    *("device-code", "report", "project-invitation"),
)

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


def _entries(text: str, fits: Callable[[str], object], what: str, remedy: str) -> tuple[str, ...]:
    """The words of the text, each once. Each must fit."""
    entries = words(text)
    for number, entry in enumerate(entries, 1):
        if not fits(entry):
            raise Unusable(Finding(f"has an entry {number} that {what}", remedy))
    return tuple(dict.fromkeys(entries))


def provider_names(text: str) -> tuple[str, ...]:
    return _entries(
        text,
        lambda name: PROVIDER_NAME.fullmatch(name) and name not in _TAKEN,
        "cannot be a provider's name",
        "write names such as google microsoft okta: lower-case letters, digits and _, at most 31; not"
        " local",
    )


def issuer(text: str) -> str:
    """An issuer exactly as written: providers differ in the slash at its end."""
    if text.endswith(_DISCOVERY):
        remedy = f"leave out {_DISCOVERY} at its end"
        raise Unusable(Finding("is the address of a document", remedy))
    values.base_url(text)
    return text


def discovery_url(text: str) -> str:
    """The address of a discovery document. Azure B2C names the policy in its query."""
    values.base_url(text.partition("?")[0])
    if "#" in text:
        raise Unusable(Finding("has a fragment", "write the address without the part from # on"))
    return text


def examine_authorities(path: Path) -> Iterable[Finding]:
    """What is wrong with a file, or a folder, of certificates of authorities."""
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


def algorithms(text: str) -> tuple[str, ...]:
    """Algorithms that ID tokens may be signed with."""
    listed = ", ".join(ALGORITHMS)
    remedy = f"write some of {listed}, as the provider's documentation names them"
    return _entries(text, ALGORITHMS.__contains__, "is not such an algorithm", remedy)


def tenants(text: str) -> tuple[str, ...]:
    """Tenant ids in lower case, and the word organizations."""
    return _entries(
        text.lower(),
        lambda entry: entry == ORGANIZATIONS or GUID.fullmatch(entry),
        "is not a tenant id",
        "write the Directory (tenant) ID that the Azure portal shows, such as"
        " 72f988bf-86f1-41af-91ab-2d7cd011db47, or organizations for all but personal accounts; remove"
        " the variable for any tenant",
    )


def domains(text: str) -> tuple[str, ...]:
    def fits(entry: str) -> bool:
        return values.is_host(entry) and ":" not in entry and "." in entry.strip(".")

    remedy = "write domains such as example.com, without @"
    entries = _entries(text.lower(), fits, "is not a domain", remedy)
    return tuple(dict.fromkeys(entry.removesuffix(".") for entry in entries))


def subjects(text: str) -> tuple[str, ...]:
    """Identities, each as ``issuer|subject``, with Google's issuer in its full spelling."""

    def full(entry: str) -> str:
        bare = f"{GOOGLE_ISSUER_BARE}|"
        return f"{GOOGLE_ISSUER}|{entry.removeprefix(bare)}" if entry.startswith(bare) else entry

    def fits(entry: str) -> bool:
        issuer, _, subject = full(entry).partition("|")
        return bool(subject and urlsplit(issuer).netloc)

    example = f"{GOOGLE_ISSUER}|110169484474386276334"
    remedy = f"write issuer|subject, such as {example}; the page /account shows both"
    entries = _entries(text, fits, "is not an identity", remedy)
    return tuple(dict.fromkeys(map(full, entries)))


def address_limits(text: str) -> tuple[str, ...]:
    """Limits such as ``sign-in=300``: how many requests of a kind one address may send in a minute."""

    def fits(entry: str) -> bool:
        kind, _, number = entry.partition("=")
        return kind in LIMITED and re.fullmatch("[1-9][0-9]{0,5}", number) is not None

    kinds = ", ".join(LIMITED)
    remedy = f"write KIND=NUMBER, such as sign-in=300 callback=300; the kinds are {kinds}"
    return _entries(text, fits, "is not a limit", remedy)


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
