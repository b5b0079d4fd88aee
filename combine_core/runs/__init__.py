"""Runs: executions of lines, step by step, by workers."""

from combine_core.runs.calls import (
    CURRENCY,
    CallSums,
    Costs,
    MonthlyCost,
    costs_of_project,
    find_call,
    list_calls,
    read_texts,
    sums_of_runs,
    sums_of_steps,
)
from combine_core.runs.estimate import Estimate
from combine_core.runs.limits import ModelLimits, limits_of
from combine_core.runs.model import Call, CallState, Run, RunSource, RunState, Step, StepState
from combine_core.runs.service import (
    InvalidRun,
    QueueFull,
    cancel_run,
    estimate_run,
    list_runs,
    list_runs_briefly,
    read_run,
    start_run,
)

__all__ = [
    "CURRENCY",
    "Call",
    "CallState",
    "CallSums",
    "Costs",
    "Estimate",
    "InvalidRun",
    "ModelLimits",
    "MonthlyCost",
    "QueueFull",
    "Run",
    "RunSource",
    "RunState",
    "Step",
    "StepState",
    "cancel_run",
    "costs_of_project",
    "estimate_run",
    "find_call",
    "limits_of",
    "list_calls",
    "list_runs",
    "list_runs_briefly",
    "read_run",
    "read_texts",
    "start_run",
    "sums_of_runs",
    "sums_of_steps",
]
