"""Explains the codes of reasons and repairs in words."""

REASONS = {
    "no_evidence": "The statement cites no source.",
    "no_quote": "The quote has no content.",
    "unknown_source": "The cited source is not a source of the run.",
    "quote_not_found": "The cited quote is not in the source.",
    "omission": "The quote leaves words out.",
    "heading": "The quote is a heading, which states nothing.",
    "speaker": "The quote is only the name of a speaker.",
    "code": "The quote is code.",
    "comment": "The quote is a comment.",
    "front_matter": "The quote is metadata at the top of the file.",
    "links": "The quote is a link, which states nothing.",
    "struck_out": "The quote is struck out.",
    "number": "A number, its unit or its sign differs from the source.",
    "date": "A date is not in the source.",
    "time": "A time of day is not in the source.",
    "name": "A name is not in the source, or belongs to something else there.",
    "term": "A quoted term is not in the source.",
    "negation": "Only one of the statement and the source says “not”.",
    "opposite": "The source says the opposite.",
    "condition": "The source states a condition that the statement leaves out.",
    "hedge": "The source is less certain than the statement.",
    "not_done": "The source says that something is to be done, not that it was done.",
    "question": "The source asks; it does not state.",
    "attribution": "The source reports what somebody says; the statement leaves that out.",
    "roles": "The statement swaps who does what, or what belongs where.",
    "stitched": "The statement joins fragments of the source.",
    "second_opinion": "A model that gave a second opinion does not find the statement in the quotes.",
    "not_covered": "A part of the statement is not in the quoted sentences.",
}

REPAIRS = {
    "label": "the name of the source",
    "source": "the source",
    "lines": "the line numbers",
    "line_number": "a line number within the quote",
    "typography": "quotation marks, dashes or dots",
    "soft_hyphen": "soft hyphens",
    "emphasis": "marks of emphasis",
    "composition": "the spelling of accents",
    "completed": "the beginning or end of the quote",
    "case": "the case of the first letter",
}


def reason_in_words(code: str) -> str:
    """Return a sentence for a reason. A code of a later version is named as it is."""
    return REASONS.get(code, f"Reason: {code}.")


def repair_in_words(code: str) -> str:
    """Return the repaired thing as a noun. A code of a later version is returned unchanged."""
    return REPAIRS.get(code, code)
