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
from fineline.plan.observing import Observed, observe, uris_of
from fineline.plan.planning import Plan, PutAside, decide, make_plan
from fineline.plan.positions import POSITIONS_KEY

__all__ = [
    "POSITIONS_KEY",
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
    "uris_of",
]
