"""Declares the settings that every identity provider has."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import SecretStr

from combine_auth import setting_values as values
from combine_core.settings.declaration import ANY_NAME, Kind, Problem, parsed, setting
from combine_core.settings.values import one_word, switch

ClientId = Annotated[str | None, parsed(one_word)]
ClientSecret = Annotated[SecretStr | None, parsed(lambda text: SecretStr(one_word(text)))]
Issuer = Annotated[str | None, parsed(values.issuer)]
Domains = Annotated[tuple[str, ...], parsed(values.domains)]


@dataclass(frozen=True, slots=True)
class IdentityProviderSettings:
    """The settings of one provider.

    :ivar faults: the reasons why a configured client ID, secret or key is not used
    """

    client_id: str | None = None
    client_secret: SecretStr | None = None
    client_key_file: Path | None = None
    issuer: str | None = None
    discovery_url: str | None = None
    title: str | None = None
    scopes: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()
    email_domains: tuple[str, ...] = ()
    recognise_by_oid: bool | None = None
    faults: tuple[Problem, ...] = ()


def client_id(name: str, write: str) -> Any:
    return setting(
        variable=f"{name.upper()}_CLIENT_ID",
        key=f"{name}.client_id",
        tolerated=True,
        write=f"{write}, or remove the variable",
        shape="client ID",
        help=f"The client ID of the service's registration with {_display_name(name)}. Set it together with "
        f"{name.upper()}_CLIENT_SECRET; without both, people cannot sign in there.",
    )


def client_secret(name: str, write: str) -> Any:
    return setting(
        variable=f"{name.upper()}_CLIENT_SECRET",
        key=f"{name}.client_secret",
        secret=True,
        tolerated=True,
        kind=Kind.KEY,
        write=f"{write}, or remove the variable",
        shape="client secret",
        help="The client secret of that registration.",
    )


def issuer(name: str, help_: str, default_shown: str = "") -> Any:
    return setting(
        variable=f"{name.upper()}_ISSUER",
        key=f"{name}.issuer",
        write="write the issuer exactly as the provider documents it",
        shape="http(s) URL",
        default_shown=default_shown,
        help=f"{help_} http is accepted only on loopback, in development and test.",
    )


def email_domains(name: str) -> Any:
    return setting(
        (),
        variable=f"{name.upper()}_EMAIL_DOMAINS",
        key=f"{name}.email_domains",
        shape="domains, separated by commas or spaces",
        default_shown="any domain",
        help=f"Only people with a verified e-mail address in these domains may sign in with "
        f"{_display_name(name)}.",
    )


def settings_of_name(name: str) -> Mapping[str, tuple[Any, Any]]:
    """Return the annotation and declaration of each setting of a provider, by field."""
    title = _display_name(name)
    return {
        f"{name}_client_id": (
            ClientId,
            client_id(name, f"write the client ID of the registration with {title}"),
        ),
        f"{name}_client_secret": (
            ClientSecret,
            client_secret(name, "write the client secret of that registration"),
        ),
        f"{name}_issuer": (
            Issuer,
            issuer(name, f"The issuer of {title}, exactly as its discovery document has it."),
        ),
        f"{name}_client_key_file": (
            Annotated[Path | None, parsed(Path)],
            setting(
                variable=f"{name.upper()}_CLIENT_KEY_FILE",
                key=f"{name}.client_key_file",
                tolerated=True,
                kind=Kind.PROSE,
                shape="file",
                help="A private key, as JWK or PEM, that replaces "
                f"{name.upper()}_CLIENT_SECRET (private_key_jwt). A PEM file may include the certificate, "
                "which Microsoft requires. A relative path starts at the directory of the ini file.",
            ),
        ),
        f"{name}_discovery_url": (
            Annotated[str | None, parsed(values.discovery_url)],
            setting(
                variable=f"{name.upper()}_DISCOVERY_URL",
                key=f"{name}.discovery_url",
                shape="http(s) URL",
                default_shown="the issuer, with /.well-known/openid-configuration",
                help="The address of the discovery document, if it does not follow from the issuer. "
                "Azure B2C requires it.",
            ),
        ),
        f"{name}_title": (
            str | None,
            setting(
                variable=f"{name.upper()}_TITLE",
                key=f"{name}.title",
                kind=Kind.PROSE,
                default_shown="the name, capitalized",
                help="The name on its button.",
            ),
        ),
        f"{name}_scopes": (
            Annotated[tuple[str, ...], parsed(values.scopes)],
            setting(
                (),
                variable=f"{name.upper()}_SCOPES",
                key=f"{name}.scopes",
                shape="scopes, openid among them",
                default_shown="openid email profile",
                help="The scopes to request.",
            ),
        ),
        f"{name}_algorithms": (
            Annotated[tuple[str, ...], parsed(values.algorithms)],
            setting(
                (),
                variable=f"{name.upper()}_ALGORITHMS",
                key=f"{name}.algorithms",
                shape=" ".join(values.ALGORITHMS),
                default_shown="RS256",
                help="The algorithms accepted for the signature of ID tokens, if the provider does not "
                "use RS256. A token with any other algorithm is rejected.",
            ),
        ),
        f"{name}_email_domains": (Domains, email_domains(name)),
        f"{name}_recognise_by_oid": (
            Annotated[bool | None, parsed(switch)],
            setting(
                variable=f"{name.upper()}_RECOGNISE_BY_OID",
                key=f"{name}.recognise_by_oid",
                shape="true or false",
                default_shown="true for microsoft, false for others",
                help="Identifies a person by Microsoft's tenant and object id (`tid`, `oid`) if the "
                "subject is unknown, as it is after the service is registered anew at Entra.",
            ),
        ),
    }


def _display_name(name: str) -> str:
    return "the provider NAME" if name == ANY_NAME else name.replace("_", " ").title()
