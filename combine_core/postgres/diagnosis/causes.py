"""The causes of database faults: a stable code for each, its meaning, and the runbook's remedy."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path


class Role(StrEnum):
    """A row of the runbook's table of contacts."""

    ON_CALL = "On-call"
    DATABASE = "Database"
    INFRASTRUCTURE = "Infrastructure"


class Cause(StrEnum):
    """The code of a cause. Programs rely on the codes; the texts beside them may change."""

    BAD_URL = "DB_BAD_URL"
    UNKNOWN_HOST = "DB_UNKNOWN_HOST"
    REFUSED = "DB_REFUSED"
    NO_ROUTE = "DB_NO_ROUTE"
    TIMEOUT = "DB_TIMEOUT"
    SLOW = "DB_SLOW"
    CLOSED = "DB_CLOSED"
    NOT_POSTGRESQL = "DB_NOT_POSTGRESQL"
    TLS_REQUIRED = "DB_TLS_REQUIRED"
    TLS_NOT_OFFERED = "DB_TLS_NOT_OFFERED"
    TLS_FAILED = "DB_TLS_FAILED"
    AUTH_FAILED = "DB_AUTH_FAILED"
    MISSING = "DB_MISSING"
    TOO_MANY_CONNECTIONS = "DB_TOO_MANY_CONNECTIONS"
    NOT_ACCEPTING = "DB_NOT_ACCEPTING"
    READ_ONLY = "DB_READ_ONLY"
    POOLER_REFUSED = "DB_POOLER_REFUSED"
    POOLER_ALONE = "DB_POOLER_ALONE"
    REJECTED = "DB_REJECTED"
    DISK_FULL = "DB_DISK_FULL"
    OUT_OF_RESOURCES = "DB_OUT_OF_RESOURCES"
    STORAGE_FAILED = "DB_STORAGE_FAILED"
    CORRUPTED = "DB_CORRUPTED"
    POOL_EXHAUSTED = "DB_POOL_EXHAUSTED"
    REACHABLE = "DB_REACHABLE"
    UNKNOWN = "database_unreachable"


@dataclass(frozen=True, slots=True)
class Advice:
    """What a cause means and what to do about it.

    :ivar meaning: one sentence
    :ivar remedy: the step of the runbook's resolution, and what that step means for this cause
    :ivar commands: commands of the runbook to run next
    :ivar retryable: whether the fault may pass without help, so that trying again makes sense
    :ivar contact: the team to call
    """

    meaning: str
    remedy: str
    commands: tuple[str, ...]
    retryable: bool
    contact: Role

    @property
    def line(self) -> str:
        """The remedy and its commands in one line."""
        return f"{self.remedy} Run: {' ; '.join(self.commands)}" if self.commands else self.remedy


def read_texts(embedded: Path | None = None) -> tuple[dict[Cause, Advice], dict[str, str]]:
    """The advice for each cause, and how other tasks are done, from the file beside this module.

    :param embedded: the folder of the embedded database, if that is used
    """
    read = tomllib.loads(files(__package__).joinpath("causes.toml").read_text(encoding="utf-8"))
    instead = read["embedded"]
    names = {**read["steps"], "folder": str(embedded), "log": f"{embedded}/server.log"}
    advice = {}
    for code, entry in read["causes"].items():
        remedy, commands = entry["remedy"], [read["commands"][name] for name in entry["commands"]]
        if embedded is not None:
            own = instead["causes"].get(code)
            remedy, commands = (own, []) if own else (instead["remedy"], instead["commands"])
        advice[Cause(code)] = Advice(
            meaning=entry["meaning"],
            remedy=remedy.format_map(names),
            commands=tuple(command.format_map(names) for command in commands),
            retryable=entry["retryable"],
            contact=Role(entry["contact"]),
        )
    return advice, read["tasks"] if embedded is None else instead["tasks"]


ADVICE, TASKS = read_texts()
"""The advice by cause; and how a migration is run, a worker is started, ..."""


def remedies() -> dict[str, str]:
    """The remedy in one line, by the code of the cause."""
    return {cause.value: advice.line for cause, advice in ADVICE.items()}


def speak_of_embedded(folder: Path) -> None:
    """Let the advice of this process be for its embedded database, which is in `folder`."""
    advice, tasks = read_texts(folder)
    ADVICE.update(advice)
    TASKS.update(tasks)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The cause of a fault, and what was observed this time (one sentence without secrets)."""

    cause: Cause
    detail: str

    @property
    def advice(self) -> Advice:
        return ADVICE[self.cause]

    @property
    def remedy(self) -> str:
        """The remedy and the runbook's commands in one line."""
        return self.advice.line

    @property
    def line(self) -> str:
        """Code, meaning, detail and remedy in one line, for a log."""
        return f"{self.cause}: {self.advice.meaning} {self.detail} {self.remedy}"

    def __str__(self) -> str:
        commands = [f"  {command}" for command in self.advice.commands]
        return "\n".join(
            [
                f"{self.cause}: {self.advice.meaning}",
                self.detail,
                self.advice.remedy,
                *(["Run next:", *commands] if commands else []),
                f"{'Trying again may help' if self.advice.retryable else 'Trying again does not help'}."
                f" Contact: {self.advice.contact}",
            ]
        )
