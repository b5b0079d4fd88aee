"""Runs: the executions of lines. Workers execute them step by step."""

from combine_core.runs.calls import (
    CURRENCY,
    CallSums,
    MonthlyCost,
    costs_of_project,
    find_call,
    list_calls,
    read_texts,
    sums_of_run,
    sums_of_runs,
    sums_of_steps,
)
from combine_core.runs.lists import (
    ListedRun,
    ListedStep,
    RunInput,
    find_run,
    inputs_of_runs,
    list_runs,
    steps_of_runs,
)
from combine_core.runs.model import Call, CallState, Run, RunSource, RunState, Step, StepState
from combine_core.runs.portions import ModelLimits, limits_of
from combine_core.runs.service import (
    InvalidRun,
    QueueFull,
    cancel_run,
    estimate_run,
    read_run,
    start_run,
)

__all__ = [
    "CURRENCY",
    "Call",
    "CallState",
    "CallSums",
    "InvalidRun",
    "ListedRun",
    "ListedStep",
    "ModelLimits",
    "MonthlyCost",
    "QueueFull",
    "Run",
    "RunInput",
    "RunSource",
    "RunState",
    "Step",
    "StepState",
    "cancel_run",
    "costs_of_project",
    "estimate_run",
    "find_call",
    "find_run",
    "inputs_of_runs",
    "limits_of",
    "list_calls",
    "list_runs",
    "read_run",
    "read_texts",
    "start_run",
    "steps_of_runs",
    "sums_of_run",
    "sums_of_runs",
    "sums_of_steps",
]
