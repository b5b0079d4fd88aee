"""Read the rows of tables: the sentence of a row, and its task with owner, due date and state."""

import re
from dataclasses import dataclass

from combine_core.language import lowered, plain_text
from combine_core.llm.extract.titles import Span
from combine_core.llm.extract.vocabulary import Vocabulary
from combine_core.readers import Block

_OBLIGES = re.compile(r"\w (?:shall|must|muss|müssen) |\A\W*(?:Verify|Ensure) that ")
_EMPTY = re.compile(r"\W*(?:n/?a|tb[adc]|none|nobody|offen|keine?r?|\?)?\W*", re.IGNORECASE)
# The fewest words of a cell that is a sentence.
_SENTENCE = 4


@dataclass(frozen=True, slots=True)
class TaskColumns:
    """The numbers of the columns of a table of tasks; ``None`` for one that it does not have."""

    task: int
    owner: int | None
    due: int | None
    state: int | None


@dataclass(frozen=True, slots=True)
class Task:
    """The task of a row.

    :ivar span: where its words stand in the source
    :ivar owner: who does it; empty if the row names nobody
    :ivar due: until when; empty if the row does not say
    :ivar done: whether the row says that it is done
    """

    span: Span
    owner: str
    due: str
    done: bool


def task_columns(
    columns: tuple[str, ...], words: Vocabulary, *, listed: bool
) -> TaskColumns | None:
    """Return which columns tell of tasks; ``None`` if the table is none of tasks.

    :param listed: whether the table stands below a title such as "Action items"
    """
    names = [lowered(column).strip(" :*_#") for column in columns]

    def find(title: re.Pattern[str]) -> int | None:
        return next((at for at, name in enumerate(names) if title.fullmatch(name)), None)

    task = find(words.task_column)
    owner, due = find(words.owner_column), find(words.due_column)
    if task is None or (owner is None and due is None and not listed):
        return None
    return TaskColumns(task, owner, due, find(words.state_column))


def task_of_row(text: str, block: Block, columns: TaskColumns, words: Vocabulary) -> Task | None:
    """Return the task of a row of ``text``; ``None`` if the row does not fit its columns, or has none."""
    cells = _cells(text, block)
    if len(cells) != len(block.columns) or cells[columns.task][0] == cells[columns.task][1]:
        return None

    def cell(at: int | None) -> str:
        value = "" if at is None else plain_text(text[slice(*cells[at])])
        return "" if _EMPTY.fullmatch(value) else value

    done = words.done.match(lowered(cell(columns.state))) is not None
    return Task(cells[columns.task], cell(columns.owner), cell(columns.due), done)


def span_of_row(text: str, block: Block) -> Span | None:
    """Return where the longest cell of a row stands if it holds a sentence, else where the whole row does."""
    # A requirement comes before the reasons for it, which are often longer.
    every = _cells(text, block)
    cells = [cell for cell in every if cell[0] < cell[1]]
    if not cells:
        return None
    obliging = [cell for cell in cells if _OBLIGES.search(text[slice(*cell)])]
    longest = max(obliging[:1] or cells, key=lambda cell: cell[1] - cell[0])
    counts = [len(text[slice(*cell)].split()) for cell in cells]
    words = len(text[slice(*longest)].split())
    # Of two cells, the first says what the second is about. A short one only adds to the others.
    if words >= _SENTENCE and len(cells) != 2 and (obliging or 2 * words >= sum(counts)):
        return longest
    return every[0][0], every[-1][1]


def text_of_row(text: str, block: Block) -> str:
    """Return "Item: Door; Price: 900", for a row without a sentence; empty if it does not fit its columns."""
    cells = _cells(text, block)
    if len(cells) != len(block.columns) or len(cells) < 2:
        return ""
    named = zip(block.columns, (plain_text(text[slice(*cell)]) for cell in cells), strict=True)
    return "; ".join(f"{column}: {cell}" if column else cell for column, cell in named if cell)


def _cells(text: str, block: Block) -> list[Span]:
    """Return where the words of each cell stand."""
    row = text[block.start : block.end].rstrip("\n")
    at = block.start
    if row.lstrip().startswith("|"):  # as in Markdown, with a mark at both ends
        at += row.index("|") + 1
        row = row.strip().removeprefix("|").removesuffix("|")
    cells = []
    for cell in row.split("|"):
        words = cell.strip()
        start = at + (cell.index(words) if words else 0)
        cells.append((start, start + len(words)))
        at += len(cell) + 1
    return cells
