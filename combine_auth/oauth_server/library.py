"""pyramid-oauthlib 1.0 on oauthlib 4: the server object, and what is registered with it.

Its directives and its server are used as they are. Its ``includeme`` is not: besides them it adds the
request attributes that :mod:`combine_auth.oauth_server.wire` tells of.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyramid_oauthlib

from combine_auth.clients import GrantType
from combine_auth.oauth_server import lifetimes
from combine_auth.oauth_server.grant_types import (
    ClientCredentialsGrant,
    ClientToken,
    CodeGrant,
    DeviceGrant,
    RefreshTokenGrant,
    UnknownGrant,
)
from combine_auth.oauth_server.validator import Validator
from combine_core.settings import CoreSettings

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry

_VALIDATOR = "combine_auth.oauth_validator"


def includeme(config: Configurator) -> None:
    """Add the directives of pyramid-oauthlib, and register our grants and our token by them."""
    # Repair: not config.include("pyramid_oauthlib"), which makes form fields attributes of every
    # request, such as request.user, and claims these names for itself.
    config.registry.oauth = pyramid_oauthlib.Server()
    config.add_directive("add_grant_type", pyramid_oauthlib.add_grant_type)
    config.add_directive("add_response_type", pyramid_oauthlib.add_response_type)
    config.add_directive("add_token_type", pyramid_oauthlib.add_token_type)
    # Repair: at DEBUG oauthlib logs codes and refresh tokens.
    logging.getLogger("oauthlib").setLevel(logging.INFO)

    issuer = config.add_addon_settings(CoreSettings).public_url
    validator = Validator()
    config.registry[_VALIDATOR] = validator
    code = {"request_validator": validator, "issuer": issuer}
    config.add_response_type(CodeGrant, "code", **code)
    # Repair: answers a missing and an unknown response type, which otherwise fail on None.
    config.add_response_type(CodeGrant, "", **code)
    config.add_grant_type(CodeGrant, str(GrantType.AUTHORIZATION_CODE), **code)
    for grant_type, grant in (
        (GrantType.REFRESH_TOKEN, RefreshTokenGrant),
        (GrantType.CLIENT_CREDENTIALS, ClientCredentialsGrant),
        (GrantType.DEVICE_CODE, DeviceGrant),
        # Repair: the same for grant types.
        ("", UnknownGrant),
    ):
        config.add_grant_type(grant, str(grant_type), request_validator=validator)
    config.add_token_type(
        ClientToken,
        "",
        request_validator=validator,
        expires_in=int(lifetimes.ACCESS.total_seconds()),
    )


def server_of(registry: Registry) -> pyramid_oauthlib.Server:
    """The application's server, with its grants."""
    return registry.oauth


def validator_of(registry: Registry) -> Validator:
    """For the endpoints of oauthlib that pyramid-oauthlib has not."""
    validator: Validator = registry[_VALIDATOR]
    return validator
