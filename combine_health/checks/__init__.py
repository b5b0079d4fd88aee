"""Provides the built-in checks, which need only the standard library.

Declare one in code, or the same one in the ini file::

    config.use_health_check("uploads", "disk", path="/srv/uploads", min_free_percent=10)

    combine_health.check.uploads.use = disk
    combine_health.check.uploads.path = /srv/uploads
    combine_health.check.uploads.min_free_percent = 10

``config.use_health_check`` also takes the arguments of ``config.add_health_check``. By default these
checks are not critical: otherwise the failure of a disk or a service that all instances share would
take all instances out of rotation at once. Each class lists its cause codes, and ``remedies`` maps
them to remedies.
"""

from collections.abc import Mapping

from combine_health.checks.http_url import HttpUrl
from combine_health.checks.machine import ClockJumps, DiskSpace, OpenFiles
from combine_health.checks.memory_limit import MemoryLimit
from combine_health.checks.network import DnsName, TcpPort
from combine_health.checks.tls_expiry import TlsExpiry
from combine_health.options import BuiltIn

__all__ = [
    "BUILT_IN",
    "ClockJumps",
    "DiskSpace",
    "DnsName",
    "HttpUrl",
    "MemoryLimit",
    "OpenFiles",
    "TcpPort",
    "TlsExpiry",
]

BUILT_IN: Mapping[str, type[BuiltIn]] = {
    "disk": DiskSpace,
    "memory": MemoryLimit,
    "open_files": OpenFiles,
    "clock": ClockJumps,
    "tls": TlsExpiry,
    "tcp": TcpPort,
    "http": HttpUrl,
    "dns": DnsName,
}
"""The classes by their names in ``combine_health.check.NAME.use``."""
