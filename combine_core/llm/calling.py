"""One request to a vendor through its SDK, and its answer read with suspicion."""

import importlib
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from combine_core.llm.completion import Completion, CompletionRequest, ProviderError, Usage
from combine_core.llm.failures import (
    Vendor,
    bad_answer,
    connection_failed,
    request_id,
    status_failed,
    vendor_words,
)
from combine_core.llm.pricing import price_of
from combine_core.llm.wire import call_within, make_client

Answer = TypeVar("Answer", bound=BaseModel)


class Caller:
    """Keeps the SDK's client of one vendor, for any number of threads.

    `sdk` is the module's name, imported on first use: these modules are large. `build` makes its
    client of the module and the HTTP client given.
    """

    def __init__(
        self,
        vendor: Vendor,
        sdk: str,
        authorization: tuple[str, str] | None,
        build: Callable[[Any, httpx2.Client], Any],
    ) -> None:
        self.vendor = vendor
        self._sdk_name = sdk
        self._authorization = authorization
        self._build = build
        self._lock = threading.Lock()
        self._made: tuple[Any, Any] | None = None

    def post(self, path: str, body: dict[str, Any], request: CompletionRequest) -> httpx2.Response:
        """Send exactly one request and return the answer, which has a status of success.

        Raises:
            ProviderError: no answer, or one with another status.
        """
        sdk, client = self._sdk_and_client()
        try:
            with call_within(request.timeout) as timeout:
                response: httpx2.Response = client.post(
                    path, cast_to=httpx2.Response, body=body, options={"timeout": timeout}
                )
        except sdk.APIStatusError as error:
            failure = status_failed(self.vendor, request, error.response)
        except sdk.APIConnectionError as error:
            failure = connection_failed(self.vendor, error.request.url.host, error.__cause__)
        except UnicodeEncodeError:
            failure = ProviderError(
                "bad_request", "The request holds half of a surrogate pair, which is no character."
            )
        else:
            return response
        # Raised here, so that the SDK's error, which holds the whole request, is not attached.
        raise failure

    def read(
        self, response: httpx2.Response, shape: type[Answer], request: CompletionRequest
    ) -> Answer:
        """The body in the shape that the API describes.

        Raises:
            ProviderError: `bad_answer`, it has another.
        """
        try:
            return shape.model_validate_json(response.content)
        except ValidationError:
            pass
        kind = response.headers.get("content-type", "nothing").partition(";")[0][:40]
        words = vendor_words(self.vendor, response, request)
        hint = f" Check {self.vendor.url_variable}." if self.vendor.url_variable else ""
        raise bad_answer(
            self.vendor,
            response,
            f"the answer ({kind}{words}) is not what the API describes.{hint}",
        )

    def completion(
        self,
        response: httpx2.Response,
        text: str,
        stop_reason: str | None,
        usage: Usage | None,
        models: list[str],
        api_url: str,
    ) -> Completion:
        """The answer with its price; without `usage` nobody knows what it cost."""
        return Completion(
            text=text,
            usage=usage or Usage(),
            cost=price_of(usage, models, api_url=api_url) if usage else None,
            http_status=response.status_code,
            provider_request_id=request_id(self.vendor, response),
            stop_reason=stop_reason,
            used_llm=True,
        )

    def unusable(
        self, response: httpx2.Response, completion: Completion, what: str
    ) -> ProviderError:
        """The error for an answer that was charged but is of no use."""
        return bad_answer(
            self.vendor, response, what, stop_reason=completion.stop_reason, completion=completion
        )

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made[1].close()

    def _sdk_and_client(self) -> tuple[Any, Any]:
        with self._lock:
            if self._made is None:
                sdk = importlib.import_module(self._sdk_name)
                # At DEBUG the SDK logs every request in full: the texts of users.
                logging.getLogger(self._sdk_name).setLevel(logging.INFO)
                http_client = make_client(self._authorization)
                weakref.finalize(self, http_client.close)
                try:
                    self._made = sdk, self._build(sdk, http_client)
                except httpx2.InvalidURL as error:
                    raise connection_failed(self.vendor, "", error) from None
            return self._made
