"""The built-in checks, which need only the standard library.

=============  ================  =====================================================
``use``        class             what it examines
=============  ================  =====================================================
``disk``       `DiskSpace`       free bytes, percent and inodes of a file system
``memory``     `MemoryLimit`     memory in use against the cgroup, or the machine
``open_files`` `OpenFiles`       open files and sockets against ``ulimit -n``
``clock``      `ClockJumps`      a wall clock that was moved, or never set
``tls``        `TlsExpiry`       days left of a server's certificate, or of one in a file
``tcp``        `TcpPort`         a port that accepts connections
``http``       `HttpUrl`         a URL that answers with the right status and text
``dns``        `DnsName`         a name that resolves
=============  ================  =====================================================

From code, and the same from the ini::

    config.use_health_check("uploads", "disk", path="/srv/uploads", min_free_percent=10)

    combine_health.check.uploads.use = disk
    combine_health.check.uploads.path = /srv/uploads
    combine_health.check.uploads.min_free_percent = 10

``config.use_health_check`` also takes the arguments of ``config.add_health_check``. By default these
checks are not critical: a disk or a service that all instances share would otherwise take all of
them out of rotation at once. Each class lists its cause codes; ``remedies`` maps them to remedies.
"""

from collections.abc import Mapping

from combine_health.checks.built_in import BuiltIn
from combine_health.checks.http_url import HttpUrl
from combine_health.checks.machine import ClockJumps, DiskSpace, OpenFiles
from combine_health.checks.memory_limit import MemoryLimit
from combine_health.checks.network import DnsName, TcpPort
from combine_health.checks.tls_expiry import TlsExpiry

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
"""The classes by the names that the ini uses."""
