"""The causes of database faults, each with a stable code, its meaning and the runbook's remedy."""

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
    """The code of a cause. Programs rely on the codes; the texts may change."""

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
    """The meaning of a cause and its remedy.

    :ivar meaning: one sentence
    :ivar remedy: the step of the runbook, and its meaning for this cause
    :ivar commands: commands of the runbook to run next
    :ivar retryable: whether the fault may pass without help, so that retrying makes sense
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
    """Read the advice for each cause, and the commands for other tasks, from ``causes.toml``.

    :param embedded: the folder of the embedded database, if it is in use
    """
    texts = tomllib.loads(files(__package__).joinpath("causes.toml").read_text(encoding="utf-8"))
    embedded_texts = texts["embedded"]
    names = {**texts["steps"], "folder": str(embedded), "log": f"{embedded}/server.log"}
    advice = {}
    for code, entry in texts["causes"].items():
        remedy, commands = entry["remedy"], [texts["commands"][name] for name in entry["commands"]]
        if embedded is not None:
            remedy, commands = embedded_texts["causes"].get(code), []
            if remedy is None:
                remedy, commands = embedded_texts["remedy"], embedded_texts["commands"]
        advice[Cause(code)] = Advice(
            meaning=entry["meaning"],
            remedy=remedy.format_map(names),
            commands=tuple(command.format_map(names) for command in commands),
            retryable=entry["retryable"],
            contact=Role(entry["contact"]),
        )
    return advice, texts["tasks"] if embedded is None else embedded_texts["tasks"]


# The advice by cause, and the commands by task, for example to migrate or to start a worker.
ADVICE, TASKS = read_texts()


def remedies() -> dict[str, str]:
    """Return the remedies in one line each, by the code of the cause."""
    return {cause.value: advice.line for cause, advice in ADVICE.items()}


def use_embedded_advice(folder: Path) -> None:
    """Switch the advice of this process to the embedded database in `folder`."""
    advice, tasks = read_texts(folder)
    ADVICE.update(advice)
    TASKS.update(tasks)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The cause of a fault, and the observation that led to it (one sentence without secrets)."""

    cause: Cause
    detail: str

    @property
    def advice(self) -> Advice:
        return ADVICE[self.cause]

    @property
    def remedy(self) -> str:
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
                f"{'Retrying may help' if self.advice.retryable else 'Retrying does not help'}."
                f" Contact: {self.advice.contact}",
            ]
        )
