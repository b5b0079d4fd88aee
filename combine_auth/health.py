"""The health check ``sign_in``. This is the only module of combine_auth that imports combine_health.

The ini file includes it with ``pyramid.includes``. combine_auth works without it.

The check reports the providers, the values to enter in their consoles, whether they respond, and which
sign-ins failed. It does not affect readiness, because users stay signed in during a provider's outage.

``combine doctor -c production.ini`` prints the result (runbook: *OAuth Login Fails*).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pyramid.config import Configurator
from pyramid.registry import Registry
from sqlalchemy.exc import SQLAlchemyError

from combine_auth.openid import identity_providers, redirect_uri
from combine_auth.public_url import REMEDIES as REMEDIES_OF_ADDRESS
from combine_auth.public_url import Contradiction, is_pool_in_use, recent_contradictions
from combine_auth.settings import AuthSettings, SignUp
from combine_auth.sign_in.failures import failure_counts
from combine_core.database import session_factory
from combine_core.settings import DEPLOYED, CoreSettings, settings_of
from combine_core.users import colliding_emails
from combine_health import HealthResult

if TYPE_CHECKING:
    from combine_auth.openid.client import OidcClient

INTERVAL_S = 60.0
# The check fetches metadata older than this again. Sign-ins use the same cache.
MAX_AGE_S = 300.0
# Per provider; slightly longer than the timeout of its client.
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
        "Set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET, or the same settings of another provider."
        " Until then nobody can sign in."
    ),
    "scheme_contradicts": REMEDIES_OF_ADDRESS[Contradiction.SCHEME],
    "one_address_twice": (
        "These pairs of accounts share an address in two spellings. Find the owner of each with combine"
        " user show, and change the address of one: combine user set-email"
    ),
    "wrong_secret": (
        "The provider refuses NAME_CLIENT_SECRET: it expired, was deleted, or belongs to another client ID."
        f" Make a new one in the provider's console. {REGISTRATION}"
    ),
    "origin_missing": "Verify ALLOWED_ORIGINS includes your domain: the address in PUBLIC_URL.",
}
# The error page that the provider shows instead of redirecting back.
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
    """Check the providers, the settings of sign-in, and the sign-ins that failed."""
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
    unreachable: list[str] = []
    for name, client in providers.clients.items():
        failure = client.check(MAX_AGE_S)
        facts[name] = _facts(client, core.public_url, failure.detail if failure else "answers")
        if failure is not None:
            unreachable.append(f"{name}: {failure.detail}")
    for name, why in providers.hidden.items():
        facts[name] = {"offered": False, "why": why}
    contradictions, collisions = _findings(registry)
    if collisions:
        facts["one_address_twice"] = {
            "accounts": collisions,
            "remedy": REMEDIES["one_address_twice"],
        }
    for kind, address in contradictions.items():
        facts[f"contradicts_{kind}"] = {"request": address, "remedy": REMEDIES_OF_ADDRESS[kind]}

    if core.public_url not in core.allowed_origins:
        detail = f"ALLOWED_ORIGINS lacks {core.public_url}, so forms of its pages are rejected"
        return HealthResult.degraded("origin_missing", detail, **facts)
    refusals = counts.secret_refusals()
    if refusals:
        detail = "; ".join(
            f"{name} refused {name.upper()}_CLIENT_SECRET in the last {count} sign-ins"
            for name, count in sorted(refusals.items())
        )
        return HealthResult.degraded("wrong_secret", detail, **facts)
    if unreachable:
        return HealthResult.degraded("provider_unreachable", "; ".join(unreachable), **facts)
    if providers.faulty:
        hidden = "; ".join(f"{name}: {providers.hidden[name]}" for name in providers.faulty)
        return HealthResult.degraded("provider_hidden", hidden, **facts)
    if not providers.clients and core.environment in DEPLOYED:
        detail = "no identity provider is configured"
        return HealthResult.degraded("no_provider", detail, **facts)
    if Contradiction.SCHEME in contradictions:
        detail = f"a request came for {contradictions[Contradiction.SCHEME]}, not {core.public_url}"
        return HealthResult.degraded("scheme_contradicts", detail, **facts)
    titles = [client.provider.title for client in providers.clients.values()]
    detail = f"people sign in with {' or '.join(titles)}" if titles else "no provider is set up"
    if titles and sign_up is SignUp.ANYONE and core.environment in DEPLOYED:
        detail += "; anyone gets an account (SIGN_UP=anyone)"
    return HealthResult.healthy(detail, **facts)


def _findings(registry: Registry) -> tuple[dict[Contradiction, str], list[str]]:
    """Return the requests that contradict PUBLIC_URL, and the pairs of accounts that share an address.

    Both are empty without a database, which other checks report, and without a free connection.
    """
    contradictions: dict[Contradiction, str] = {}
    collisions: list[str] = []
    # If the first query fails, the second is skipped: the check has no time to wait twice for a connection.
    with suppress(LookupError, SQLAlchemyError):
        contradictions = recent_contradictions(registry)
        if not is_pool_in_use(registry):
            with session_factory(registry)() as session:
                collisions = [f"{one} and {other}" for one, other in colliding_emails(session)]
    return contradictions, collisions


def _facts(client: OidcClient, public_url: str, state: str) -> dict[str, object]:
    """Return the values that the operator compares with the provider's console."""
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
    """Register the health check, the failure counter, and the secrets to redact."""
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
        "Failed sign-ins since the process started.",
        ("provider", "code"),
        lambda registry: failure_counts(registry).by_provider_and_code(),
    )
    for secret in settings.secrets():
        config.add_health_secret(secret)
    for client in clients:
        # A plugin may have a secret that is not in the settings.
        config.add_health_secret(client.provider.client_secret.get_secret_value())
