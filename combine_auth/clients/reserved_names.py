"""Rejects names of clients that look like the service's own, in any spelling."""

from __future__ import annotations

import unicodedata
from functools import cache

from combine_auth.clients.built_in import built_in_clients
from combine_auth.refused import Refused

_PRODUCT = "Combine"
# Letters and digits that look alike in many fonts, after `casefold`.
_ALIKE = (("i", "l"), ("1", "l"), ("|", "l"), ("0", "o"), ("rn", "m"), ("vv", "w"))


def check_not_reserved(name: str) -> None:
    """Raise Refused if the name begins with the product's name, or contains that of a built-in client."""
    appearance = _appearance(name)
    if appearance.startswith(_appearance(_PRODUCT)) or any(
        own in appearance for own in _names_of_built_in()
    ):
        raise Refused(
            f"Names that look like those of {_PRODUCT}'s own programs are reserved. Choose another, such"
            f" as “Exporter for {_PRODUCT}”."
        )


@cache
def _names_of_built_in() -> tuple[str, ...]:
    clients = built_in_clients("").values()
    return tuple(
        _appearance(name) for client in clients for name in (client.name, client.client_id)
    )


def _appearance(name: str) -> str:
    """Return the same text for names that look alike: Latin letters, without accents, spaces and case."""
    letters = unicodedata.normalize("NFKD", name)
    text = "".join(map(_ascii_lookalike, letters)).casefold()
    for one, other in _ALIKE:
        text = text.replace(one, other)
    return "".join(letter for letter in text if letter.isalnum())


def _ascii_lookalike(letter: str) -> str:
    """Return the ASCII letter that this one looks like (Unicode TR 39), or the letter itself."""
    # Imported here because its tables take 0.1 seconds to load.
    from confusable_homoglyphs.confusables import confusables_data

    if letter.isascii():
        return letter
    for one in (letter, letter.casefold()):
        for alike in confusables_data.get(one, ()):
            if alike["c"].isascii():
                return str(alike["c"])
    return letter
