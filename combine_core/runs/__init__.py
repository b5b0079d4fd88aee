"""Runs: executions of lines, step by step, by workers."""

from combine_core.runs.model import Call, CallState, Run, RunSource, RunState, Step, StepState
from combine_core.runs.service import (
    InvalidRun,
    QueueFull,
    cancel_run,
    list_runs,
    read_run,
    start_run,
)
from combine_core.runs.worker import Worker

__all__ = [
    "Call",
    "CallState",
    "InvalidRun",
    "QueueFull",
    "Run",
    "RunSource",
    "RunState",
    "Step",
    "StepState",
    "Worker",
    "cancel_run",
    "list_runs",
    "read_run",
    "start_run",
]
