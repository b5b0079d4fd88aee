"""Checks how soon the TLS certificate of a server or in a file expires.

The dates are read from the DER bytes (X.690, RFC 5280) because the standard library decodes only
certificates that it has verified, and an expired certificate fails that verification.
"""

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from combine_health.checks.network import (
    REMEDIES,
    address_problems,
    connect,
    deadline_of_run,
    explain,
)
from combine_health.engine.check import HealthResult
from combine_health.options import BuiltIn, days, flag, option, port, text

_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(ValueError):
    """The bytes are not a certificate."""


def certificates(pem: str) -> Iterator[bytes]:
    """Yield the certificates of a PEM file as DER. Raises `CertificateError`."""
    for block in _PEM.findall(pem):
        try:
            yield ssl.PEM_cert_to_DER_cert(block)
        except ValueError as error:
            raise CertificateError("not base64") from error


def validity(der: bytes) -> tuple[datetime, datetime]:
    """Return the start and end of the certificate's validity. Raises `CertificateError`."""
    try:
        (certificate,) = _elements(der, 1)
        to_be_signed, *_ = _elements(certificate[1], 1)
        fields = list(_elements(to_be_signed[1], 5))
        if fields[0][0] == _VERSION:
            fields = fields[1:]
        # serial number, signature algorithm, issuer, validity
        begins, ends = _elements(fields[3][1], 2)
        return _time(*begins), _time(*ends)
    except (IndexError, ValueError) as error:
        raise CertificateError("not a certificate") from error


def _elements(data: bytes, most: int) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of the first ``most`` sibling elements in ``data``."""
    start = 0
    while start < len(data) and most:
        tag, length, start = data[start], data[start + 1], start + 2
        if length & 0x80:
            size = length & 0x7F
            length, start = int.from_bytes(data[start : start + size]), start + size
        if start + length > len(data):
            raise CertificateError("cut off")
        yield tag, data[start : start + length]
        start += length
        most -= 1


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        # RFC 5280, 4.1.2.5.1: two-digit years from 50 on belong to the twentieth century.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise CertificateError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_CAUSES = {9: "not_yet_valid", 10: "expired", 62: "wrong_name", 64: "wrong_name"}
_LARGEST = 1024 * 1024  # bytes of a file
_now = partial(datetime.now, UTC)


@dataclass(frozen=True, slots=True)
class TlsExpiry(BuiltIn):
    """Degraded when a certificate expires soon, failing when it has expired or is about to.

    Set either ``host`` or ``file`` (PEM; the certificate that expires first counts). Unless ``verify``
    is false, the check verifies a server's certificate as a client does. Causes:
    ``expires_soon``, ``expired``, ``not_yet_valid``, ``wrong_name``, ``untrusted``,
    ``no_certificate``, ``not_tls``, and those of a TCP port.
    """

    host: str = option("host", text, "The server whose certificate to examine.", "")
    port: int = option("port", port, "Its port.", 443)
    file: str = option("path", text, "A PEM file to examine instead of a server.", "")
    warn_days: float = option("days", days, "Degraded with fewer days left.", 21.0)
    min_days: float = option("days", days, "Failing with fewer days left.", 3.0)
    server_name: str = option(
        "host", text, "Name to request (SNI), if it differs from the host.", ""
    )
    ca_file: str = option("path", text, "PEM file of the authorities to trust.", "")
    verify: bool = option("bool", flag, "Whether to verify name and authority too.", True)
    timeout: float | None = None
    """The time limit of the whole check, if it is shorter than that of a run."""
    now: Callable[[], datetime] = _now

    remedies: ClassVar[Mapping[str, str]] = {
        **REMEDIES,
        "expires_soon": "Renew the certificate, and find out why the automatic renewal failed.",
        "expired": "Renew the certificate and reload the server that uses it.",
        "not_yet_valid": "Check the clock of this machine, then the certificate's dates.",
        "wrong_name": "The certificate is for another name: check host, or the server's configuration.",
        "untrusted": "Install the whole chain on the server, or set ca_file to the authority's certificate.",
        "no_certificate": "The file contains no certificate, or cannot be read: check the path.",
        "not_tls": "The server on this port does not speak TLS: check the port.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 3600.0, "timeout": 5.0}

    def problems(self) -> Iterator[str]:
        if bool(self.host) == bool(self.file):
            yield "set either host or file"
        yield from address_problems(self.host or "file", self.port, self.timeout)
        if not 0 <= self.min_days <= self.warn_days:
            yield "min_days must be at least 0 and at most warn_days"

    def __call__(self, _registry: Any) -> HealthResult:
        try:
            found = self._of_file() if self.file else self._of_server()
        except ssl.SSLCertVerificationError as error:
            cause = _CAUSES.get(error.verify_code, "untrusted")
            return HealthResult.failing(cause, f"{self._place}: {error.verify_message}")
        except (CertificateError, _NoCertificateError) as error:
            return HealthResult.failing("no_certificate", f"{self._place}: {error}")
        except ssl.SSLError as error:
            cause = explain(error, otherwise="not_tls")
            return HealthResult.failing(cause, f"{self._place}: {error.reason or error}")
        except OSError as error:
            return HealthResult.failing(explain(error), f"{self._place}: {error}")
        return self._evaluate(*found)

    @property
    def _place(self) -> str:
        return self.file or f"{self.host}:{self.port}"

    def _evaluate(self, begins: datetime, ends: datetime) -> HealthResult:
        now = self.now()
        left = (ends - now) / timedelta(days=1)
        data = {
            "not_before": begins.isoformat(),
            "not_after": ends.isoformat(),
            "days_left": round(left, 1),
        }
        detail = f"{self._place}: the certificate expires on {ends:%Y-%m-%d}"
        if left <= 0:
            return HealthResult.failing("expired", detail, **data)
        if now < begins:
            detail = f"{self._place}: the certificate is not valid before {begins:%Y-%m-%d}"
            return HealthResult.failing("not_yet_valid", detail, **data)
        if left < self.min_days:
            return HealthResult.failing("expires_soon", detail, **data)
        if left < self.warn_days:
            return HealthResult.degraded("expires_soon", detail, **data)
        return HealthResult.healthy(detail, **data)

    def _of_file(self) -> tuple[datetime, datetime]:
        try:
            with Path(self.file).open(errors="replace") as file:
                pem = file.read(_LARGEST)
        except OSError as error:
            raise _NoCertificateError(error.strerror or "unreadable") from error
        found = [validity(der) for der in certificates(pem)]
        if not found:
            raise _NoCertificateError("the file contains no certificate")
        return min(found, key=lambda times: times[1])

    def _of_server(self) -> tuple[datetime, datetime]:
        context = ssl.create_default_context(cafile=self.ca_file or None)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        deadline = deadline_of_run(self.timeout)
        with closing(connect(self.host, self.port, deadline)) as connection:
            connection.settimeout(deadline.left)
            name = self.server_name or self.host
            with context.wrap_socket(connection, server_hostname=name) as secured:
                der = secured.getpeercert(binary_form=True)
        if der is None:
            raise _NoCertificateError("the server sends no certificate")
        return validity(der)


class _NoCertificateError(Exception):
    """There is no certificate to examine; the message gives the reason."""
