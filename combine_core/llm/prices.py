"""Prices and sizes of models, by the lists of genai-prices. They are part of it, so this needs no network."""

from __future__ import annotations

from decimal import Decimal

import genai_prices
from genai_prices.data_snapshot import get_snapshot

from combine_core.llm.completion import Usage


def price_of(usage: Usage, models: list[str], *, api_url: str) -> Decimal | None:
    """The price in US dollars by the list of the vendor at `api_url`, None if it is not known.

    `models` are names of the model, the most exact one first.
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
    """How many tokens prompt and answer may have together, None if it is not known."""
    try:
        _, found = get_snapshot().find_provider_model(model, None, None, api_url)
    except LookupError:
        return None
    return found.context_window
