"""What a listing of the results says about units: committed, failed for good, tried how often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fineline.results import layout
from fineline.results.layout import UnitAddress
from fineline.store import Store, StoredObject


@dataclass(frozen=True, slots=True)
class UnitState:
    committed: bool = False
    failed: bool = False
    attempts: int = 0

    @property
    def done(self) -> bool:
        """Nothing is left to do: it has a result, or failed for good."""
        return self.committed or self.failed


NOTHING = UnitState()


def unit_states(objects: Iterable[StoredObject]) -> Mapping[UnitAddress, UnitState]:
    """The state of every unit that a listing shows. A commit outweighs a failure record."""
    states: dict[UnitAddress, UnitState] = {}
    for item in objects:
        parsed = layout.parse(item.name)
        if parsed is None:
            continue
        address, file_name = parsed
        state = states.get(address, NOTHING)
        number = layout.attempt_number(file_name)
        states[address] = UnitState(
            committed=state.committed or file_name == layout.METRICS_FILE,
            failed=state.failed or file_name == layout.FAILED_FILE,
            attempts=max(state.attempts, number or 0),
        )
    return states


def run_states(store: Store, run: str) -> Mapping[UnitAddress, UnitState]:
    """The state of every unit of a run, from one listing of the run's folder."""
    return unit_states(store.list(layout.run_folder(run)))
