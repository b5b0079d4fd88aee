"""Web addresses in settings: origins, the public URL, base URLs of APIs."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from combine_core.settings.problems import Finding, Unusable
from combine_core.settings.values import words

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FORM = "scheme://host or scheme://host:port"


def is_host(text: str) -> bool:
    """Whether `text` is a host name, an IPv4 address, or an IPv6 address without brackets."""
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return False
        return True
    name = text.removesuffix(".")
    return 0 < len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


def is_port(text: str) -> bool:
    """Whether `text` is a port number, 1 to 65535, in ASCII digits."""
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= 65535


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_of(origin: str) -> str:
    """The host of an origin that :func:`origin` has accepted."""
    return urlsplit(origin).hostname or ""


def origin(text: str) -> str:
    """An origin as browsers send it: scheme and host in lower case, no default port, no path.

    Raises Unusable with what to write in its place (RFC 6454, section 6.2).
    """
    if text == "null":
        raise Unusable(Finding("is null, which every sandboxed page sends", f"write {_FORM}"))
    if "*" in text:
        raise Unusable(
            Finding("holds a wildcard, which would let in sites of others", f"write {_FORM}, each")
        )
    parts = _web_url(text)
    plain = _origin_of(parts)
    extras = [
        name
        for name, present in (
            ("a trailing slash", parts.path == "/"),
            ("a path", parts.path not in ("", "/")),
            ("a query", "?" in text),
            ("a fragment", "#" in text),
        )
        if present
    ]
    if extras:
        raise Unusable(Finding(f"has {' and '.join(extras)}", f"write {plain}"))
    return plain


def origins(text: str) -> tuple[str, ...]:
    """A list of origins, each once, in the order given."""
    findings: list[Finding] = []
    accepted: dict[str, None] = {}
    entries = words(text)
    if not entries:
        raise Unusable(Finding("holds no origin", f"write {_FORM}"))
    for number, entry in enumerate(entries, 1):
        try:
            accepted[origin(entry)] = None
        except Unusable as problem:
            where = f"entry {number} " if len(entries) > 1 else ""
            findings += [
                Finding(f"{where}{found.what}", found.remedy) for found in problem.findings
            ]
    if findings:
        raise Unusable(*findings)
    return tuple(accepted)


def base_url(text: str) -> str:
    """The address of an API, with or without a path; without a slash at its end."""
    parts = _web_url(text)
    if "?" in text or "#" in text:
        raise Unusable(
            Finding("has a query or a fragment", "write the address up to the path, nothing behind")
        )
    return _origin_of(parts) + parts.path.rstrip("/")


def _web_url(text: str) -> SplitResult:
    """The parts of an http(s) URL; every unusable part is named."""
    if re.search(r"[\s\\\x00-\x1f]", text):
        raise Unusable(Finding("contains a space or a backslash", f"write {_FORM}"))
    scheme, separator, _ = text.partition("://")
    if not separator:
        raise Unusable(Finding("has no scheme", "write https:// (or http://) before the host"))
    try:
        parts = urlsplit(text)
        hostname = parts.hostname or ""
    except ValueError:
        raise Unusable(Finding("has an unusable host", f"write {_FORM}")) from None
    findings = []
    if scheme.lower() not in _DEFAULT_PORTS:
        findings.append(Finding("has a scheme that is not http or https", "write https://"))
    if "@" in parts.netloc:
        findings.append(Finding("holds a user name or password", "leave out the part up to @"))
    if not hostname:
        findings.append(Finding("has no host", f"write {_FORM}"))
    elif not is_host(hostname):
        findings.append(Finding("has an unusable host", _host_remedy(hostname)))
    _, colon, port = parts.netloc.rpartition("@")[2].rpartition("]")[2].partition(":")
    if colon and not is_port(port):
        findings.append(Finding("has a port that is not from 1 to 65535", f"write {_FORM}"))
    if findings:
        raise Unusable(*findings)
    return parts


def _host_remedy(hostname: str) -> str:
    try:
        ascii_name = hostname.encode("idna").decode("ascii")
    except UnicodeError:
        ascii_name = ""
    if ascii_name != hostname and is_host(ascii_name):
        return f"write the host as {ascii_name}"
    return "write a host name or an IP address"


def _origin_of(parts: SplitResult) -> str:
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    default = parts.port in (None, _DEFAULT_PORTS[scheme])
    return f"{scheme}://{host}" if default else f"{scheme}://{host}:{parts.port}"
