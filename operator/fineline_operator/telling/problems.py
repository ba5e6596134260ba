"""Why something can't be done, and whether a person must act."""

from __future__ import annotations

from dataclasses import dataclass

from fineline.errors import CheckpointError, FinelineError, SpecError, StoreDenied, StoreError, StoreNotFound

STUCK_SECONDS = 300.0
"""What a person must mend is looked at again so often."""

LOOKED_AT_AGAIN = "It is looked at again every 5 min, and when the spec changes."
TRIED_AGAIN = "It is tried again by itself, with growing pauses."


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a step can't be taken. `lasting`: a person must act; else it may pass, and is tried again with backoff."""

    reason: str
    message: str
    lasting: bool = True


def problem_of(error: FinelineError) -> Problem:
    """What an error of work on stores and specs means: whether a person must act, or it may pass."""
    lasting = isinstance(error, SpecError | CheckpointError | StoreDenied | StoreNotFound) or (
        error.permanent and not isinstance(error, StoreError)
    )
    return Problem(error.reason, str(error), lasting)
