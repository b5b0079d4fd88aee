"""The providers of one application: those that people may choose, and why others are not offered."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from combine_auth.openid.client import OidcClient
from combine_auth.openid.plugins import registered
from combine_auth.openid.shipped import GOOGLE, MICROSOFT, of_ones_own, set_up
from combine_auth.settings import AuthSettings, ProviderSettings

if TYPE_CHECKING:
    from pyramid.registry import Registry

log = logging.getLogger(__name__)

KEY = "combine_auth.providers"


@dataclass(frozen=True)
class Providers:
    """Whom people can sign in with.

    :ivar clients: by name, in the order of their buttons
    :ivar hidden: by name, why a provider is not offered, with the variable to set
    :ivar faulty: those of the hidden that somebody has tried to set up
    """

    clients: Mapping[str, OidcClient]
    hidden: Mapping[str, str]
    faulty: frozenset[str] = frozenset()


def providers_of(registry: Registry) -> Providers:
    """The providers of this application."""
    providers: Providers = registry[KEY]
    return providers


def make_providers(settings: AuthSettings, ini: Mapping[str, Any]) -> Providers:
    """The providers that the settings name, and those of plugins that need no settings. No I/O.

    What is named and lacks something is hidden, and named in one warning.

    :param ini: the application's settings, for plugins
    """
    templates = {GOOGLE.name: GOOGLE, MICROSOFT.name: MICROSOFT}
    templates |= registered(ini, settings.disabled_provider_plugins)
    clients: dict[str, OidcClient] = {}
    unset: dict[str, str] = {}
    faulty: dict[str, str] = {}
    for name in settings.auth_providers:
        given = settings.of_provider(name)
        template = templates.pop(name, None)
        if template is None and given.issuer is not None:
            template = of_ones_own(name, given.issuer)
        # What a template brings of its own needs no variable.
        lacking = "" if template and template.client_id else _lacking(given)
        faults = "; ".join(map(str, given.faults))
        if faults:
            faulty[name] = faults
        elif lacking:
            unset[name] = lacking
        elif template is None:
            faulty[name] = f"{given.issuer_variable} is not set: write the issuer of {name}"
        else:
            clients[name] = OidcClient(set_up(template, given, settings))
    for name, template in templates.items():
        if template.client_id:
            clients[name] = OidcClient(template)
    if "auth_providers" in settings.model_fields_set:
        # Somebody wrote their names, and expects to see them.
        faulty, unset = {**unset, **faulty}, {}
    _tell(clients, unset, faulty)
    hidden = MappingProxyType({**unset, **faulty})
    return Providers(MappingProxyType(clients), hidden, frozenset(faulty))


def _lacking(given: ProviderSettings) -> str:
    """What is to be set, if id or secret is not."""
    if given.client_id and given.client_secret:
        return ""
    return f"{given.client_id_variable} and {given.client_secret_variable} are not set: set both"


def _tell(
    clients: Mapping[str, OidcClient], unset: Mapping[str, str], faulty: Mapping[str, str]
) -> None:
    if faulty:
        listed = "; ".join(f"{name} ({why})" for name, why in faulty.items())
        log.warning("sign-in: hidden until its settings are mended: %s", listed)
    if unset:
        listed = "; ".join(f"{name} ({why})" for name, why in unset.items())
        log.info("sign-in: not configured: %s", listed)
    if clients:
        log.info("sign-in: offered: %s", ", ".join(clients))
