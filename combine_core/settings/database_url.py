"""``DATABASE_URL``: names each unusable part, and gives SQLAlchemy the driver that is installed."""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote

import psycopg2
from psycopg2.extensions import parse_dsn
from pydantic import SecretStr
from sqlalchemy import make_url

from combine_core.settings.declaration import MASK, NOT_DEVELOPMENT, Finding, Kind, Unusable
from combine_core.settings.values import is_host, is_placeholder, is_port, is_reference

FORM = "postgresql://USER:PASSWORD@HOST:5432/DATABASE"
DRIVER = "postgresql+psycopg2"
_SCHEMES = ("postgres", "postgresql", DRIVER)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# These have a place of their own in the URL; SQLAlchemy and libpq would disagree on which counts.
_NO_PARAMETERS = ("user", "password", "port", "dbname")
_ESCAPES = "in a URL, write @ as %40, / as %2F, # as %23, ? as %3F and % as %25"


def parse_database_url(text: str) -> SecretStr:
    """A PostgreSQL URL, as ``postgresql+psycopg2://``. Raises Unusable naming every bad part."""
    findings = examine(text)
    # Development can try a placeholder; it alone does not make the URL unusable.
    if any(finding.refused_in != NOT_DEVELOPMENT for finding in findings):
        raise Unusable(*findings)
    return SecretStr(f"{DRIVER}://{text.partition('://')[2]}")


def masked(url: SecretStr) -> str:
    """The URL without user, password and parameters, for people."""
    _, _, rest = url.get_secret_value().partition("://")
    server, _, path = rest.partition("?")[0].rpartition("@")[2].partition("/")
    return f"postgresql://{MASK}@{server}/{path}"


def examine(text: str) -> list[Finding]:
    """Everything that is wrong with the URL."""
    if re.search(r"\s", text):
        return [Finding("contains a space", f"write {FORM}, in one piece")]
    scheme, separator, rest = text.partition("://")
    if not separator:
        return [Finding("has no scheme", f"write {FORM}")]
    findings = []
    if scheme.lower() not in _SCHEMES:
        findings.append(Finding("has a scheme that is not postgresql", f"write {FORM}"))
    parts = _split(rest)
    if parts.ended_early:
        findings.append(
            Finding("has a password with special characters that are not escaped", _ESCAPES)
        )
    if parts.credentials is not None:
        findings += _credentials(parts.credentials)
    findings += [
        *_server(parts.server, parts.query),
        *_database(parts.path),
        *_parameters(parts.query),
    ]
    return findings or _disagreement(rest)


@dataclass(frozen=True, slots=True)
class _Parts:
    credentials: str | None
    server: str
    path: str
    query: str
    ended_early: bool = False


def _split(rest: str) -> _Parts:
    """The parts after the scheme; the authority ends at the first / ? or # (RFC 3986, 3.2)."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path, _, query = rest[len(authority) :].partition("?")
    if authority.count("@") > 1 or "@" in path or ("@" in query and "@" not in authority):
        # The password holds an @ / ? or #; the last @ was probably meant.
        return replace(_split(rest.rpartition("@")[2]), ended_early=True)
    credentials, at, server = authority.rpartition("@")
    return _Parts(credentials if at else None, server, path, query)


def _credentials(text: str) -> list[Finding]:
    findings = []
    user, colon, password = text.partition(":")
    if _badly_escaped(text):
        findings.append(Finding("has a % in its user or password that is not an escape", _ESCAPES))
    if not user:
        findings.append(Finding("has no user", f"write {FORM}"))
    if colon and not password:
        what = "has an empty password (is the variable that it is built from set?)"
        findings.append(Finding(what, f"write {FORM}"))
    for name, kind, part in (("user", Kind.WORD, user), ("password", Kind.KEY, password)):
        plain = unquote(part)
        if _in_quotes(plain):
            findings.append(Finding(f"has a {name} in quotes", "write it without the quotes"))
        elif is_reference(plain):
            what = f"has a {name} that is a reference to a variable"
            findings.append(Finding(what, f"write the {name}"))
        elif part and is_placeholder(plain, kind):
            what = f"has a placeholder for the {name}"
            findings.append(Finding(what, f"write the {name}", NOT_DEVELOPMENT))
    return findings


def _server(server: str, query: str) -> list[Finding]:
    findings = []
    bracketed = server.startswith("[") and "]" in server
    host, _, rest = server[1:].partition("]") if bracketed else server.partition(":")
    port = rest.removeprefix(":") if bracketed else rest
    if not host:
        # libpq's way to name a socket folder: postgresql:///combine?host=/run/postgresql
        if not any(key == "host" and value for key, value in parse_qsl(query)):
            findings.append(Finding("has no host", f"write {FORM}"))
    elif _in_quotes(host):
        findings.append(Finding("has a host in quotes", "write it without the quotes"))
    elif not is_host(host) or (":" in host) != bracketed:
        remedy = "write a host name or an address (an IPv6 address in brackets)"
        findings.append(Finding("has an unusable host", remedy))
    # [::1]5432 has a port without its colon, and db: a colon without its port.
    if (rest or server.endswith(":")) and not (is_port(port) and (port != rest or not bracketed)):
        what = "has a port that is not a number from 1 to 65535"
        findings.append(Finding(what, "write 5432, or the right port"))
    return findings


def _database(path: str) -> list[Finding]:
    name = unquote(path.removeprefix("/"))
    if not name:
        return [Finding("names no database", f"write {FORM}")]
    if _in_quotes(name):
        return [Finding("has a database name in quotes", "write it without the quotes")]
    if "#" in path or "/" in path[1:] or _badly_escaped(path):
        return [Finding("has an unusable database name", f"write one name after the host: {FORM}")]
    return []


def _parameters(query: str) -> list[Finding]:
    findings = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in _NO_PARAMETERS:
            findings.append(Finding(f"has {key} among its parameters", f"write {FORM}"))
        elif _as_libpq_reads(f"postgresql:///?{quote(key)}=") is None:
            # With an @ after it, it may be the rest of a password instead.
            named = f" ({key})" if re.fullmatch(r"[a-z_]{1,40}", key) and "@" not in query else ""
            what = f"has a parameter that PostgreSQL does not know{named}"
            findings.append(Finding(what, "leave it out"))
        if key == "sslmode" and value not in _SSL_MODES:
            remedy = f"write one of {' '.join(_SSL_MODES)}"
            findings.append(Finding("has an unknown sslmode", remedy))
    return findings


def _disagreement(rest: str) -> list[Finding]:
    """SQLAlchemy and libpq must read the same: psql and the service connect with one URL."""
    libpq = _as_libpq_reads(f"postgresql://{rest}")
    url = make_url(f"{DRIVER}://{rest}")
    ours = {
        "user": url.username or None,
        "password": url.password,
        "dbname": url.database,
        "port": str(url.port) if url.port else None,
        **{key: value for key, value in url.query.items() if key != "host"},
    }
    if libpq is None or any(libpq.get(key) != value for key, value in ours.items()):
        return [Finding("has unusable parameters", f"write {FORM}?name=value&name=value")]
    return []


def _as_libpq_reads(url: str) -> dict[str, str] | None:
    try:
        # Only reads; it does not connect.
        return parse_dsn(url)
    except (psycopg2.ProgrammingError, UnicodeError):
        return None


def _badly_escaped(text: str) -> bool:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return True
    try:
        return "\0" in unquote(text, errors="strict")
    except UnicodeDecodeError:
        return True


def _in_quotes(part: str) -> bool:
    return len(part) > 1 and part[0] == part[-1] and part[0] in "\"'`"
