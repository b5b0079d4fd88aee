"""Check whether words are a sentence, with a subject and a verb, and rest on nothing said elsewhere.

Both checks look at the shape of words and know frequent verbs only, so they are right most of the time.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from combine_core.llm.extract.vocabulary import Vocabulary

_TOKEN = re.compile(r"[^\W_](?:[\w'’@./+&-]*\w)?|[,;:()–—]| - ")
_CONTENT = re.compile(r"[^\W_][^\W_]{2,}")
_DENIED = re.compile(r"\w+n[’']t|cannot")
# These bring their subject along.
_CONTRACTED = re.compile(r"(?:i|we|you|they|it|he|she|that|there|who|what)[’'](?:s|m|re|ve|ll|d)")
_PAST = re.compile(
    r"(?!(?:\w*need|speed|feed|seed|indeed|exceed|proceed|succeed|embed|hundred)\Z)[a-z-]{2,}ed"
)
_PLURAL = re.compile(r"\w{2,}(?<![sui])s|people|data|staff")
# A German verb, or an adjective if a noun follows.
_INFLECTED = re.compile(r"[a-zäöüß]{2,}(?:t|te|ten|en|ern|eln)")
_BREAKS = frozenset(";:–—") | {" - "}
# An order has no verb of a subject among its first words.
_ORDER = 4
# The fewest words of an order that is understood alone.
_WHOLE = 6
_REPORT = 4
# With so many words before it, "it" may stand for one of them, and "this".
_NEAR, _FAR = 2, 3


@lru_cache(maxsize=16)
def _tokens(text: str) -> tuple[str, ...]:
    """Return the words and marks of a sentence, which several checks in a row look at."""
    return tuple(_TOKEN.findall(text))


def says_so(text: str, words: Vocabulary, *, speaker: bool = False) -> bool:
    """Check for a main clause: a subject with a verb.

    :param speaker: the subject may be missing, because it is known who speaks: "fixed the pump"
    """
    tokens = _tokens(text)
    line = text[-1:] not in ".!?…)"
    if _begins_as_order(text, tokens, words) or (
        tokens and not speaker and _begins_with_verb(tokens[0], words)
    ):
        return False
    subject, subordinate = speaker, False
    for place, token in enumerate(tokens):
        if not token[0].isalnum():
            subordinate = False
            subject = subject and token not in _BREAKS
            continue
        low = token.lower()
        if low in words.subordinates or (
            low in words.relatives and place and tokens[place - 1] == ","
        ):
            subordinate = True
        elif (subject or subordinate or words.verb_first or _is_contracted(low)) and _is_finite(
            tokens, place, words, line=line
        ):
            if not subordinate:
                return True
            subordinate = False
        elif not subordinate and (
            low in words.subjects or (_CONTENT.match(low) and low not in words.function_words)
        ):
            subject = True
    return False


def reports(text: str, words: Vocabulary) -> bool:
    """Check for an entry of a list that says what its author did: "Released version 2 of the tool"."""
    tokens = _tokens(text)
    return (
        len(tokens) >= _REPORT
        and _PAST.fullmatch(tokens[0].lower()) is not None
        and tokens[1][0].isalnum()
        and tokens[1].lower() not in words.prepositions
    )


def _begins_with_verb(first: str, words: Vocabulary) -> bool:
    """Check for "Got the pump repaired". Will and May are names, too."""
    return first.lower() in words.verbs and first not in ("Will", "May") and not words.verb_first


def is_order(text: str, words: Vocabulary, *, listed: bool = False) -> bool:
    """Check for a whole sentence that tells the reader what to do: "Check the container first." """
    tokens = _tokens(text)
    # An entry of a list often ends without a full stop.
    ends = text[-1:] in ".!" or (listed and text[-1:] not in "?:,;")
    if len(tokens) < _WHOLE or not ends or text.startswith("Let"):
        return False  # "Let's look at an example."
    return _begins_as_order(text, tokens, words)


def _begins_as_order(text: str, tokens: Sequence[str], words: Vocabulary) -> bool:
    first, second = (token.lower() for token in [*tokens[:2], "", ""][:2])
    if first not in words.full_verbs and not words.imperative.match(text.lower()):
        return False
    if first in words.nouns and second not in words.no_subjects:
        return False
    places = range(1, min(_ORDER, len(tokens)))
    return not any(tokens[place] in words.verbs for place in places)


def _is_finite(tokens: Sequence[str], place: int, words: Vocabulary, *, line: bool) -> bool:
    """Check for a verb that belongs to a subject: no infinitive, and no participle before a noun.

    :param line: whether the words end without a full stop, as notes do: "Router prüfen"
    """
    token = tokens[place]
    if _is_contracted(token):
        return True
    if token[0].isupper():
        return False  # a name or a title
    before = tokens[place - 1].lower() if place else ""
    behind = tokens[place + 1] if place + 1 < len(tokens) else ""
    if words.verb_first and token.endswith("en") and not behind[:1].isalnum():
        return False  # "… soll geprüft werden" has its verb before
    if token in words.verbs or _DENIED.fullmatch(token):
        return True
    if words.verb_first:
        return (
            _INFLECTED.fullmatch(token) is not None
            and token not in words.function_words
            and before not in words.no_subjects
            and not (token.endswith("en") and (line or behind[:1].isupper()))
            and behind not in words.verbs
            and not (token.startswith(("ge", "be", "ver", "ent")) and not behind)
        )
    subject = place == 1 and before in words.subjects
    if (before in words.no_subjects and not subject) or before.isdigit():
        return False
    if _PAST.fullmatch(token):
        # "Fixed the pump" has a subject where it is known who speaks, "covered in the plan" has none.
        if place == 0:
            return behind.lower() not in words.prepositions
        return _PAST.fullmatch(tokens[0].lower()) is None
    stem = words.stem_of_verb(token)
    if stem is None:
        # "We utilise balancers": what stands behind "we" is a verb, known or not.
        return (
            before in words.persons
            and _CONTENT.fullmatch(token) is not None
            and token not in words.function_words
            and not token.endswith("ly")
        )
    if stem == token and not (before in words.subjects or _PLURAL.fullmatch(before)):
        return False
    return stem not in words.nouns or behind.lower() in words.no_subjects or behind[:1].isdigit()


def _is_contracted(token: str) -> bool:
    """Check for a subject with its verb: "We're"."""
    return ("'" in token or "’" in token) and _CONTRACTED.fullmatch(token.lower()) is not None


def rests_on_more(low: str, words: Vocabulary) -> bool:
    """Check for a word such as "this" that stands for something outside of the sentence."""
    if words.refers.search(low):
        return True
    for pronoun in words.pronouns.finditer(low):
        before = _CONTENT.findall(low, 0, pronoun.start())
        needed = _NEAR if words.personal.fullmatch(pronoun[0]) else _FAR
        if sum(word not in words.function_words for word in before) < needed:
            return True
    return False
