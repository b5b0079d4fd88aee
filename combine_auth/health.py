"""The health check of combine_auth; the only module of it that knows combine_health.

The assembly names it in ``pyramid.includes``. Without it, or without combine_health, the rest works.

``sign_in``  for people to read: the providers, what to enter in their consoles, and whether they
             answer, and which sign-ins failed. It does not affect readiness: users stay signed in
             while a provider is away

``combine doctor -c production.ini`` prints it (runbook: *OAuth Login Fails*).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyramid.config import Configurator
from pyramid.registry import Registry
from sqlalchemy.exc import SQLAlchemyError

from combine_auth.openid import identity_providers, redirect_uri
from combine_auth.public_url import REMEDIES as REMEDIES_OF_ADDRESS
from combine_auth.public_url import Contradiction, is_pool_in_use, recent_contradictions
from combine_auth.settings import AuthSettings, SignUp
from combine_auth.sign_in.failure_counts import failure_counts
from combine_core.database import session_factory
from combine_core.settings import DEPLOYED, CoreSettings, settings_of
from combine_core.users import colliding_emails
from combine_health import HealthResult

if TYPE_CHECKING:
    from combine_auth.openid.client import OidcClient

INTERVAL_S = 60.0
# Older metadata is fetched again for the check; sign-ins use it, too. That is one small document per
# provider every five minutes.
MAX_AGE_S = 300.0
# Per provider; a little longer than the timeout of its client.
_TIMEOUT_S = 9.0

REGISTRATION = (
    "Verify client ID/secret are correct, and written without quotes. Check redirect URIs in provider"
    " console."
)
REMEDIES = {
    "provider_unreachable": (
        "Check the provider's status page, and the way from this machine to the internet (HTTPS_PROXY)."
        " The other providers still work."
    ),
    "provider_hidden": REGISTRATION,
    "no_provider": (
        "Set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET, or those of another provider, or nobody can"
        " sign in."
    ),
    "scheme_contradicts": REMEDIES_OF_ADDRESS[Contradiction.SCHEME],
    "one_address_twice": (
        "These pairs of accounts have one address in two spellings. Find out whose each is with combine"
        " user show, and give one of them another address: combine user set-email"
    ),
    "wrong_secret": (
        "The provider refuses NAME_CLIENT_SECRET: it expired, was deleted, or belongs to another client ID."
        f" Make a new one in the provider's console. {REGISTRATION}"
    ),
    "origin_missing": "Verify ALLOWED_ORIGINS includes your domain: the address in PUBLIC_URL.",
}
# What people see at the provider, which does not send them back.
_IF_WRONG = {
    "google": (
        "Google shows “Error 401: invalid_client” for a wrong client ID, “Error 400: redirect_uri_mismatch”"
        " for a wrong redirect URI"
    ),
    "microsoft": (
        "Microsoft shows AADSTS700016 for a wrong client ID, AADSTS50011 for a wrong redirect URI"
    ),
}
_IF_WRONG_ELSEWHERE = "the provider shows its own error page for a wrong client ID or redirect URI"


def sign_in(registry: Registry) -> HealthResult:
    """The providers that users can sign in with, and whether they answer."""
    core = settings_of(registry, CoreSettings)
    sign_up = settings_of(registry, AuthSettings).sign_up
    providers = identity_providers(registry)
    facts: dict[str, object] = {
        "public_url": core.public_url,
        "in_allowed_origins": core.public_url in core.allowed_origins,
        "sign_up": sign_up,
    }
    counts = failure_counts(registry)
    failed: dict[str, dict[str, int]] = {}
    for (provider, code), count in sorted(counts.by_provider_and_code().items()):
        failed.setdefault(provider, {})[code] = count
    if failed:
        facts["failed_sign_ins"] = failed
    away: list[str] = []
    for name, client in providers.clients.items():
        failure = client.check(MAX_AGE_S)
        facts[name] = _facts(client, core.public_url, failure.detail if failure else "answers")
        if failure is not None:
            away.append(f"{name}: {failure.detail}")
    for name, why in providers.hidden.items():
        facts[name] = {"offered": False, "why": why}
    if collisions := _collisions(registry):
        facts["one_address_twice"] = {
            "accounts": collisions,
            "remedy": REMEDIES["one_address_twice"],
        }
    contradictions = _contradictions(registry)
    for kind, address in contradictions.items():
        facts[f"contradicts_{kind}"] = {"request": address, "remedy": REMEDIES_OF_ADDRESS[kind]}

    if core.public_url not in core.allowed_origins:
        detail = f"{core.public_url} is not among ALLOWED_ORIGINS, so that its pages are refused"
        return HealthResult.degraded("origin_missing", detail, **facts)
    refused = counts.refusing_the_secret()
    if refused:
        detail = "; ".join(
            f"{name} refused {name.upper()}_CLIENT_SECRET in the last {count} sign-ins"
            for name, count in sorted(refused.items())
        )
        return HealthResult.degraded("wrong_secret", detail, **facts)
    if away:
        return HealthResult.degraded("provider_unreachable", "; ".join(away), **facts)
    if providers.faulty:
        hidden = "; ".join(f"{name}: {providers.hidden[name]}" for name in providers.faulty)
        return HealthResult.degraded("provider_hidden", hidden, **facts)
    if not providers.clients and core.environment in DEPLOYED:
        detail = "no provider is set up to sign in with"
        return HealthResult.degraded("no_provider", detail, **facts)
    if Contradiction.SCHEME in contradictions:
        detail = f"a request came for {contradictions[Contradiction.SCHEME]}, not {core.public_url}"
        return HealthResult.degraded("scheme_contradicts", detail, **facts)
    titles = [client.provider.title for client in providers.clients.values()]
    with_whom = f"people sign in with {' or '.join(titles)}" if titles else "no provider is set up"
    if titles and sign_up is SignUp.ANYONE and core.environment in DEPLOYED:
        with_whom += "; anyone gets an account (SIGN_UP=anyone)"
    return HealthResult.healthy(with_whom, **facts)


def _contradictions(registry: Registry) -> dict[Contradiction, str]:
    """Requests that contradict PUBLIC_URL; none without a database, whose faults other checks report."""
    try:
        return recent_contradictions(registry)
    except (LookupError, SQLAlchemyError):
        return {}


def _collisions(registry: Registry) -> list[str]:
    """Accounts whose addresses are one in two spellings; none without a database or a free connection."""
    try:
        if is_pool_in_use(registry):
            return []
        with session_factory(registry)() as session:
            return [f"{one} and {other}" for one, other in colliding_emails(session)]
    except (LookupError, SQLAlchemyError):
        return []


def _facts(client: OidcClient, public_url: str, state: str) -> dict[str, object]:
    """What the operator compares with the console of the provider."""
    provider = client.provider
    return {
        "offered": True,
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri(public_url, provider.name),
        "origin": public_url,
        "console": provider.console,
        "if_wrong": _IF_WRONG.get(provider.name, _IF_WRONG_ELSEWHERE),
        "issuer": provider.issuer,
        "state": state,
    }


def includeme(config: Configurator) -> None:
    """Add the check to the health add-on, and the secrets that it must never show."""
    config.include("combine_health")
    config.include("combine_auth")
    settings = config.add_addon_settings(AuthSettings)
    clients = identity_providers(config.registry).clients.values()
    config.add_health_check(
        "sign_in",
        sign_in,
        kind="info",
        interval=INTERVAL_S,
        timeout=_TIMEOUT_S * max(1, len(clients)),
        remedy=REGISTRATION,
        remedies=REMEDIES,
    )
    config.add_health_counter(
        "combine_auth_sign_in_failures",
        "Sign-ins that failed, since the process started.",
        ("provider", "code"),
        lambda registry: failure_counts(registry).by_provider_and_code(),
    )
    for secret in settings.secrets():
        config.add_health_secret(secret)
    for client in clients:
        # A plugin may bring its own.
        config.add_health_secret(client.provider.client_secret.get_secret_value())
