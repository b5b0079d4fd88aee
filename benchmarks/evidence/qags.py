"""Compare verdicts with human judgements of factual consistency: QAGS (Wang et al., ACL 2020).

Usage: python benchmarks/evidence/qags.py FOLDER [cnndm|xsum] [even|odd|all]

FOLDER is `data/` of https://github.com/W4ngatang/qags, with `mturk_cnndm.jsonl` and
`mturk_xsum.jsonl`. A sentence counts as faithful if most of its annotators say so. QAGS has no
quotes, so up to three sentences of the article serve as quotes. Each is the sentence that covers
most of the words that the earlier ones do not cover.

The rules were developed on the even-numbered articles of CNN/DM. The odd-numbered ones are the test
set.

For the score behind the verdict and for simple baselines, the script prints the area under the
curve, and the share of unfaithful sentences that the score catches while it flags 15 % of the
faithful ones. It then prints the same for the verdict itself.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from combine_core.evidence.case import clauses_of
from combine_core.evidence.passage import Passage
from combine_core.evidence.rules import reasons_against
from combine_core.evidence.stitching import Terms, breaks_in
from combine_core.language import language_named, sentence_spans

ENGLISH = language_named("en")
WORD = re.compile(r"\w+")
QUOTES = 3
ANOTHER = {"number", "date", "time", "name", "term", "negation", "not_covered"}
WEAKER = {"condition", "hedge", "not_done", "question"}
FLAGGED = 0.15
Grams = set[tuple[str, ...]]


@dataclass(frozen=True)
class Statement:
    """A sentence of a summary, its article, and whether most annotators find it faithful."""

    text: str
    article: tuple[str, ...]
    faithful: bool


def read(folder: Path, name: str, half: str) -> Iterator[Statement]:
    lines = (folder / f"mturk_{name}.jsonl").read_text("utf-8").splitlines()
    for number, line in enumerate(lines):
        if half != "all" and (number % 2 == 0) != (half == "even"):
            continue
        row = json.loads(line)
        article = untokenised(row["article"])
        sentences = tuple(
            article[start:end] for start, end in sentence_spans(article, 0, len(article), ENGLISH)
        )
        for sentence in row["summary_sentences"]:
            votes = [answer["response"] for answer in sentence["responses"]]
            faithful = votes.count("yes") > votes.count("no")
            yield Statement(untokenised(sentence["sentence"]), sentences, faithful)


def untokenised(text: str) -> str:
    """Undo the tokenization of the data set: "3, 000", "well - known", "$ 5", "u. s.", "` ` quoted' '"."""
    text = re.sub(r"` `|``|''|' '(?=\w)|(?<=[.,?!])' '", '"', text)
    text = re.sub(r"\b([a-z])\. (?=[a-z]\.)", r"\1.", text, flags=re.IGNORECASE)
    text = re.sub(r"(\d)([.,]) (\d)", r"\1\2\3", text).replace(" - ", "-").replace("`", "'")
    return re.sub(r"([$£€]) (\d)", r"\1\2", text)


def grams(words: list[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + length]) for start in range(len(words) - length + 1)]


def share(wanted: list[tuple[str, ...]], there: Grams) -> float:
    return sum(gram in there for gram in wanted) / max(1, len(wanted))


def words_of(text: str) -> list[str]:
    return [ENGLISH.stem(word) for word in WORD.findall(text.lower())]


def quoted(statement: Statement) -> list[str]:
    """Return the sentences that a reader would quote, in order: the best one, then those that add most."""
    missing = parts(statement.text)
    left = {number: parts(sentence) for number, sentence in enumerate(statement.article)}
    chosen: list[int] = []
    while len(chosen) < QUOTES:
        best = max(left, key=lambda number: weight(missing & left[number]))
        if chosen and weight(missing & left[best]) < 1:
            break
        chosen.append(best)
        missing -= left[best]
    return [statement.article[number] for number in sorted(set(chosen))]


def parts(text: str) -> Grams:
    """Return the words and the pairs of words."""
    words = words_of(text)
    return {*grams(words, 1), *grams(words, 2)}


def weight(shared: Grams) -> float:
    return sum(1 if len(gram) == 2 else 0.5 for gram in shared)


def scores(statement: Statement) -> dict[str, float]:
    """Return each score of faithfulness. Higher is better."""
    words = words_of(statement.text)
    article = [words_of(sentence) for sentence in statement.article]
    every = [word for sentence in article for word in sentence]
    trigrams = share(grams(words, 3), set(grams(every, 3)))
    windows = zip(article, [*article[1:], []], strict=True)
    bigrams = max(share(grams(words, 2), set(grams([*a, *b], 2))) for a, b in windows)
    quote = quoted(statement)
    reasons = set(
        reasons_against(statement.text, [Passage(text, "", "") for text in quote], ENGLISH)
    )
    terms = all_terms(statement.text)
    breaks = breaks_in(terms, [all_terms(sentence) for sentence in quote])
    broken = breaks / max(1, len(terms) - 1)
    against = 0.1 * bool(reasons & ANOTHER) + 0.05 * bool(reasons & WEAKER)
    return {
        "ours": 0.05 * (trigrams + bigrams) - broken - against,
        "share of breaks": -broken,
        "share of trigrams": trigrams,
        "bigrams of two sentences": bigrams,
        "verdict": -float(bool(reasons)),
    }


def all_terms(sentence: str) -> Terms:
    return [term for clause in clauses_of(sentence, ENGLISH) for term in clause.terms]


def area(pairs: list[tuple[float, bool]]) -> float:
    good = [score for score, faithful in pairs if faithful]
    bad = [score for score, faithful in pairs if not faithful]
    wins = sum((a > b) + 0.5 * (a == b) for a in good for b in bad)
    return wins / (len(good) * len(bad))


def caught(pairs: list[tuple[float, bool]]) -> float:
    """Return the share of unfaithful sentences below the score that flags 15 % of the faithful ones."""
    good = sorted(score for score, faithful in pairs if faithful)
    limit = good[int(FLAGGED * len(good))]
    bad = [score for score, faithful in pairs if not faithful]
    return sum(score < limit for score in bad) / len(bad)


def main() -> None:
    folder = Path(sys.argv[1])
    name, half = [*sys.argv[2:], *("cnndm", "all")[len(sys.argv) - 2 :]][:2]
    statements = list(read(folder, name, half))
    measured = [(scores(statement), statement.faithful) for statement in statements]
    unfaithful = sum(not faithful for _, faithful in measured)
    lines = [f"{name}, {half} articles: {len(measured)} sentences, {unfaithful} unfaithful"]
    for key in measured[0][0]:
        pairs = [(values[key], faithful) for values, faithful in measured]
        if key == "verdict":
            flags = [(score < 0, faithful) for score, faithful in pairs]
            hit = sum(flag for flag, faithful in flags if not faithful) / unfaithful
            false = sum(flag for flag, faithful in flags if faithful) / (len(flags) - unfaithful)
            lines.append(f"{key:26} catches {hit:.1%} and flags {false:.1%}")
        else:
            at = f"{caught(pairs):.1%} at {FLAGGED:.0%}"
            lines.append(f"{key:26} area {area(pairs):.3f}, catches {at}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
