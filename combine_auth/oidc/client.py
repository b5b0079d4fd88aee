"""One provider's client: the way there, and what comes back."""

from __future__ import annotations

from combine_auth.oidc.provider import Claims, Provider


class OidcClient:
    """Speaks with one provider; for all threads of the process. Making it does no I/O."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def authorization_url(
        self,
        *,
        redirect_uri: str,
        state: str,
        nonce: str,
        verifier: str,
        prompt: str | None = None,
        max_age: int | None = None,
    ) -> str:
        """Where to send the browser. Raises SignInFailure."""
        raise NotImplementedError

    def claims_of(
        self,
        *,
        code: str,
        callback_issuer: str | None,
        redirect_uri: str,
        nonce: str,
        verifier: str,
    ) -> Claims:
        """Who came back with this code. Raises SignInFailure."""
        raise NotImplementedError

    def end_session_url(self, *, return_to: str | None = None) -> str | None:
        """Where one signs out of the provider too, if it says where."""
        raise NotImplementedError
