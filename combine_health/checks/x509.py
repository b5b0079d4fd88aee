"""From when until when a certificate holds, read from its bytes (X.690 DER, RFC 5280).

The standard library decodes only certificates that it has verified, and these are just those that
have not expired.
"""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(ValueError):
    """These bytes are no certificate."""


def certificates(pem: str) -> Iterator[bytes]:
    """The certificates in a PEM file, as DER; keys and comments are left alone."""
    for block in _PEM.findall(pem):
        try:
            yield ssl.PEM_cert_to_DER_cert(block)
        except ValueError as error:
            raise CertificateError("not base64") from error


def validity(der: bytes) -> tuple[datetime, datetime]:
    """When the certificate begins and ceases to hold. Raises `CertificateError`."""
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
    """The first ``most`` elements side by side in ``data``: tag and content."""
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
        # RFC 5280, 4.1.2.5.1: two digits from 50 on are of the twentieth century.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise CertificateError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
