"""Plans: the units that have no result yet, with their keys, cut into slices."""

from fineline.plan.keys import SEED, KeyInputs, unit_key
from fineline.plan.models import (
    PlannedCheckpoint,
    PlannedEngine,
    PlannedFile,
    PlannedRun,
    PlannedTask,
    PlannedUnit,
    Slice,
    WorkOrder,
    key_inputs,
)
from fineline.plan.planning import Observed, Plan, PutAside, decide, make_plan, observe

__all__ = [
    "SEED",
    "KeyInputs",
    "Observed",
    "Plan",
    "PlannedCheckpoint",
    "PlannedEngine",
    "PlannedFile",
    "PlannedRun",
    "PlannedTask",
    "PlannedUnit",
    "PutAside",
    "Slice",
    "WorkOrder",
    "decide",
    "key_inputs",
    "make_plan",
    "observe",
    "unit_key",
]
