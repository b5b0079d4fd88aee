"""What the codes of reasons and repairs mean, in words for people."""

REASONS = {
    "no_evidence": "It cites nothing.",
    "no_quote": "Its quote says nothing.",
    "unknown_source": "It cites a source that the run did not have.",
    "quote_not_found": "The quote that it cites does not stand in the source.",
    "omission": "Its quote leaves words out.",
    "heading": "It rests on a heading, which states nothing.",
    "speaker": "It rests on a speaker's name alone.",
    "code": "It rests on code.",
    "comment": "It rests on a comment.",
    "front_matter": "It rests on the data at the top of the file.",
    "links": "It rests on a link, which states nothing.",
    "struck_out": "It rests on words that are struck out.",
    "number": "A number, its unit or its sign is not the one in the source.",
    "date": "A date does not stand there.",
    "time": "A time of day does not stand there.",
    "name": "A name does not stand there.",
    "term": "A quoted or compound term does not stand there.",
    "negation": "The source and the statement disagree on a “not”.",
    "opposite": "The source says the opposite.",
    "condition": "The source states a condition that the statement leaves out.",
    "hedge": "The source is less certain than the statement.",
    "not_done": "The source says what is to be done, not that it was done.",
    "question": "The source asks; it does not state.",
    "attribution": "The source only reports what somebody says.",
    "roles": "It swaps who does what, or what belongs where.",
    "stitched": "It is put together from scraps of its source.",
    "second_opinion": "A model that was asked for a second opinion says that the quotes do not carry it.",
    "not_covered": "A part of the statement has no ground in the quoted sentences.",
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
    """One sentence. A code of a later version is shown as it is."""
    return REASONS.get(code, f"Reason: {code}.")


def repair_in_words(code: str) -> str:
    """What was repaired, as a noun. A code of a later version is shown as it is."""
    return REPAIRS.get(code, code)
