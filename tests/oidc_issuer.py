"""An OpenID provider on loopback that can lie and fail.

    with LyingIssuer() as issuer:
        back = issuer.sign_in(client.authorization_url(...), email="ann@example.com")
        client.fetch_claims(code=back["code"], callback_issuer=back.get("iss"), ...)

By default it is honest and strict: one registered client, exact redirect URIs, only PKCE with S256, and
codes that work once. `tenant` makes it behave like Microsoft: its issuer contains the id of the tenant,
and its metadata contains the template.

To make it lie, set `change` (the claims before they are signed), `forge` (the whole ID token),
`token_answer` (the JSON of the token endpoint), `userinfo_answer` or `metadata`. To make it fail, set
`faults["token"] = Fault(500)`. With `is_thin`, only the userinfo endpoint returns the claims of the
user, and the ID token does not. `counts` has the number of requests to each endpoint, and
`token_requests` has the requests to the token endpoint.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import ssl
import struct
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

CLIENT_ID = "4711.apps.example.com"
CLIENT_SECRET = "GOCSPX-canary-of-the-secret"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
REDIRECT_URI = "http://localhost:8000/auth/google/callback"
_DISCOVERY = "/.well-known/openid-configuration"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASYMMETRIC = ("RS256", "PS256", "ES256", "ES384", "ES512")
_OF_THE_PERSON = ("email", "email_verified", "xms_edov", "name")


@cache
def rsa_key(number: int = 0) -> RSAKey:
    """Return one of the keys of this process. Creating a key is slow."""
    return RSAKey.generate_key(2048, {"kid": f"key-{number}", "use": "sig", "alg": "RS256"})


@cache
def _for_any_algorithm(jwk: str, kind: Any) -> Any:
    """Return the key that signs with any algorithm. Importing a key takes longer than signing."""
    return kind.import_key({k: v for k, v in json.loads(jwk).items() if k != "alg"})


@dataclass
class Fault:
    """The fault of an endpoint.

    :ivar body: text or bytes; anything else is sent as JSON
    :ivar hangs: it sends no response until `release` is set or the issuer is closed
    :ivar drips: it sends one byte of its response every tenth of a second, including the headers
    :ivar cut: it closes the connection in the middle of its response
    :ivar reset: it resets the connection
    :ivar size: it sends this many bytes
    :ivar times: the number of faulty responses
    """

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    drips: bool = False
    cut: bool = False
    reset: bool = False
    size: int = 0
    times: int = 1_000_000
    release: threading.Event = field(default_factory=threading.Event, repr=False)

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass
class Grant:
    """An issued code."""

    redirect_uri: str
    challenge: str
    nonce: str | None
    claims: dict[str, Any]
    auth_time: int


class LyingIssuer:
    """An OpenID provider; see the module. It listens on a free port of 127.0.0.1 from `start` to `stop`."""

    def __init__(
        self,
        *,
        tenant: str | None = None,
        announces_iss: bool = False,
        certificate: Path | None = None,
    ) -> None:
        self._own_tenant = tenant
        self.announces_iss = announces_iss
        # With a certificate for localhost, it speaks https.
        self.certificate = certificate
        self._server: ThreadingHTTPServer | None = None
        self._begin()

    def _begin(self) -> None:
        # Tests may redirect users from another address.
        self.tenant = self._own_tenant
        self.client_id, self.client_secret = CLIENT_ID, CLIENT_SECRET
        # With a key, the client authenticates with a signed assertion (private_key_jwt).
        self.client_key: Any = None
        self.assertions: list[Any] = []
        # None accepts any address, so that tests may choose theirs.
        self.redirect_uris: set[str] | None = None
        self.keys = [rsa_key()]
        # Members to add to every key of the key set, or more keys.
        self.key_members: dict[str, Any] = {}
        self.more_keys: list[Any] = []
        self.header: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.change: Callable[[dict[str, Any]], Any] | None = None
        self.forge: Callable[[dict[str, Any]], Any] | None = None
        self.token_answer: Callable[[dict[str, Any]], Any] | None = None
        self.is_thin = False
        self.userinfo_answer: Callable[[dict[str, Any]], Any] | None = None
        self.faults: dict[str, Fault] = {}
        self.counts: Counter[str] = Counter()
        self.token_requests: list[dict[str, str]] = []
        self.now: Callable[[], float] = time.time
        # Its own errors, and those of the functions that a test sets.
        self.errors: list[BaseException] = []
        self._grants: dict[str, Grant] = {}
        # The userinfo response for each access token.
        self._about: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    # Start, reset and stop.

    def start(self) -> Self:
        issuer = self

        class Handler(_Handler):
            owner = issuer

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.owner = self
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def reset(self) -> None:
        """Reset it to its initial state at the same address: honest, with its first key, without memory."""
        self._closed.set()
        assert not self.errors, self.errors
        self._begin()

    def stop(self) -> None:
        assert self._server is not None
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        assert not self.errors, self.errors

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Addresses and keys.

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.server_address[1]
        return f"https://localhost:{port}" if self.certificate else f"http://127.0.0.1:{port}"

    @property
    def issuer(self) -> str:
        """Return the issuer in its tokens, which depends on the tenant."""
        return f"{self.url}/{self.tenant}/v2.0" if self.tenant else self.url

    @property
    def configured_issuer(self) -> str:
        """Return the value for GOOGLE_ISSUER or MICROSOFT_ISSUER."""
        return f"{self.url}/{{tenantid}}/v2.0" if self.tenant else self.url

    def environment(self, name: str | None = None) -> dict[str, str]:
        """Return the variables of a service with this provider: GOOGLE_ISSUER and so on."""
        prefix = (name or ("microsoft" if self.tenant else "google")).upper()
        return {
            f"{prefix}_ISSUER": self.configured_issuer,
            f"{prefix}_CLIENT_ID": self.client_id,
            f"{prefix}_CLIENT_SECRET": self.client_secret,
        }

    def rotate(self, *, overlap: bool = False, same_kid: bool = False) -> None:
        """Sign with another key. With `overlap`, the old one stays in the key set."""
        old = self.keys[0]
        number = next(n for n in range(9) if rsa_key(n) not in self.keys)
        new = rsa_key(number)
        if same_kid:
            new = RSAKey.import_key({**new.as_dict(private=True), "kid": old.kid})
        self.keys = [new, *(self.keys if overlap else [])]

    # Sign-in and tokens.

    def sign_in(self, authorization_url: str, **claims: Any) -> dict[str, str]:
        """Return the callback parameters after a user with these claims has signed in."""
        target = self.callback_url(authorization_url, **claims)
        return dict(parse_qsl(urlsplit(target).query))

    def callback_url(self, authorization_url: str, **claims: Any) -> str:
        """Return the complete callback address."""
        asked = {name: one[0] for name, one in parse_qs(urlsplit(authorization_url).query).items()}
        assert asked["client_id"] == self.client_id
        assert self.redirect_uris is None or asked["redirect_uri"] in self.redirect_uris
        answer = {"state": asked["state"]}
        if self.announces_iss:
            answer["iss"] = self.issuer
        if asked.get("code_challenge_method") != "S256" or len(asked["code_challenge"]) != 43:
            answer |= {"error": "invalid_request", "error_description": "PKCE is required"}
        else:
            code = secrets.token_urlsafe(32)
            with self._lock:
                self._grants[code] = Grant(
                    redirect_uri=asked["redirect_uri"],
                    challenge=asked["code_challenge"],
                    nonce=asked.get("nonce"),
                    claims=claims,
                    auth_time=int(self.now()),
                )
            answer["code"] = code
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def deny(self, authorization_url: str, error: str = "access_denied", **more: str) -> str:
        """Return the callback address after the user has cancelled."""
        asked = {name: one[0] for name, one in parse_qs(urlsplit(authorization_url).query).items()}
        answer = {"state": asked["state"], "error": error, **more}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def id_token(self, claims: dict[str, Any], key: Any = None, **header: Any) -> str:
        """Return a signed ID token with these claims."""
        key = key or self.keys[0]
        sent = {"alg": "RS256", "kid": key.kid, "typ": "JWT", **self.header, **header}
        sent = {name: value for name, value in sent.items() if value is not None}
        signing = _for_any_algorithm(json.dumps(key.as_dict(private=True)), type(key))
        registry = jws.JWSRegistry(algorithms=[sent["alg"]], strict_check_header=False)
        return jws.serialize_compact(sent, json.dumps(claims), signing, registry=registry)

    def claims(
        self, nonce: str | None, auth_time: int | None = None, /, **more: Any
    ) -> dict[str, Any]:
        """Return the claims of an honest ID token."""
        now = int(self.now())
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "sub": "110169484474386276334",
            "iat": now,
            "exp": now + 3600,
            "nonce": nonce,
            "auth_time": now if auth_time is None else auth_time,
            "email": "ann@example.com",
            "name": "Ann Example",
        }
        if self.tenant:
            claims["tid"] = self.tenant
        else:
            claims["email_verified"] = True
        claims |= more
        if self.tenant and "oid" not in more:
            # It is the same for a user in every registration.
            claims["oid"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.tenant}{claims['sub']}"))
        return {name: value for name, value in claims.items() if value is not None}

    def answer(self, handler: _Handler, method: str) -> None:
        """Respond to one request."""
        path, _, query = handler.path.partition("?")
        endpoint = "discovery" if path.endswith(_DISCOVERY) else path.rpartition("/")[2]
        with self._lock:
            self.counts[endpoint] += 1
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
        fault = self.faults.get(endpoint)
        if fault is not None and fault.times > 0:
            fault.times -= 1
            self._fail(handler, fault)
        elif endpoint == "discovery":
            handler.send_json(200, self._document(path))
        elif endpoint == "jwks":
            handler.send_json(200, self._key_set())
        elif endpoint == "token" and method == "POST":
            handler.send_json(*self._exchange(dict(parse_qsl(body)), handler.headers))
        elif endpoint == "userinfo":
            handler.send_json(*self._userinfo(handler.headers.get("Authorization", "")))
        elif endpoint == "authorize":
            handler.send_redirect(self.callback_url(f"{self.url}/authorize?{query}"))
        else:
            handler.send_json(404, {"error": "not_found"})

    def _document(self, path: str) -> dict[str, Any]:
        base = path.removesuffix(_DISCOVERY)
        tenant = base.split("/")[1] if self.tenant else ""
        if tenant in {"common", "organizations", "consumers"}:
            tenant = "{tenantid}"
        return {
            "issuer": f"{self.url}/{tenant}/v2.0" if tenant else self.url,
            "authorization_endpoint": f"{self.url}{base}/authorize",
            "token_endpoint": f"{self.url}{base}/token",
            "jwks_uri": f"{self.url}{base}/jwks",
            "userinfo_endpoint": f"{self.url}{base}/userinfo",
            "end_session_endpoint": f"{self.url}{base}/end-session",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            # This is more than a client may trust.
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            **(
                {"authorization_response_iss_parameter_supported": True}
                if self.announces_iss
                else {}
            ),
            **self.metadata,
        }

    def _key_set(self) -> dict[str, Any]:
        keys = [{**key.as_dict(private=False), **self.key_members} for key in self.keys]
        return {"keys": [*self.more_keys, *keys]}

    def _exchange(self, form: dict[str, str], headers: Any) -> tuple[int, Any]:
        with self._lock:
            self.token_requests.append(form)
            grant = self._grants.pop(form.get("code", ""), None)
        if not self._is_client(form, headers):
            return 401, {"error": "invalid_client", "error_description": "unknown client"}
        if grant is None or form.get("grant_type") != "authorization_code":
            return 400, {"error": "invalid_grant"}
        if form.get("redirect_uri") != grant.redirect_uri:
            return 400, {"error": "invalid_grant", "error_description": "redirect_uri mismatch"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != grant.challenge:
            return 400, {"error": "invalid_grant", "error_description": "PKCE"}
        claims: Any = self.claims(grant.nonce, grant.auth_time, **grant.claims)
        if self.change is not None:
            claims = self.change(claims)
        access_token = f"canary-of-the-access-token-{secrets.token_hex(8)}"
        if isinstance(claims, dict):
            self._about[access_token] = claims
            if self.is_thin:
                claims = {name: claims[name] for name in claims if name not in _OF_THE_PERSON}
        answer: Any = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "id_token": self.forge(claims) if self.forge is not None else self.id_token(claims),
        }
        return 200, answer if self.token_answer is None else self.token_answer(answer)

    def _userinfo(self, authorization: str) -> tuple[int, Any]:
        """Return the claims of the user of the access token (OpenID Connect Core 1.0, 5.3)."""
        known = self._about.get(authorization.removeprefix("Bearer "))
        if known is None:
            return 401, {"error": "invalid_token"}
        about: Any = {name: known[name] for name in ("sub", *_OF_THE_PERSON) if name in known}
        return 200, about if self.userinfo_answer is None else self.userinfo_answer(about)

    def _is_client(self, form: dict[str, str], headers: Any) -> bool:
        if self.client_key is None:
            return self._client(form, headers) == (self.client_id, self.client_secret)
        try:
            registry = jws.JWSRegistry(algorithms=list(_ASYMMETRIC), strict_check_header=False)
            given = jwt.decode(form["client_assertion"], self.client_key, registry=registry)
        except (JoseError, KeyError, ValueError):
            return False
        self.assertions.append(given)
        claims = given.claims
        return (
            form["client_assertion_type"] == _ASSERTION
            and form.get("client_id", self.client_id) == self.client_id
            and "client_secret" not in form
            and "Authorization" not in headers
            and claims["iss"] == claims["sub"] == self.client_id
            and claims["aud"].endswith("/token")
            and claims["exp"] > self.now()
            and claims["jti"] not in [one.claims["jti"] for one in self.assertions[:-1]]
        )

    @staticmethod
    def _client(form: dict[str, str], headers: Any) -> tuple[str, str]:
        kind, _, given = headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            # RFC 6749, 2.3.1: both are form-encoded first.
            name, _, secret = base64.b64decode(given).decode().partition(":")
            return unquote_plus(name), unquote_plus(secret)
        return form.get("client_id", ""), form.get("client_secret", "")

    def _fail(self, handler: _Handler, fault: Fault) -> None:
        handler.close_connection = True
        closed = self._closed
        if fault.hangs:
            while not (fault.release.wait(0.05) or closed.is_set()):
                pass
            return
        if fault.reset:
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
            return
        content = fault.content()
        length = fault.size or len(content) + (100 if fault.cut else 0)
        lines = {"Content-Type": "application/json", "Content-Length": str(length), **fault.headers}
        head = f"HTTP/1.1 {fault.status} Odd\r\n" + "".join(
            f"{k}: {v}\r\n" for k, v in lines.items()
        )
        sent = f"{head}\r\n".encode() + content
        # Some tests disconnect the client.
        with suppress(OSError):
            if fault.drips:
                for byte in sent:
                    handler.wfile.write(bytes([byte]))
                    handler.wfile.flush()
                    if closed.wait(0.1):
                        return
            handler.wfile.write(sent)
            left = fault.size - len(content)
            while left > 0 and not closed.is_set():
                handler.wfile.write(b" " * min(left, 65536))
                left -= 65536


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: LyingIssuer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect, but no other errors."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.owner.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    owner: LyingIssuer

    def do_GET(self) -> None:
        self.owner.answer(self, "GET")

    def do_POST(self) -> None:
        self.owner.answer(self, "POST")

    def send_json(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(content)

    def send_redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""
