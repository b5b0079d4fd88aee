"""Measure how long it takes to read and run sources, and the memory of the worker: ``make
bench-domain``.

The script starts PostgreSQL and a worker, adds generated minutes as sources, and runs the line
``brief`` on them with the model ``extract``. It prints each measurement with its target, and exits
with status 1 if one misses its target. Run it on an idle machine.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from sqlalchemy.orm import Session, sessionmaker

from combine_core.database import make_engine, make_sessions
from combine_core.database.migrations import upgrade
from combine_core.llm import provider_registry
from combine_core.postgres.embedded import EmbeddedPostgres
from combine_core.projects import create_project
from combine_core.runs import Run, start_run
from combine_core.settings.core import CoreSettings
from combine_core.settings.database_url import parse_database_url
from combine_core.sources import add_source, read_upload
from combine_core.users import get_or_create_user
from tests.unit.readers.shown import pdf

ROOT = Path(__file__).resolve().parents[2]
MB = 1024 * 1024
POLL_S = 0.02
# Measuring the memory of all processes takes as long as reading a source of many kilobytes.
MEMORY_POLL_S = 0.1
PATIENCE_S = 300

PEOPLE = ("Anna", "Ben", "Chiara", "David", "Elif", "Farid", "Greta", "Hugo")
THINGS = (
    "crane",
    "kiln",
    "pump",
    "boiler",
    "conveyor",
    "oven",
    "filter",
    "compressor",
    "dryer",
    "mixer",
)
PARTS = (
    "seal",
    "valve",
    "bearing",
    "sensor",
    "belt",
    "door",
    "switch",
    "motor",
    "gauge",
    "housing",
)
PLACES = ("hall 3", "the north wing", "the workshop", "the yard", "line 7", "the laboratory")
SENTENCES = (
    "The {thing} in {place} ran for {n} hours with the new {part}, and the {part2} was cleaned twice.",
    "{person} reported that the {part} of the {thing} is worn, which explains the noise since spring.",
    "We decided to replace the {part} of the {thing} in {place} before the audit.",
    "Who pays for the {part} of the {thing} is still open.",
    "The supplier asks {n},{m} EUR for the {thing}, about {k} percent more than last year.",
    "It may be cheaper to rent a {thing}, but then the {part} would not be ours.",
    "{person} showed how the {part2} is taken out, and everybody who works in {place} could try it.",
    "If the {thing} stops again, the {part} is to be sent to the maker, who examines it for free.",
    "The drawings of {place} do not show the {part}, so nobody knew where the {part2} had been built in.",
    "The team agreed that the {thing} should be checked every {k} weeks from now on.",
)  # fmt: skip


def minutes(size: int, seed: int) -> str:
    """Return minutes of about this many bytes, with headings, paragraphs and lists."""
    chance = random.Random(seed)  # noqa: S311

    def sentence() -> str:
        return chance.choice(SENTENCES).format(
            thing=chance.choice(THINGS),
            part=chance.choice(PARTS),
            part2=chance.choice(PARTS),
            place=chance.choice(PLACES),
            person=chance.choice(PEOPLE),
            n=chance.randint(2, 400),
            m=chance.randint(100, 999),
            k=chance.randint(2, 48),
        )

    parts: list[str] = []
    length = 0
    while length < size:
        number = len(parts) + 1
        part = f"## {number}. The {chance.choice(THINGS)} of {chance.choice(PLACES)}\n\n"
        for _ in range(3):
            part += " ".join(sentence() for _ in range(4)) + "\n\n"
        part += "### Action items\n\n"
        part += f"- {chance.choice(PEOPLE)} to order the {chance.choice(PARTS)} {number} by 3 May 2026\n"
        part += f"- [ ] Clean the {chance.choice(THINGS)} number {number}\n\n"
        parts.append(part)
        length += len(part)
    return "".join(parts)[:size]


def pages(count: int) -> bytes:
    """Return a PDF file with this many pages full of text."""
    texts = [textwrap.wrap(minutes(3500, page), 100) for page in range(count)]
    return pdf(*texts)


@contextmanager
def database() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101, S103  PostgreSQL runs as another account than root
        with EmbeddedPostgres(Path(folder, "state")) as server:
            url = server.start()
            upgrade(parse_database_url(url).get_secret_value())
            yield url


@contextmanager
def worker(url: str) -> Iterator[psutil.Process]:
    """Start a worker as an operator does."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("combine")), "worker", "-c", str(ROOT / "production.ini")],
            env={"PATH": os.environ["PATH"], "ENVIRONMENT": "test", "DATABASE_URL": url, "TMPDIR": folder},
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def memory_of(worker: psutil.Process) -> float:
    """Return the memory of the worker and its child processes in MB. Shared memory counts once."""
    held = 0
    with suppress(psutil.NoSuchProcess):
        for process in (worker, *worker.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                held += process.memory_full_info().pss
    return held / MB


class Bench:
    """Reads and runs sources in one database, and compares the results with the targets."""

    def __init__(self, url: str) -> None:
        self._settings = CoreSettings(database_url=url)  # type: ignore[arg-type]
        engine = make_engine(
            self._settings.sqlalchemy_url, application_name="bench", pool_size=2, max_overflow=0
        )
        self._sessions: sessionmaker[Session] = make_sessions(engine)
        self._providers = provider_registry(self._settings)
        with self._sessions.begin() as session:
            self._user = get_or_create_user(session, "anna@example.org").id
            self._project = create_project(session, "Bench", self._user).id
        self.missed = 0

    def read_and_run(
        self,
        *files: tuple[str, bytes],
        look: Callable[[], None] = lambda: None,
        poll: float = POLL_S,
    ) -> float:
        """Return the seconds from the upload of the files to the document.

        :param look: called every ``poll`` seconds during the run
        """
        started = time.monotonic()
        with self._sessions.begin() as session:
            sources: list[uuid.UUID] = []
            for name, data in files:
                file = read_upload(name, data)
                source = add_source(session, self._project, name, file.text, self._user, file)
                sources.append(source.id)
        with self._sessions.begin() as session:
            run = start_run(
                session, self._project, "brief", sources, self._user,
                model="extract", providers=self._providers,
            ).id  # fmt: skip
        while (state := self._state(run)) not in ("succeeded", "failed"):
            if time.monotonic() - started > PATIENCE_S:
                raise SystemExit(f"The run is still {state} after {PATIENCE_S} seconds.")
            look()
            time.sleep(poll)
        if state == "failed":
            raise SystemExit("The run failed.")
        return time.monotonic() - started

    def _state(self, run: uuid.UUID) -> str:
        with self._sessions() as session:
            return session.get_one(Run, run).state

    def report(self, what: str, measured: float, most: float, unit: str) -> None:
        missed = measured > most
        self.missed += missed
        sys.stdout.write(
            f"{what:<40} {measured:8.1f} {unit:<2}  wanted ≤ {most:g} {unit}{'  MISSED' if missed else ''}\n"
        )
        sys.stdout.flush()


def main() -> int:
    with database() as url:
        bench = Bench(url)
        with worker(url):
            bench.read_and_run(
                ("small.md", minutes(2000, 0).encode())
            )  # This starts everything that starts only once.
            for size, most in ((1, 1.5), (4, 4.0)):
                text = minutes(size * MB - 1, size).encode()
                bench.report(f"{size} MB of text", bench.read_and_run(("text.md", text)), most, "s")
            pdf = pages(100)
            bench.report("a PDF of 100 pages", bench.read_and_run(("pages.pdf", pdf)), 5.0, "s")
        with worker(url) as process:
            files = [(f"text{n}.md", minutes(MB - 1, n).encode()) for n in range(20)]
            held: list[float] = []
            seconds = bench.read_and_run(
                *files, look=lambda: held.append(memory_of(process)), poll=MEMORY_POLL_S
            )
            bench.report("20 sources of 1 MB in one run", seconds, 12.0, "s")
            bench.report("the worker's memory at its peak", max(held), 250.0, "MB")
            used = sum(process.cpu_times()[:4])
            sys.stdout.write(f"The worker used {used:.1f} s of processor time.\n")
    return bool(bench.missed)


if __name__ == "__main__":
    sys.exit(main())
