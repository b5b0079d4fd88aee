"""The settings of combine_core."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import SecretStr

from combine_core.settings import values
from combine_core.settings.database_url import FORM, examine, masked, parse_database_url
from combine_core.settings.declaration import (
    DEPLOYED,
    NOT_DEVELOPMENT,
    NOWHERE,
    AddonSettings,
    Environment,
    Finding,
    Given,
    Kind,
    Unusable,
    parsed,
    setting,
)
from combine_core.settings.values import one_of, one_word, size, switch, whole

# For development and test only. Staging and production reject it, because it is public.
DEVELOPMENT_KEY = "combine-development-key-which-everyone-knows"
SECRET_KEY_LENGTH = 32
MAKE_A_KEY = 'python3 -c "import secrets; print(secrets.token_hex(32))"'


class LogLevel(StrEnum):
    """A log level of the standard library."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class LogFormat(StrEnum):
    """The format of log lines: text for people, json for programs."""

    TEXT = "text"
    JSON = "json"


class SmtpTls(StrEnum):
    """The encryption of the connection to the mail server."""

    STARTTLS = "starttls"
    TLS = "tls"
    OFF = "off"


def _keys(text: str) -> tuple[SecretStr, ...]:
    # A key may contain a comma.
    return tuple(SecretStr(key) for key in dict.fromkeys(text.split()))


def _mail_host(text: str) -> str:
    if not values.is_host(text):
        raise Unusable(Finding("is not a host name"))
    return text


def _mail_address(text: str) -> str:
    if not re.fullmatch(r"[^\s@<>,;:\"()]+@[^\s@<>,;:\"()]+", text):
        raise Unusable(Finding("is not a mail address"))
    return text


ApiKey = Annotated[SecretStr | None, parsed(lambda text: SecretStr(one_word(text)))]


class CoreSettings(AddonSettings):
    """The service: its environment, database, keys, addresses and limits."""

    addon: ClassVar[str] = "combine_core"

    environment: Annotated[Environment, parsed(one_of(Environment))] = setting(
        Environment.PRODUCTION,
        variable="ENVIRONMENT",
        write="write development, test, staging or production",
        shape="development, test, staging or production",
        help="The environment in which the service runs. Development logs only a warning for many mistakes "
        "that prevent the start in the others.",
    )
    database_url: Annotated[SecretStr | None, parsed(parse_database_url)] = setting(
        variable="DATABASE_URL",
        secret=True,
        mask=masked,
        required_in=NOT_DEVELOPMENT,
        write=f"write {FORM}",
        shape=FORM,
        default_shown="an embedded PostgreSQL",
        help="The PostgreSQL database. `postgres://` and `postgresql://` are equivalent. Percent-encode "
        "special characters in the password. Of several hosts (`h1,h2`, with "
        "`?target_session_attrs=read-write`), the one that accepts writes is used.",
    )
    database_direct_url: Annotated[SecretStr | None, parsed(parse_database_url)] = setting(
        variable="DATABASE_DIRECT_URL",
        secret=True,
        mask=masked,
        write=f"write {FORM}, or remove it",
        shape=FORM,
        default_shown="DATABASE_URL",
        help="PostgreSQL itself, if DATABASE_URL leads through a pooler that gives each transaction another "
        "connection (PgBouncer with `pool_mode = transaction`). Migrations, workers and commands use it.",
    )
    secret_key: Annotated[SecretStr, parsed(SecretStr)] = setting(
        SecretStr(DEVELOPMENT_KEY),
        variable="SECRET_KEY",
        secret=True,
        kind=Kind.KEY,
        required_in=DEPLOYED,
        write=f"write at least {SECRET_KEY_LENGTH} random characters, made by {MAKE_A_KEY}",
        shape=f"at least {SECRET_KEY_LENGTH} random characters",
        default_shown="a public key",
        help="Signs cookies, tokens and other values that clients send back.",
    )
    secret_key_old: Annotated[tuple[SecretStr, ...], parsed(_keys)] = setting(
        (),
        variable="SECRET_KEY_OLD",
        secret=True,
        kind=Kind.KEY,
        write="write the previous values of SECRET_KEY, or remove the variable",
        shape="keys, separated by spaces",
        help="The previous values of SECRET_KEY. Values that they signed stay valid; remove the keys once "
        "those have expired.",
    )
    public_url: Annotated[str, parsed(values.origin)] = setting(
        "http://localhost:8000",
        variable="PUBLIC_URL",
        write="write the address that people open, such as https://combine.example.com",
        shape="scheme://host or scheme://host:port",
        default_shown="the first of ALLOWED_ORIGINS, else http://localhost:PORT",
        help="The address at which people reach the service. It must be in ALLOWED_ORIGINS.",
    )
    allowed_origins: Annotated[tuple[str, ...], parsed(values.origins)] = setting(
        ("http://localhost:8000",),
        variable="ALLOWED_ORIGINS",
        write="write the origins, such as https://combine.example.com",
        shape="origins, separated by commas or spaces",
        default_shown="PUBLIC_URL",
        help="The origins whose pages may call the service. Production requires https, except on "
        "loopback.",
    )
    anthropic_api_key: ApiKey = setting(
        variable="ANTHROPIC_API_KEY",
        secret=True,
        kind=Kind.KEY,
        write="write the key from the console of Anthropic, or remove the variable",
        shape="an API key",
        help="The key for models whose name begins with `anthropic/`.",
    )
    openai_api_key: ApiKey = setting(
        variable="OPENAI_API_KEY",
        secret=True,
        kind=Kind.KEY,
        write="write the key from the provider's console, or remove the variable",
        shape="an API key",
        help="The key for models whose name begins with `openai/`.",
    )
    openai_base_url: Annotated[str | None, parsed(values.base_url)] = setting(
        variable="OPENAI_BASE_URL",
        write="write the address of the API, such as http://localhost:11434/v1",
        shape="http(s) URL",
        default_shown="OpenAI itself",
        help="The address of any API that is compatible with OpenAI's.",
    )
    default_model: Annotated[str, parsed(one_word)] = setting(
        "extract",
        variable="DEFAULT_MODEL",
        write="write extract, or provider/model such as anthropic/claude-sonnet-5-5",
        shape="extract or provider/model",
        default_shown="a model of the provider whose key is set; without a key, extract",
        help="The model for runs that do not name one. `extract` works offline, without an LLM.",
    )
    worker: Annotated[bool, parsed(switch)] = setting(
        False,
        shape="true or false",
        help="Run a worker inside the web process, for development and small installations.",
    )
    worker_concurrency: Annotated[int, parsed(whole(1, 100))] = setting(
        4,
        shape="whole number, 1 to 100",
        help="The number of steps that a worker executes at once.",
    )
    model_timeout: Annotated[int | None, parsed(whole(1, 3600))] = setting(
        shape="seconds, 1 to 3600",
        default_shown="the timeout of the step in the line",
        help="The timeout of one call to a model, for every step. A slow local model may need more.",
    )
    answer_tokens: Annotated[int, parsed(whole(100, 1_000_000))] = setting(
        32_000,
        shape="tokens, 100 to 1000000",
        help="The maximum number of tokens in an answer of a model. Each step has its own limit. If an "
        "answer exceeds it, the call is repeated with twice the limit, up to this number. A model with a "
        "small context needs a lower value.",
    )
    context_tokens: Annotated[int | None, parsed(whole(1000, 10_000_000))] = setting(
        shape="tokens, 1000 to 10000000",
        default_shown="the context of the model; 32000 if it is unknown",
        help="The maximum number of tokens in prompt and answer together. Long sources are split into "
        "portions that fit. For a model server of your own, set the context that it was started with.",
    )
    journal_texts_kept_days: Annotated[int | None, parsed(whole(1, 36_500))] = setting(
        variable="JOURNAL_TEXTS_KEPT_DAYS",
        shape="days, 1 to 36500",
        default_shown="forever",
        help="The age at which a worker deletes the prompts and answers of calls to a model. Tokens, cost "
        "and times are kept. A later run cannot reuse a deleted answer, so it calls the model again.",
    )
    db_pool_size: Annotated[int, parsed(whole(1, 500))] = setting(
        5,
        variable="DB_POOL_SIZE",
        shape="whole number, 1 to 500",
        help="The number of database connections that each process keeps open.",
    )
    db_max_overflow: Annotated[int, parsed(whole(0, 500))] = setting(
        5,
        variable="DB_MAX_OVERFLOW",
        shape="whole number, 0 to 500",
        help="The number of additional connections in a burst, which are closed after use.",
    )
    db_pool_recycle: Annotated[int, parsed(whole(1, 86_400))] = setting(
        1800,
        variable="DB_POOL_RECYCLE",
        shape="seconds, 1 to 86400",
        help="The age at which the pool replaces a connection. Make it shorter than a firewall or a pooler"
        " allows. It limits how long a connection can lead to a server that has been replaced.",
    )
    max_request_body_size: Annotated[int, parsed(size(1024, 1024**3))] = setting(
        10 * 1024 * 1024,
        variable="MAX_REQUEST_BODY_SIZE",
        shape="bytes, or with k or m: 10m",
        default_shown="10m",
        help="The largest request body. The response to a larger one is 413.",
    )
    log_level: Annotated[LogLevel, parsed(one_of(LogLevel, any_case=True))] = setting(
        LogLevel.INFO,
        variable="LOG_LEVEL",
        shape="debug, info, warning, error or critical",
        help="The lowest level of log lines.",
    )
    log_format: Annotated[LogFormat, parsed(one_of(LogFormat, any_case=True))] = setting(
        LogFormat.TEXT,
        variable="LOG_FORMAT",
        shape="text or json",
        help="Plain lines for people, or one JSON object per line.",
    )
    slow_query_ms: Annotated[int, parsed(whole(1, 600_000))] = setting(
        500,
        shape="milliseconds, 1 to 600000",
        help="An SQL statement that takes at least this long is logged, with the word `slow`.",
    )
    slow_request_ms: Annotated[int, parsed(whole(1, 600_000))] = setting(
        2000,
        shape="milliseconds, 1 to 600000",
        help="A request that takes at least this long is logged, with the word `slow`.",
    )
    slow_provider_ms: Annotated[int, parsed(whole(1, 3_600_000))] = setting(
        30_000,
        shape="milliseconds, 1 to 3600000",
        help="A model call that takes at least this long is logged, with the word `slow`.",
    )
    connection_leak_seconds: Annotated[int, parsed(whole(1, 86_400))] = setting(
        30,
        shape="seconds, 1 to 86400",
        help="A database connection that is held this long is logged as a possible leak.",
    )
    smtp_host: Annotated[str | None, parsed(_mail_host)] = setting(
        variable="SMTP_HOST",
        write="write the name of your mail server, such as smtp.example.com, or remove it",
        shape="host",
        default_shown="no mail is sent",
        help="The mail server for mail about reviews and mentions. Set it for web processes and for workers, "
        "which send the mail.",
    )
    smtp_port: Annotated[int, parsed(whole(1, 65_535))] = setting(
        587,
        variable="SMTP_PORT",
        shape="port",
        help="The port of the mail server: usually 587 with `starttls`, 465 with `tls`.",
    )
    smtp_tls: Annotated[SmtpTls, parsed(one_of(SmtpTls))] = setting(
        SmtpTls.STARTTLS,
        variable="SMTP_TLS",
        shape="starttls, tls or off",
        help="Encrypt after the greeting (`starttls`), from the beginning (`tls`), or not at all (`off`).",
    )
    smtp_user: Annotated[str | None, parsed(one_word)] = setting(
        variable="SMTP_USER",
        shape="name",
        help="The user name for the mail server. Set it together with SMTP_PASSWORD.",
    )
    smtp_password: Annotated[SecretStr | None, parsed(SecretStr)] = setting(
        variable="SMTP_PASSWORD",
        secret=True,
        write="write the password for the mail server, or remove the variable",
        shape="a password",
        help="The password for the mail server.",
    )
    mail_from: Annotated[str | None, parsed(_mail_address)] = setting(
        variable="MAIL_FROM",
        write="write one address, such as combine@example.com",
        shape="mail address",
        help="The sender of mail. Required with SMTP_HOST.",
    )
    contact_on_call: str = setting(
        "TBD",
        variable="CONTACT_ON_CALL",
        kind=Kind.PROSE,
        help="The person on call; shown in /health/detailed.",
    )
    contact_database: str = setting(
        "TBD",
        variable="CONTACT_DATABASE",
        kind=Kind.PROSE,
        help="The contact for the database; shown in /health/detailed.",
    )
    contact_infrastructure: str = setting(
        "TBD",
        variable="CONTACT_INFRASTRUCTURE",
        kind=Kind.PROSE,
        help="The contact for the machines; shown in /health/detailed.",
    )
    var_dir: Annotated[Path, parsed(Path)] = setting(
        Path("var"),
        shape="folder",
        kind=Kind.PROSE,
        default_shown="var beside the ini file",
        help="The folder of the embedded development database.",
    )

    @property
    def is_development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT

    @property
    def sqlalchemy_url(self) -> str:
        """The database's URL, ``postgresql+psycopg2://``.

        :raises LookupError: the embedded database of development is not started yet
        """
        if self.database_url is None:
            raise LookupError(
                "DATABASE_URL is not set, and no embedded database was started. Set DATABASE_URL."
            )
        return self.database_url.get_secret_value()

    @property
    def direct_url(self) -> str:
        """The URL of PostgreSQL itself, for code that needs a lasting session."""
        direct = self.database_direct_url
        return self.sqlalchemy_url if direct is None else direct.get_secret_value()

    @classmethod
    def derived_values(cls, given: Given) -> Mapping[str, Any]:
        """Return defaults that depend on other settings. Each of the two addresses defaults to the other."""
        local = f"http://localhost:{given.place.port}"
        listed: tuple[str, ...] = given.usable.get("allowed_origins", ())
        public_url: str = given.usable.get("public_url") or (listed[0] if listed else local)
        return {
            "public_url": public_url,
            "allowed_origins": listed or (public_url,),
            "default_model": given.usable.get("default_model") or _default_model(given),
            "var_dir": given.place.here / given.usable.get("var_dir", "var"),
        }

    def findings(self, given: Given) -> Iterable[tuple[str, Finding]]:
        if given.lacks("environment"):
            fault = f"is not set, so the rules of {self.environment} apply"
            yield "environment", Finding(fault, "", NOWHERE)
        for field in ("database_url", "database_direct_url"):
            if field in given:
                for finding in examine(given.usable[field].get_secret_value()):
                    yield field, finding
        if "database_direct_url" in given and given.lacks("database_url"):
            yield "database_direct_url", Finding("is set, but DATABASE_URL is not", "set both")
        if "secret_key" in given:
            for finding in _weaknesses(self.secret_key.get_secret_value()):
                yield "secret_key", finding
        for key in self.secret_key_old:
            for finding in _weaknesses(key.get_secret_value()):
                yield "secret_key_old", replace(finding, fault=f"holds a key that {finding.fault}")
        if self.secret_key in self.secret_key_old:
            fault = "holds SECRET_KEY itself, so no new key is in use"
            yield "secret_key_old", Finding(fault, "set SECRET_KEY to a new key", NOWHERE)
        yield from self._plain_addresses(given)
        yield from self._addresses_together(given)
        yield from self._mail(given)
        vendor = self.default_model.partition("/")[0]
        if vendor == "anthropic" and given.lacks("anthropic_api_key"):
            yield "default_model", _lacks_key("ANTHROPIC_API_KEY")
        if vendor == "openai" and given.lacks("openai_api_key") and given.lacks("openai_base_url"):
            yield "default_model", _lacks_key("OPENAI_API_KEY")

    def _mail(self, given: Given) -> Iterable[tuple[str, Finding]]:
        if "smtp_host" in given and given.lacks("mail_from"):
            remedy = "set both: MAIL_FROM is the address of the sender"
            yield "smtp_host", Finding("is set, but MAIL_FROM is not", remedy)
        for one, other in (("smtp_user", "smtp_password"), ("smtp_password", "smtp_user")):
            if one in given and given.lacks(other):
                fault = f"is set, but {other.upper()} is not"
                yield one, Finding(fault, "set both or neither")
        plain = self.smtp_tls is SmtpTls.OFF and not values.is_loopback(self.smtp_host or "")
        if plain and "smtp_host" in given and "smtp_password" in given:
            fault = "is off, so the password for the mail server is sent in plain text"
            yield "smtp_tls", Finding(fault, "write starttls or tls", NOT_DEVELOPMENT)

    def _plain_addresses(self, given: Given) -> Iterable[tuple[str, Finding]]:
        production = frozenset({Environment.PRODUCTION})
        fault = "is http, which anyone on the network path can read and change"
        addresses = {"public_url": (self.public_url,), "allowed_origins": self.allowed_origins}
        for field, origins in addresses.items():
            plain = [
                origin.removeprefix("http://")
                for origin in origins
                if origin.startswith("http://") and not values.is_loopback(values.host_of(origin))
            ]
            if field in given and plain:
                remedy = "write " + " ".join(f"https://{server}" for server in plain)
                yield field, Finding(fault, remedy, production)

    def _addresses_together(self, given: Given) -> Iterable[tuple[str, Finding]]:
        both = "public_url" in given and "allowed_origins" in given
        neither = given.lacks("public_url") and given.lacks("allowed_origins")
        if both and self.public_url not in self.allowed_origins:
            remedy = f"add {self.public_url} to ALLOWED_ORIGINS, or correct PUBLIC_URL"
            yield "public_url", Finding("is missing from ALLOWED_ORIGINS", remedy, NOT_DEVELOPMENT)
        if neither and given.place.environment in DEPLOYED:
            fault = f"is not set, so people can sign in only at {self.public_url}"
            remedy = "write the address that people open, such as https://combine.example.com"
            yield "public_url", Finding(fault, remedy, NOWHERE)


def _default_model(given: Given) -> str:
    # The models of an API other than OpenAI's own are unknown.
    usable = {
        "anthropic": "anthropic_api_key" in given,
        "openai": "openai_api_key" in given and "openai_base_url" not in given,
    }
    vendor = next((name for name, has_key in usable.items() if has_key), None)
    if vendor is None:
        return "extract"
    return {"anthropic": "anthropic/claude-sonnet-5-5", "openai": "openai/gpt-5-mini"}[vendor]


def _lacks_key(variable: str) -> Finding:
    fault = f"names a model that needs {variable}, which is not set"
    return Finding(fault, f"set {variable}, or write DEFAULT_MODEL=extract", NOWHERE)


def _weaknesses(key: str) -> Iterable[Finding]:
    if key == DEVELOPMENT_KEY:
        yield Finding("is the key for development, which everyone knows", "", DEPLOYED)
        return
    if len(key) < SECRET_KEY_LENGTH:
        yield Finding(f"is shorter than {SECRET_KEY_LENGTH} characters", "", DEPLOYED)
    # A key that repeats a unit occurs in its own double before the second copy.
    unit = (key + key).find(key, 1)
    if len(set(key)) < 8 or (unit < len(key) and unit <= 10):
        yield Finding("repeats itself and is easily guessed", "", DEPLOYED)
