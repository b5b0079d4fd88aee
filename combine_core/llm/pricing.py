"""What a call costs, from the price lists of genai-prices, which travel with it (no network)."""

from decimal import Decimal

from combine_core.llm.completion import Usage


def price_of(usage: Usage, models: list[str], *, api_url: str) -> Decimal | None:
    """The price in US dollars, by the list of the vendor at `api_url`.

    `models` are names of the model, the most exact first; the first one listed counts. None if
    none is: an unknown price is not zero.
    """
    import genai_prices

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
