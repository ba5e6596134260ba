"""Plans: the units that have no result yet, with their keys, cut into slices."""

from fineline.plan.bundling import Bundle, bundle, read_facts, read_slice, read_slices
from fineline.plan.facts import PLAN_FILE, KnownFailure, PlanFacts, slice_count
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
from fineline.plan.units import UnitRecipe, read_recipe

__all__ = [
    "PLAN_FILE",
    "POSITIONS_KEY",
    "SEED",
    "Bundle",
    "KeyInputs",
    "KnownFailure",
    "Observed",
    "Plan",
    "PlanFacts",
    "PlannedCheckpoint",
    "PlannedEngine",
    "PlannedFile",
    "PlannedRun",
    "PlannedTask",
    "PlannedUnit",
    "PutAside",
    "Slice",
    "UnitRecipe",
    "WorkOrder",
    "bundle",
    "decide",
    "key_inputs",
    "make_plan",
    "observe",
    "read_facts",
    "read_recipe",
    "read_slice",
    "read_slices",
    "slice_count",
    "unit_key",
    "uris_of",
]
