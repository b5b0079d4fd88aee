"""Declares the settings of combine_auth."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import SecretStr

from combine_auth import provider_settings
from combine_auth import setting_values as values
from combine_core.settings.declaration import (
    DEPLOYED,
    NOT_DEVELOPMENT,
    NOWHERE,
    AddonSettings,
    Environment,
    Finding,
    Given,
    Kind,
    parsed,
    setting,
)
from combine_core.settings.values import one_of, switch, words
from combine_core.users import clean_domain

SHIPPED = ("google", "microsoft")
# In these environments a provider may run on the same machine.
_LOOPBACK_IN = (Environment.DEVELOPMENT, Environment.TEST)

CaFile = Annotated[Path | None, parsed(Path)]


class SignUp(StrEnum):
    """The people who get an account at their first sign-in with a provider."""

    INVITED = "invited"
    DOMAINS = "domains"
    ANYONE = "anyone"


def _ca_file(variable: str, help_: str) -> Any:
    return setting(
        variable=variable,
        kind=Kind.PROSE,
        shape="PEM file",
        default_shown="those of certifi",
        help=help_,
    )


class AuthSettings(AddonSettings):
    """The identity providers, administrators and rate limits."""

    addon: ClassVar[str] = "combine_auth"
    named_by: ClassVar[str] = "auth_providers"

    auth_providers: Annotated[tuple[str, ...], parsed(values.provider_names)] = setting(
        SHIPPED,
        variable="AUTH_PROVIDERS",
        key="providers",
        write="write names such as google microsoft okta",
        shape="names, separated by commas or spaces",
        help="The identity providers, in the order of their buttons. Any name except google and "
        "microsoft is an OpenID Connect provider of your own, and needs NAME_ISSUER.",
    )
    google_client_id: provider_settings.ClientId = provider_settings.client_id(
        "google", "write the client ID that Google's console shows"
    )
    google_client_secret: provider_settings.ClientSecret = provider_settings.client_secret(
        "google", "write the client secret that Google's console shows"
    )
    google_issuer: provider_settings.Issuer = provider_settings.issuer(
        "google", "The issuer, if it is not Google itself.", values.GOOGLE_ISSUER
    )
    google_hosted_domains: provider_settings.Domains = setting(
        (),
        variable="GOOGLE_HOSTED_DOMAINS",
        key="google.hosted_domains",
        shape="domains, separated by commas or spaces",
        default_shown="any account",
        help="The Google Workspace domains whose people may sign in (the claim `hd`).",
    )
    google_email_domains: provider_settings.Domains = provider_settings.email_domains("google")
    microsoft_client_id: provider_settings.ClientId = provider_settings.client_id(
        "microsoft", "write the Application (client) ID from the Azure portal"
    )
    microsoft_client_secret: provider_settings.ClientSecret = provider_settings.client_secret(
        "microsoft", "write the value of the client secret, not its ID, from the Azure portal"
    )
    microsoft_issuer: provider_settings.Issuer = provider_settings.issuer(
        "microsoft",
        "The issuer of another Microsoft cloud; `{tenantid}` is the placeholder for the tenant.",
        "https://login.microsoftonline.com/{tenantid}/v2.0",
    )
    microsoft_tenants: Annotated[tuple[str, ...], parsed(values.tenants)] = setting(
        (),
        variable="MICROSOFT_TENANTS",
        key="microsoft.tenants",
        shape="tenant ids, separated by commas or spaces",
        default_shown="any tenant",
        help="The Microsoft tenants whose people may sign in; `organizations` means all except "
        "personal accounts.",
    )
    microsoft_email_domains: provider_settings.Domains = provider_settings.email_domains(
        "microsoft"
    )
    requests_ca_bundle: CaFile = _ca_file(
        "REQUESTS_CA_BUNDLE",
        "The certificate authorities that are trusted for identity providers.",
    )
    ssl_cert_file: CaFile = _ca_file(
        "SSL_CERT_FILE",
        "The same, if REQUESTS_CA_BUNDLE is not set. As an environment variable it also applies to models.",
    )
    sign_up: Annotated[SignUp, parsed(one_of(SignUp))] = setting(
        SignUp.ANYONE,
        variable="SIGN_UP",
        write="write invited, domains or anyone",
        shape="invited, domains or anyone",
        default_shown="invited; anyone in development and test",
        help="Who gets an account at the first sign-in: only people who were invited "
        "(`combine user create`), people in SIGN_UP_DOMAINS, or anyone whom a provider lets in.",
    )
    sign_up_domains: provider_settings.Domains = setting(
        (),
        variable="SIGN_UP_DOMAINS",
        write="write domains such as example.com",
        shape="domains, separated by commas or spaces",
        help="With SIGN_UP=domains: the domains of the verified e-mail addresses that get an account.",
    )
    admin_subjects: Annotated[tuple[str, ...], parsed(values.subjects)] = setting(
        (),
        variable="ADMIN_SUBJECTS",
        shape="issuer|subject, separated by commas or spaces",
        help="The identities that become administrators when they sign in. An identity that is removed "
        "from the list loses these rights. The page /account shows issuer and subject.",
    )
    rate_limits: Annotated[bool, parsed(switch)] = setting(
        True,
        shape="true or false",
        help="Limits how often one client may try to sign in or request tokens.",
    )
    address_limits: Annotated[tuple[str, ...], parsed(values.address_limits)] = setting(
        (),
        shape="KIND=NUMBER, separated by commas or spaces",
        default_shown="sign-in=60 callback=60 invitation=20 authorize=60 device=30 token=300 and so on",
        help="How many requests of a kind one client address may send in a minute. Raise `sign-in` and "
        "`callback` if many people share one address (NAT).",
    )
    rate_limit_storage: Annotated[SecretStr, parsed(values.storage)] = setting(
        SecretStr("memory://"),
        variable="RATE_LIMIT_STORAGE",
        secret=True,
        mask=values.storage_masked,
        write="write memory:// or redis://HOST:6379/0",
        shape="memory:// or redis://HOST:PORT/NUMBER",
        default_shown="memory://",
        help="Where requests are counted for the rate limits: in the memory of each process, or in a Redis "
        "server that all processes share.",
    )
    disabled_provider_plugins: Annotated[tuple[str, ...], parsed(words)] = setting(
        (),
        shape="names, separated by commas or spaces",
        help="Installed packages whose identity providers are not loaded (entry-point group "
        "`combine.auth_providers`).",
    )
    local_sign_in: Annotated[bool, parsed(switch)] = setting(
        False,
        shape="true or false",
        help="Adds a button that signs in as a local user, on loopback only, for development. "
        "In any other environment the service refuses to start with it.",
    )

    @property
    def ca_file(self) -> Path | None:
        """The CA certificates to verify providers with; ``None`` for the default ones."""
        return self.requests_ca_bundle or self.ssl_cert_file

    @classmethod
    def of_name(cls, name: str) -> Mapping[str, tuple[Any, Any]]:
        """Return the settings of one provider. Google and Microsoft keep the fields of this class."""
        return provider_settings.settings_of_name(name)

    def of_provider(self, name: str) -> provider_settings.IdentityProviderSettings:
        """Return the settings of a provider in `auth_providers`. Raises LookupError for others."""
        declared = {one.field for one in self.declared()}
        if f"{name}_issuer" not in declared:
            raise LookupError(f"{name} is not among AUTH_PROVIDERS")
        configured = {
            one.name: getattr(self, f"{name}_{one.name}")
            for one in fields(provider_settings.IdentityProviderSettings)
            # load_all declares those that this class does not.
            if f"{name}_{one.name}" in declared
        }
        registration = ("client_id", "client_secret", "client_key_file")
        faults = tuple(fault for one in registration for fault in self.faults(f"{name}_{one}"))
        return provider_settings.IdentityProviderSettings(**configured, faults=faults)

    @classmethod
    def derived_values(cls, given: Given) -> Mapping[str, Any]:
        """Resolve paths from the ini file, and the default of `sign_up` from the environment."""
        found = {
            field: given.place.here / value
            for field, value in given.usable.items()
            if field.endswith("_client_key_file")
        }
        if "sign_up" not in given and given.place.environment in DEPLOYED:
            found["sign_up"] = SignUp.INVITED
        return found

    def may_sign_up(self, email: str | None) -> bool:
        """Check whether a person without an invitation may get an account.

        :param email: the person's address, if a provider has verified it
        """
        if self.sign_up is SignUp.DOMAINS:
            domain = clean_domain((email or "").rpartition("@")[2])
            return domain in map(clean_domain, self.sign_up_domains)
        return self.sign_up is SignUp.ANYONE

    def findings(self, given: Given) -> Iterable[tuple[str, Finding]]:
        environment = given.place.environment
        if self.local_sign_in and environment in NOT_DEVELOPMENT:
            problem = f"is on, so anyone could sign in, and this is {environment}"
            remedy = "write combine_auth.local_sign_in = false, or ENVIRONMENT=development"
            yield "local_sign_in", Finding(problem, remedy, NOT_DEVELOPMENT)
        if self.sign_up is SignUp.DOMAINS and not self.sign_up_domains:
            yield "sign_up_domains", Finding("is not set, although SIGN_UP is domains")
        if self.sign_up is SignUp.ANYONE and environment in DEPLOYED:
            problem = "is anyone: every person with a provider account gets in and causes costs"
            yield "sign_up", Finding(problem, "write invited or domains, or ignore this", NOWHERE)
        for field in ("requests_ca_bundle", "ssl_cert_file"):
            if field in given:
                yield from ((field, one) for one in values.examine_authorities(given.usable[field]))
        for name in dict.fromkeys((*SHIPPED, *self.auth_providers)):
            yield from self._incomplete_registration(name, given)
            for field in (f"{name}_issuer", f"{name}_discovery_url"):
                problem = _http_problem(getattr(self, field, None), environment)
                if problem:
                    yield field, Finding(problem, "write the provider's https address")

    def _incomplete_registration(self, name: str, given: Given) -> Iterable[tuple[str, Finding]]:
        client_id, secret, key = (
            f"{name}_{one}" for one in ("client_id", "client_secret", "client_key_file")
        )
        if key in given:
            if not given.lacks(secret):
                problem = f"is set, and so is {secret.upper()}"
                yield key, Finding(problem, "remove one of them")
            secret = key
        for one, other in ((client_id, secret), (secret, client_id)):
            if given.lacks(one) and not given.lacks(other):
                problem = f"is not set, although {other.upper()} is"
                yield one, Finding(problem, f"set {one.upper()}, or remove {other.upper()}")


def _http_problem(address: str | None, environment: Environment) -> str:
    """Return the reason why this address must not use http; empty if it uses https, or may use http."""
    if not address or not values.uses_http(address):
        return ""
    if not values.is_on_loopback(address):
        return "is http, so anyone on the network path could sign in as anyone"
    return "" if environment in _LOOPBACK_IN else f"is http on loopback, and this is {environment}"
