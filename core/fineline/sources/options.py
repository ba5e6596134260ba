"""How a CheckpointSource says that its prefix is read."""

from __future__ import annotations

from dataclasses import replace

from fineline.checkpoints import FindOptions
from fineline.plan.observing import find_options as options_of
from fineline.resources.checkpoint_source import CheckpointSourceSpec


def find_options(spec: CheckpointSourceSpec, positions_file: str | None = None) -> FindOptions:
    """As an evaluation of its checkpoints reads them, and besides what counts as complete.

    `positions_file` is the text of the ConfigMap of `checkpoints.positionsFrom`; `SpecError` where that is wrong, or
    needed and not given.
    """
    reading = options_of(spec.checkpoints, spec.template.run.tokens_per_step, positions_file)
    return replace(reading, marker=spec.complete.marker, settle_seconds=spec.complete.settle_seconds)
