"""Sends one request to a vendor through its SDK, and validates and prices the answer."""

import importlib
import logging
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from combine_core.llm.completion import Completion, CompletionRequest, ProviderError, Usage
from combine_core.llm.failures import connection_failed, request_id, status_failed, vendor_message
from combine_core.llm.http_client import call_within, make_client
from combine_core.llm.prices import price_of
from combine_core.llm.vendor import Vendor

Answer = TypeVar("Answer", bound=BaseModel)


class VendorClient:
    """A client of one vendor's SDK that any number of threads can share.

    `sdk` is the name of the SDK's module. `build` creates its client from this module and an HTTP client.
    """

    def __init__(
        self,
        vendor: Vendor,
        sdk: str,
        authorization: tuple[str, str] | None,
        build: Callable[[Any, httpx2.Client], Any],
    ) -> None:
        self._vendor = vendor
        self._sdk = importlib.import_module(sdk)
        # At DEBUG level, the SDK logs every request with the texts of users.
        logging.getLogger(sdk).setLevel(logging.INFO)
        price_of(Usage(), ["none"], api_url="none")  # load the price lists before the first call
        http_client = make_client(authorization)
        weakref.finalize(self, http_client.close)
        try:
            self._client = build(self._sdk, http_client)
        except httpx2.InvalidURL as error:
            raise connection_failed(vendor, "", error) from None

    def post(self, path: str, body: dict[str, Any], request: CompletionRequest) -> httpx2.Response:
        """Send exactly one request and return the response.

        Raises:
            ProviderError: If there is no response or its status is an error.
        """
        try:
            with call_within(request.timeout) as timeout:
                response: httpx2.Response = self._client.post(
                    path, cast_to=httpx2.Response, body=body, options={"timeout": timeout}
                )
        except self._sdk.APIStatusError as error:
            failure = status_failed(self._vendor, request, error.response)
        except self._sdk.APIConnectionError as error:
            failure = connection_failed(self._vendor, error.request.url.host, error.__cause__)
        except UnicodeEncodeError:
            failure = ProviderError(
                "bad_request", "The request contains an unpaired surrogate. Remove it."
            )
        else:
            return response
        # Raised outside of the handlers, so that the SDK's error, which contains the request, is not chained.
        raise failure

    def read(
        self, response: httpx2.Response, shape: type[Answer], request: CompletionRequest
    ) -> Answer:
        """Parse the body of the response.

        Raises:
            ProviderError: `bad_request`, if the body is a web page, because asking again would not help.
                `bad_answer`, if the body does not match the model `shape` for another reason.
        """
        try:
            return shape.model_validate_json(response.content)
        except ValidationError:
            pass
        kind = response.headers.get("content-type", "nothing").partition(";")[0][:40]
        message = vendor_message(self._vendor, response, request)
        hint = f" Check {self._vendor.url_variable}." if self._vendor.url_variable else ""
        problem = f"the answer ({kind}{message}) does not match the API.{hint}"
        if kind == "text/html":
            raise ProviderError(
                "bad_request",
                f"{self._vendor.title}: {problem}",
                http_status=response.status_code,
                provider_request_id=request_id(self._vendor, response),
            )
        raise self.unusable(response, None, problem)

    def completion(
        self,
        response: httpx2.Response,
        text: str,
        stop_reason: str | None,
        usage: Usage | None,
        models: list[str],
        api_url: str,
    ) -> Completion:
        """Return the answer with its price. Without `usage`, the price is unknown."""
        return Completion(
            text=text,
            usage=usage or Usage(),
            cost=price_of(usage, models, api_url=api_url) if usage else None,
            http_status=response.status_code,
            provider_request_id=request_id(self._vendor, response),
            stop_reason=stop_reason,
            used_llm=True,
        )

    def unusable(
        self, response: httpx2.Response, completion: Completion | None, problem: str
    ) -> ProviderError:
        """Return the error for an unusable answer. A `completion` was charged."""
        return ProviderError(
            "bad_answer",
            f"{self._vendor.title}: {problem}",
            http_status=response.status_code,
            provider_request_id=request_id(self._vendor, response),
            stop_reason=completion.stop_reason if completion else None,
            completion=completion,
        )
