"""Read a source sentence by sentence, with the kind, the place and the weight of each."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from combine_core.language import (
    Language,
    language_of,
    lowered,
    plain_text,
    sentence_spans,
    silenced_at,
)
from combine_core.llm.completion import Material
from combine_core.llm.extract.decisions import (
    is_bare,
    moves,
    needs_more,
    needs_title,
    records_more,
    seconds,
    settles,
)
from combine_core.llm.extract.kinds import is_clear, is_labelled_decision, kind_of, read_sentence
from combine_core.llm.extract.rows import (
    Task,
    TaskColumns,
    span_of_row,
    task_columns,
    task_of_row,
    text_of_row,
)
from combine_core.llm.extract.sentence import (
    Kind,
    Reading,
    Section,
    Sentence,
    completes,
    goes_on,
    matter_of,
    section_of,
    stands_alone,
)
from combine_core.llm.extract.tasks import names_group
from combine_core.llm.extract.titles import Span, Titles, is_part, list_below
from combine_core.llm.extract.vocabulary import vocabulary_of
from combine_core.llm.extract.weight import discount_of, weight_of
from combine_core.readers import SILENT, Block, BlockKind, read_blocks

_WORD = re.compile(r"[^\W\d_]\w+")
# Stands before a title that only the one above it completes, as "Resolution" below "Slow responses".
TITLES = " › "
# An agenda is a smaller part of the text than what was said about it.
_AGENDA = 0.4
# So many signs of thinking aloud in a hundred words.
_ALOUD = 1.5
# So many paragraphs that end in a question make a form, whose answers follow.
_FORM = 3
# Of two sentences in one statement, in letters.
_LONGEST_JOINED = 400
_THOUGHT = 0.5
_ELLIPSIS = re.compile(r"(?<!\.)\.\.\.|…|\?{2,}")
# To begin with a letter of its own makes a pattern fast.
_CODE = re.compile(r"(?P<letters>[A-Z](?<!\w[A-Z])[A-Z]{1,7})[- ]?(?P<number>\d{3,6})\b")
# "Ann" of "Ann Lee (@ann)", in a list of those present.
_FIRST_NAME = re.compile(r"\A[\W_]*([A-ZÀ-Þ][\w'’-]+)")
# Between two paragraphs of a cell, and the words of one without its marks.
_PARAGRAPH = re.compile(r"(?:</p>)?\s*<(?:p|br|li)\s*/?>")
_PART = re.compile(
    r"(?<![<\w/])[^\W_](?!>)(?:.*[^\s>])?(?=</)|(?<![<\w/])[^\W_](?!>)(?:[^<]*[^\s<])?"
)
_QUOTATION_MARK = re.compile('["“”„«»]')
# A check mark or a picture.
_SIGN = re.compile("\\A(?:[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?[ ]*)+")
# A line with so many words at most does not say what its list is about: "Symptoms:".
_LABEL = 2
# The fewest entries that complete a line.
_PARTS = 2
# A task with so many words at most does not say what it is about: "Ann answers".
_SHORT_TASK = 4
# Of the time and the place of a meeting, in letters.
_LONGEST_PLACE = 120
# The weight of what only its title completes.
_COMPLETED = 0.7
_LEADS = frozenset({BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.LIST_ITEM})
_LISTED_KINDS: frozenset[BlockKind] = frozenset({BlockKind.LIST_ITEM, BlockKind.TABLE_ROW})
_JOINED_SECTIONS = frozenset({Section.OTHER, Section.OUTCOME, Section.SUMMARY})
_DECIDED = frozenset({Kind.DECISION, Kind.QUESTION})
# "Present: Ann Lee, Ben", near the beginning.
_ATTENDANCE = re.compile(r"^\W*(?P<label>[^\W\d_][\w ]{1,30})\W*:\W* (?P<names>.+)", re.MULTILINE)
_NAMED = re.compile(r"(?:\A|[,;/&]|\bund\b|\band\b)\W*([A-ZÀ-Þ][\w'’-]+)")
_HEAD = 4_000
_OF_MAIL = ("From", "To", "Cc")
_MARKS = ("-", "*", "+")
# A line between a motion and its votes.
_RULE = re.compile(r"^[-_*]{3,}[ \t]*$", re.MULTILINE)
_CODE_ALONE = re.compile(r"\W*`[^`\n]+`(?: *(?:and|or|und|,|;|\|)? *`[^`\n]+`)*\W*\w{0,4}")


@dataclass(slots=True)
class Said:
    """A sentence of a source: what it is, where it stands, and how important it is.

    :ivar titles: where the titles stand that complete it
    """

    sentence: Sentence
    reading: Reading
    start: int
    end: int
    weight: float
    titles: tuple[Span, ...] = ()


class SourceReader:
    """Reads one source from its beginning to its end.

    ``_asked`` is where the question right before the next sentence stands. What was said in the block before
    is held back in ``_held``, because the next sentence may settle that question.
    """

    def __init__(self, material: Material) -> None:
        self._text = material.text
        self._blocks = material.blocks or read_blocks(material.text)
        self._language = language_of(material.text)
        low = lowered(material.text)
        self._motions = any(map(low.__contains__, vocabulary_of(self._language).motion_signs))
        self._sections: dict[tuple[str, ...], Section] = {}
        # "Protokoll" above the whole text silences none of it.
        titles = {block.headings[:1] for block in self._blocks[1:]}
        paths = {block.headings for block in self._blocks}
        self._paths = Counter(path[-1:] for path in paths)
        self._has_title = len(titles) == 1 and () not in titles
        self._agendas = self._agendas_in()
        self._people = self._names_of_people()
        self._codes = frozenset(
            code["number"]
            for code in _CODE.finditer(material.text)
            if self._language.unit(code["letters"].lower()) is None
        )
        signs = len(vocabulary_of(self._language).aloud.findall(low)) + len(_ELLIPSIS.findall(low))
        self._aloud = 100 * signs > _ALOUD * len(low.split())
        questions = sum(
            block.kind is BlockKind.PARAGRAPH
            and material.text[block.start : block.end].rstrip().endswith("?")
            for block in self._blocks
        )
        self._is_form = questions >= _FORM
        self._titles = Titles(material.text, self._language)
        self._asked: Span | None = None
        self._held: list[Said] = []
        self._listed: set[str] = set()
        self._decided: set[tuple[str, ...]] = set()
        self._tables: dict[tuple[tuple[str, ...], tuple[str, ...]], TaskColumns | None] = {}

    def heading(self, block: Block) -> str:
        """Return the title above a block, behind the one above it if several parts have this title."""
        above = block.headings[-2:]
        return TITLES.join(above if self._paths[block.headings[-1:]] > 1 else above[-1:])

    def said(self, check_time: Callable[[], None]) -> Iterator[Said]:
        """The sentences that say something, in their order."""
        behind = 0
        for number, block in enumerate(self._blocks):
            if number % 500 == 0:
                check_time()
            self._titles.note(block)
            if number < behind:
                continue
            if listed := self._with_list(number):
                behind = number + 1 + listed
                continue
            if block.kind in SILENT or self._section(block) is Section.SILENT:
                continue
            if self._in_italics(block) and self._section(block) is Section.OTHER:
                continue  # a note on the text, or what a template asks for
            following = self._blocks[number + 1] if number + 1 < len(self._blocks) else None
            found = self._said_in(block, following)
            if self._asked is None or not self._held or self._asked[0] > self._held[-1].start:
                yield from self._held
                self._held = []
            self._held += found
        yield from self._held

    def _with_list(self, number: int) -> int:
        """Join a line with the list that completes it, and return the number of its entries, or 0."""
        lead = self._blocks[number]
        following = self._blocks[number + 1] if number + 1 < len(self._blocks) else None
        if following is None or following.kind not in _LISTED_KINDS or lead.kind not in _LEADS:
            return 0
        if self._section(following) not in _JOINED_SECTIONS:
            return 0
        entries = list_below(self._text, self._blocks, number)
        parts = [_without_marks(plain_text(self._text[one.body : one.end])) for one in entries]
        if entries and entries[0].columns:
            parts = [text_of_row(self._text, one) for one in entries]
        elif len(entries) < _PARTS or not all(is_part(part, self._language) for part in parts):
            return 0
        parts = [part for part in parts if _WORD.search(part)]
        if not parts:
            return 0
        orders = 0
        for entry in entries:
            part = self._whole(entry)
            reading = read_sentence(part)
            if reading and (reading.kind in _DECIDED or reading.owner or reading.due):
                return 0
            order = part.words.imperative.match(part.low) is not None
            if not entry.columns and not order and stands_alone(part):
                return 0
            orders += order
        named = plain_text(self._text[lead.body : lead.end].lstrip("#")).rstrip(" :")
        if orders == len(entries) and len(named.split()) <= _LABEL:
            return 0  # steps, each of which stands alone
        whole = replace(self._whole(lead), text=f"{named}: {'; '.join(parts)}")
        titled = lead.kind is BlockKind.HEADING
        place = _stripped(self._text, (entries[0] if titled else lead).start, entries[-1].end)
        said = Said(whole, Reading(Kind.STATEMENT), *place, _COMPLETED)
        if titled:
            said.titles = (_stripped(self._text, lead.start, lead.end),)
        if len(named.split()) <= _LABEL:
            said = self._titled(said, matter_of(lead.headings, self._language))
        self._held.append(said)
        return len(entries)

    def _whole(self, block: Block) -> Sentence:
        """Return the words of a block as one sentence."""
        return self._sentence(block, None, [(block.body, block.end)], 0)

    def _titled(self, said: Said, title: str) -> Said:
        """Put the title before the words, if it stands in this text."""
        span = self._titles.span_of(title)
        if span is None:
            return said
        # What stands in quotation marks would have to stand in the sentence.
        words = _QUOTATION_MARK.sub("", title).rstrip(" -–:")
        sentence = replace(said.sentence, text=f"{words}: {said.sentence.text}")
        return replace(said, sentence=sentence, titles=(span, *said.titles))

    def _completed(
        self, block: Block, sentence: Sentence, reading: Reading | None, place: Span
    ) -> Said | None:
        """Join an entry with the title or the entry above it that says what it is about."""
        if is_bare(sentence):
            title = matter_of(block.headings, self._language)
            joined = needs_title(sentence, title)
            reading = Reading(Kind.DECISION)
        else:
            title = self._titles.label_above(block)
            reading = reading or Reading(Kind.STATEMENT, figures=True)
            joined = bool(title) and self._section(block) in _JOINED_SECTIONS
            joined = joined and _is_incomplete(sentence, reading) and completes(sentence)
            if joined:
                reading = replace(reading, kind=kind_of(sentence, reading), figures=False)
        return self._titled(Said(sentence, reading, *place, _COMPLETED), title) if joined else None

    def _next_meeting(self, block: Block) -> list[Said]:
        """Return when and where the next meeting is, if a title announces it."""
        title = self._titles.title_above(block)
        words = vocabulary_of(self._language)
        if not title or not words.next_meeting.fullmatch(lowered(title)):
            return []
        found: list[Said] = []
        for place in sentence_spans(self._text, block.body, block.end, self._language):
            sentence = self._sentence(block, None, [place], 0)
            if any(map(str.isdecimal, sentence.text)) and len(sentence.text) <= _LONGEST_PLACE:
                said = Said(sentence, Reading(Kind.STATEMENT), *place, _COMPLETED)
                found.append(self._titled(said, title))
        if found and title not in block.headings:
            # The entry and the words below it are one quote.
            [(start, _)] = found[0].titles
            return [replace(found[0], start=start, titles=())]
        return found

    def _agendas_in(self) -> frozenset[str]:
        """Return the titles of agendas that only announce what stands elsewhere in the source."""
        agenda = vocabulary_of(self._language).agenda
        lengths = Counter[str]()
        for block in self._blocks:
            titles = {
                title for title in block.headings if agenda.fullmatch(lowered(title).strip(" :"))
            }
            lengths.update(dict.fromkeys(titles, block.end - block.start))
        return frozenset(
            title for title, length in lengths.items() if length < _AGENDA * len(self._text)
        )

    def _section(self, block: Block) -> Section:
        section = self._sections.get(block.headings)
        if section is None:
            section = section_of(block.headings, self._language)
            if section is Section.SILENT and self._has_title:
                section = section_of(block.headings[1:], self._language)
            if not self._agendas.isdisjoint(block.headings):
                section = Section.SILENT
            self._sections[block.headings] = section
        return section

    def _in_italics(self, block: Block) -> bool:
        words = self._text[block.body : block.end].strip()
        return words[:1] in "*_" and words[-1:] in "*_" and words[:2] not in ("**", "__")

    def _names_of_people(self) -> frozenset[str]:
        """Return the first and last names of those who speak or are listed as present."""
        names = {name for block in self._blocks for name in block.speaker.split()}
        present = vocabulary_of(self._language).sections["attendance"]
        for block in self._blocks:
            titles = (lowered(title).strip(" :") for title in block.headings)
            if block.kind is BlockKind.LIST_ITEM and any(map(present.fullmatch, titles)):
                names.update(_FIRST_NAME.findall(self._text[block.body : block.end]))
        for line in _ATTENDANCE.finditer(self._text[:_HEAD]):
            if line["label"] in _OF_MAIL or present.fullmatch(line["label"].lower()):
                names.update(_NAMED.findall(line["names"]))
        return frozenset(names)

    def _said_in(self, block: Block, following: Block | None) -> list[Said]:
        text = self._text
        discount = discount_of(text, block, following)
        if block.kind is BlockKind.LIST_ITEM and self._section(block) is Section.ACTION:
            entry = plain_text(text[block.body : block.end]).rstrip(":")
            nested = following is not None and following.headings == (*block.headings, entry)
            if nested and names_group(self._whole(block)):
                return []
            self._listed.add(entry)
        if meeting := self._next_meeting(block):
            return meeting
        found: list[Said] = []
        row = block.kind is BlockKind.TABLE_ROW
        decided = False
        task = self._task(block)
        if task is not None and task.done:
            return []
        spans = [task.span] if task else list(_spans(text, block, self._language))
        for index, (start, end) in enumerate(spans):
            sentence = self._sentence(block, following, spans, index)
            if task is not None or (index == 0 and self._assigns(block, sentence)):
                sentence = replace(sentence, section=Section.ACTION)
            if silenced_at(text, start, end, (block.start, block.end)):
                self._asked = None
                continue
            if self._settled(sentence, end, found):
                continue
            if self._explains(block, index, sentence):
                sentence = replace(sentence, section=Section.OTHER)
            if sentence.text.endswith("?"):
                # A mark of its own belongs to the sentence before.
                alone = len(sentence.text) == 1 and index
                self._asked = spans[index - 1][0] if alone else start, end
            elif self._motions and moves(sentence):
                self._asked = start, end
            if index == 0:
                decided = is_labelled_decision(sentence)
            elif decided and records_more(sentence):
                sentence = replace(sentence, section=Section.DECISION)
            if sentence.section is Section.DECISION and index and block.kind is BlockKind.LIST_ITEM:
                decides = decided and records_more(sentence)
                sentence = sentence if decides else replace(sentence, section=Section.OTHER)
            if sentence.section is Section.ACTION and self._nested(block, sentence):
                sentence = replace(sentence, section=Section.OTHER)
            code = _CODE_ALONE.fullmatch(text, start, end) is not None
            reading = None if code else read_sentence(sentence)
            if task is not None and reading is not None and reading.kind is Kind.ACTION:
                owner, due = task.owner or reading.owner, task.due or reading.due
                reading = replace(reading, owner=owner, due=due)
            joined = None
            if len(spans) == 1 and not code:
                joined = self._completed(block, sentence, reading, (start, end))
            if joined is not None:
                # "Passed" and what was passed are one decision.
                self._held = [
                    said for said in self._held if (said.start, said.end) not in joined.titles
                ]
                found.append(joined)
                continue
            if reading is None or (
                reading.kind is Kind.QUESTION and self._answered(following, block, sentence.text)
            ):
                continue
            if reading.kind is Kind.DECISION and not block.headings and is_bare(sentence):
                continue
            first = start
            if reading.kind is Kind.DECISION and index and not row and needs_more(sentence):
                # "Decided to defer it": what, the sentence before says.
                before = spans[index - 1]
                first = before[0]
                sentence = replace(sentence, text=plain_text(text[first:end]))
                if found and (found[-1].start, found[-1].end) == before:
                    found.pop()
                sentence = replace(sentence, first=True)
            if reading.kind in (Kind.DECISION, Kind.ACTION) and not is_clear(
                sentence, reading.kind
            ):
                if not (index and _names_somebody(reading, block)):
                    continue
                # "Tom takes care of it": of what, the sentence before says.
                first = spans[index - 1][0]
                earlier = self._sentence(block, following, spans, index - 1)
                if end - first > _LONGEST_JOINED or not stands_alone(earlier):
                    continue
                sentence = replace(sentence, text=plain_text(text[first:end]))
            if (
                index
                and not sentence.spoken
                and reading.kind is Kind.STATEMENT
                and goes_on(sentence)
            ):
                self._join(found, spans[index - 1], end)
                continue
            weight = weight_of(sentence) / discount
            if self._aloud and not block.speaker:
                weight -= _THOUGHT
            found.append(Said(sentence, reading, first, end, max(weight, 0.0)))
        return found

    def _assigns(self, block: Block, sentence: Sentence) -> bool:
        """Check for an entry of a list that tells somebody what to do: "- Anna: check the pump"."""
        if not sentence.spoken or not self._text[block.start : block.body].lstrip().startswith(
            _MARKS
        ):
            return False
        return (
            sentence.words.imperative.match(sentence.low) is not None
            and not sentence.text.istitle()
        )

    def _task(self, block: Block) -> Task | None:
        if not block.columns:
            return None
        words = vocabulary_of(self._language)
        table = block.headings, block.columns
        if table not in self._tables:
            listed = self._section(block) is Section.ACTION
            self._tables[table] = task_columns(block.columns, words, listed=listed)
        columns = self._tables[table]
        return task_of_row(self._text, block, columns, words) if columns else None

    def _join(self, found: list[Said], before: tuple[int, int], end: int) -> None:
        """Add a sentence to the statement before it, unless this has grown long."""
        last = found[-1] if found else None
        if last is None or last.end != before[1] or end - last.start > _LONGEST_JOINED:
            return
        if last.reading.kind is Kind.STATEMENT and last.weight:
            last.sentence = replace(last.sentence, text=plain_text(self._text[last.start : end]))
            last.end = end

    def _nested(self, block: Block, sentence: Sentence) -> bool:
        """Check for a note below a task, which is no task unless it says so."""
        below = bool(block.headings) and block.headings[-1] in self._listed
        return below and not sentence.words.imperative.match(sentence.low)

    def _explains(self, block: Block, index: int, sentence: Sentence) -> bool:
        """Check whether the sentence gives reasons below "Decision", the title of one decision."""
        words = sentence.words
        if block.kind is not BlockKind.PARAGRAPH or sentence.section is not Section.DECISION:
            return False
        if not block.headings or not words.one_decision.fullmatch(lowered(block.headings[-1])):
            return False
        opens = index == 0 and block.headings not in self._decided
        self._decided.add(block.headings)
        return not opens and not words.commits.match(sentence.low)

    def _sentence(
        self, block: Block, following: Block | None, spans: list[tuple[int, int]], index: int
    ) -> Sentence:
        start, end = spans[index]
        kind = block.kind
        words = plain_text(self._text[start:end])
        words = words if words.isascii() else _SIGN.sub("", words)
        if words[:1] == "[" and words[-1:] == "]":
            words = words[1:-1]
        if block.kind is BlockKind.TABLE_ROW:
            words = ("|" in self._text[start:end] and text_of_row(self._text, block)) or words
            if len(spans) > 1:
                # A paragraph of a cell is an entry of its own.
                block = replace(block, kind=BlockKind.LIST_ITEM, columns=())
        return Sentence(
            words,
            block,
            self._section(block),
            self._language,
            first=index == 0 or block.kind is not kind,
            last=words.endswith("?") and self._leaves_open(spans[index + 1])
            if index < len(spans) - 1
            else not self._may_answer(following, block, alone=len(spans) == 1),
            people=self._people,
            codes=self._codes,
        )

    def _leaves_open(self, span: Span) -> bool:
        """Check for the answer that there is no answer: "Nobody knew." """
        words = vocabulary_of(self._language)
        return words.unanswered.search(lowered(self._text[slice(*span)])) is not None

    def _may_answer(self, following: Block | None, block: Block, *, alone: bool) -> bool:
        """Check whether the next block may answer a question: it goes on with the list, or with a form.

        :param alone: whether the block holds nothing but the question
        """
        if following is None or following.headings != block.headings:
            return False
        if following.kind is not block.kind:
            return False
        if block.kind is BlockKind.PARAGRAPH and not (alone and self._is_form):
            return False
        return not self._text[following.start : following.end].rstrip().endswith("?")

    def _answered(self, following: Block | None, block: Block, words: str) -> bool:
        """Check whether the answer to a question stands in the list below it."""
        if following is None or len(following.headings) <= len(block.headings):
            return False
        return following.headings[-1] == words.rstrip(":")

    def _settled(self, sentence: Sentence, end: int, found: list[Said]) -> bool:
        """Check whether the sentence settles the pending question or motion, and join the two if so."""
        question, self._asked = self._asked, None
        kind = settles(sentence) if question else None
        if question is None or kind is None:
            if question and seconds(sentence):
                self._asked = question
            return False
        before = found or self._held
        while before and before[-1].start >= question[0]:
            before.pop()
        said = _RULE.sub("", self._text[question[0] : end])
        both = replace(sentence, text=plain_text(said))
        found.append(Said(both, Reading(kind), question[0], end, weight_of(both)))
        if kind is Kind.STATEMENT:
            self._asked = question[0], end  # there may be more votes
        return True


def _names_somebody(reading: Reading, block: Block) -> bool:
    """Check for the task of a person who is named and does not speak."""
    return reading.kind is Kind.ACTION and reading.owner not in ("", block.speaker)


def _is_incomplete(sentence: Sentence, reading: Reading) -> bool:
    """Check whether only the entry above says what a statement or a task is about."""
    if reading.kind is Kind.ACTION:
        return len(sentence.text.split()) <= _SHORT_TASK
    return reading.kind is Kind.STATEMENT and not stands_alone(sentence)


def _without_marks(words: str) -> str:
    """Take signs such as a check mark off the beginning of an entry, and the full stop off its end."""
    return _SIGN.sub("", words).rstrip(".,; ")


def _stripped(text: str, start: int, end: int) -> Span:
    words = text[start:end]
    return start + len(words) - len(words.lstrip()), start + len(words.rstrip())


def _spans(text: str, block: Block, language: Language) -> Iterator[tuple[int, int]]:
    if block.kind is not BlockKind.TABLE_ROW:
        yield from sentence_spans(text, block.body, block.end, language)
        return
    if (row := span_of_row(text, block)) is None:
        return
    if "|" in text[slice(*row)] or "<" not in text[slice(*row)]:
        yield row
        return
    # The paragraphs of a cell.
    at = row[0]
    for end in [*(tag.start() for tag in _PARAGRAPH.finditer(text, *row)), row[1]]:
        words = _PART.search(text, at, end)
        if words is not None:
            yield words.start(), words.end()
        at = end
