"""Runs: executions of lines, step by step, by workers."""

from combine_core.runs.estimate import Estimate
from combine_core.runs.limits import ModelLimits, limits_of
from combine_core.runs.model import Call, CallState, Run, RunSource, RunState, Step, StepState
from combine_core.runs.service import (
    InvalidRun,
    QueueFull,
    cancel_run,
    estimate_run,
    list_runs,
    read_run,
    start_run,
)
from combine_core.runs.worker import Worker

__all__ = [
    "Call",
    "CallState",
    "Estimate",
    "InvalidRun",
    "ModelLimits",
    "QueueFull",
    "Run",
    "RunSource",
    "RunState",
    "Step",
    "StepState",
    "Worker",
    "cancel_run",
    "estimate_run",
    "limits_of",
    "list_runs",
    "read_run",
    "start_run",
]
