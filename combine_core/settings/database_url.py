"""Validates ``DATABASE_URL`` part by part, and converts it for SQLAlchemy and the installed driver.

SQLAlchemy and libpq must agree on the meaning of a URL, because the engine, alembic, Procrastinate and the
health checks use both. A parameter that they treat differently is rejected here.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote

import psycopg2
from psycopg2.extensions import parse_dsn
from pydantic import SecretStr
from sqlalchemy import URL, make_url

from combine_core.settings.declaration import MASK, NOT_DEVELOPMENT, Finding, Kind, Unusable
from combine_core.settings.values import is_host, is_placeholder, is_port, is_reference

FORM = "postgresql://USER:PASSWORD@HOST:5432/DATABASE"
DRIVER = "postgresql+psycopg2"
_SCHEMES = ("postgres", "postgresql", DRIVER)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# These have their own position in the URL. As parameters, SQLAlchemy and libpq disagree on their precedence.
_NO_PARAMETERS = ("user", "password", "port", "dbname")
# Each process names its connections, and `combine doctor` counts them by these names.
_NAMES = ("application_name", "fallback_application_name")
DEFAULT_PORT = 5432
_NO_HOST = Finding("has no host", f"write {FORM}")
_BAD_PORT = Finding(
    "has a port that is not a number from 1 to 65535", f"write {DEFAULT_PORT}, or the right port"
)
_ESCAPES = "in a URL, write @ as %40, / as %2F, # as %23, ? as %3F and % as %25"


def parse_database_url(text: str) -> SecretStr:
    """Convert a PostgreSQL URL to ``postgresql+psycopg2://``.

    :raises Unusable: lists every part that is not valid
    """
    findings = examine(text)
    # A placeholder does not make the URL unusable, because development can try it.
    if any(finding.refused_in != NOT_DEVELOPMENT for finding in findings):
        raise Unusable(*findings)
    return SecretStr(f"{DRIVER}://{_as_sqlalchemy_reads(text.partition('://')[2])}")


def masked(url: SecretStr) -> str:
    """Return the URL without user, password and parameters, as shown to people."""
    parsed = make_url(url.get_secret_value())
    hosts = ",".join(_shown(host, port) for host, port in hosts_of(parsed))
    return f"postgresql://{MASK}@{hosts}/{parsed.database}"


def hosts_of(url: URL) -> list[tuple[str, int | None]]:
    """Return every host of the URL with its port, if there is one. libpq tries them in turn."""
    hosts = str(url.query.get("host", url.host or "")).split(",")
    ports = str(url.query.get("port", url.port or "")).split(",")
    # A single port applies to all hosts.
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return [(host, int(port) if port else None) for host, port in zip(hosts, ports, strict=True)]


def each_host(url: URL) -> list[URL]:
    """Return a URL for each host of the URL."""
    hosts = hosts_of(url)
    if len(hosts) == 1:
        return [url]
    base = url.difference_update_query(["host", "port", "target_session_attrs"])
    return [base.set(host=host, port=port) for host, port in hosts]


def _shown(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port}" if port else name


def _as_sqlalchemy_reads(rest: str) -> str:
    """Move several hosts to the parameters ``host`` and ``port``, where SQLAlchemy expects them."""
    parts = _split(rest)
    if "," not in parts.server:
        return rest
    pairs = [_host_and_rest(each) for each in parts.server.split(",")]
    hosts = ",".join(host for host, _ in pairs)
    ports = ",".join(port[1:] or str(DEFAULT_PORT) for _, port in pairs)
    credentials = "" if parts.credentials is None else f"{parts.credentials}@"
    return f"{credentials}{parts.path}?host={hosts}&port={ports}&{parts.query}"


def examine(text: str) -> list[Finding]:
    """Return all faults of the URL."""
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
        *_servers(parts.server, parts.query),
        *_database(parts.path),
        *_parameters(parts.query),
    ]
    return findings or _disagreement(_as_sqlalchemy_reads(rest))


@dataclass(frozen=True, slots=True)
class _Parts:
    credentials: str | None
    server: str
    path: str
    query: str
    ended_early: bool = False


def _split(rest: str) -> _Parts:
    """Split the URL after its scheme. The authority ends at the first / ? or # (RFC 3986, 3.2)."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path, _, query = rest[len(authority) :].partition("?")
    if authority.count("@") > 1 or "@" in path or ("@" in query and "@" not in authority):
        # The password contains an @ / ? or #, so the last @ was probably meant.
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
        fault = "has an empty password (is the variable that it is built from set?)"
        findings.append(Finding(fault, f"write {FORM}"))
    for name, kind, part in (("user", Kind.WORD, user), ("password", Kind.KEY, password)):
        plain = unquote(part)
        if _in_quotes(plain):
            findings.append(Finding(f"has a {name} in quotes", "write it without the quotes"))
        elif is_reference(plain):
            fault = f"has a {name} that is a reference to a variable"
            findings.append(Finding(fault, f"write the {name}"))
        elif part and is_placeholder(plain, kind):
            fault = f"has a placeholder for the {name}"
            findings.append(Finding(fault, f"write the {name}", NOT_DEVELOPMENT))
    return findings


def _servers(server: str, query: str) -> list[Finding]:
    parameters = dict(parse_qsl(query))
    # libpq accepts a socket folder as a parameter: postgresql:///combine?host=/run/postgresql
    hosts = server or parameters.get("host", "")
    if not hosts:
        return [_NO_HOST]
    findings = [finding for each in server.split(",") if server for finding in _server(each)]
    ports = parameters.get("port", str(DEFAULT_PORT)).split(",")
    if len(ports) not in {1, len(hosts.split(","))} or not all(map(is_port, ports)):
        findings.append(_BAD_PORT)
    if "," in hosts and "target_session_attrs" not in parameters:
        fault = "names several hosts, of which some may be standbys"
        findings.append(Finding(fault, "add the parameter target_session_attrs=read-write"))
    return list(dict.fromkeys(findings))


def _server(server: str) -> list[Finding]:
    findings = []
    host, rest = _host_and_rest(server)
    if not host:
        findings.append(_NO_HOST)
    elif _in_quotes(host):
        findings.append(Finding("has a host in quotes", "write it without the quotes"))
    elif not is_host(host) or (":" in host) != server.startswith("["):
        remedy = "write a host name or an address (an IPv6 address in brackets)"
        findings.append(Finding("has an unusable host", remedy))
    # [::1]5432 has a port without its colon, and db: a colon without its port.
    if rest and not (rest.startswith(":") and is_port(rest[1:])):
        findings.append(_BAD_PORT)
    return findings


def _host_and_rest(server: str) -> tuple[str, str]:
    """Split a server into the host, without the brackets of an IPv6 address, and the rest."""
    match = re.match(r"\[([^\]]*)\]|([^:]*)", server)
    assert match is not None
    return match[1] or match[2] or "", server[match.end() :]


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
    pairs = parse_qsl(query, keep_blank_values=True)
    for key, value in pairs:
        if key in _NAMES:
            remedy = "remove it: Combine names its connections after their purpose"
            findings.append(Finding(f"has {key} among its parameters", remedy))
        elif key in _NO_PARAMETERS and not (key == "port" and "host" in dict(pairs)):
            findings.append(Finding(f"has {key} among its parameters", f"write {FORM}"))
        elif _as_libpq_reads(f"postgresql:///?{quote(key)}=") is None:
            # If the query contains an @, the name may be the rest of a password, so it is not shown.
            named = f" ({key})" if re.fullmatch(r"[a-z_]{1,40}", key) and "@" not in query else ""
            fault = f"has a parameter that PostgreSQL does not know{named}"
            findings.append(Finding(fault, "remove it"))
        if key == "sslmode" and value not in _SSL_MODES:
            remedy = f"write one of {' '.join(_SSL_MODES)}"
            findings.append(Finding("has an unknown sslmode", remedy))
    return findings


def _disagreement(rest: str) -> list[Finding]:
    """Check that SQLAlchemy and libpq parse the URL alike, so that psql and the service can share it."""
    libpq = _as_libpq_reads(f"postgresql://{rest}")
    url = make_url(f"{DRIVER}://{rest}")
    ours = {
        "user": url.username or None,
        "password": url.password,
        "dbname": url.database,
        "host": url.host or None,
        "port": str(url.port) if url.port else None,
        **url.query,
    }
    if libpq is None or any(libpq.get(key) != value for key, value in ours.items()):
        return [Finding("has unusable parameters", f"write {FORM}?name=value&name=value")]
    return []


def _as_libpq_reads(url: str) -> dict[str, str] | None:
    try:
        # This only parses the URL and does not connect.
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
