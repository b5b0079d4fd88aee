"""Looks up prices and context sizes of models in the lists of genai-prices, without using the network."""

from __future__ import annotations

from decimal import Decimal

import genai_prices
from genai_prices.data_snapshot import get_snapshot

from combine_core.llm.completion import Usage


def price_of(usage: Usage, models: list[str], *, api_url: str) -> Decimal | None:
    """Return the price in US dollars by the list of the vendor at `api_url`, or None if it is unknown.

    `models` are names of the model, the most specific one first.
    """
    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
    for model in models:
        try:
            return genai_prices.calc_price(counted, model, provider_api_url=api_url).total_price
        except LookupError:
            continue
    return None


def context_of(model: str, *, api_url: str) -> int | None:
    """Return the maximum tokens of prompt and answer together, or None if it is unknown."""
    try:
        _, found = get_snapshot().find_provider_model(model, None, None, api_url)
    except LookupError:
        return None
    return found.context_window
