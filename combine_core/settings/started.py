"""The former place of :class:`combine_core.web.ServiceStarted`."""

from combine_core.web import ServiceStarted

__all__ = ["ServiceStarted"]
