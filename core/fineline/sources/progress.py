"""How far a source's checkpoints have come, by what the store holds of their units. The one part that lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from fineline.plan.units import UnitRecipe
from fineline.results import UnitAddress, UnitState, planned_states
from fineline.sources.listing import Member, Walked
from fineline.store import Store


class MemberProgress(StrEnum):
    """EVALUATED: every unit has a result. FAILED: none is left to do, and some failed for good. OPEN: anything else."""

    EVALUATED = "Evaluated"
    FAILED = "Failed"
    OPEN = "Open"


class Progress:
    """What is known of the members of one source. One for a source, never used by two threads at once.

    A checkpoint is listed when it is first seen to be complete; when it is asked for `again`, and once more after it
    was; never again once it is EVALUATED. What is known goes when the recipe or the results URI changes, or the
    checkpoint's position is no longer in the listing: it takes no more memory than a listing.
    """

    def __init__(self) -> None:
        self._of: tuple[str, str] = ("", "")
        self._known: dict[Member, tuple[str, MemberProgress]] = {}
        self._again: frozenset[Member] = frozenset()

    def of(
        self, results: Store, recipe: UnitRecipe, checkpoints: Sequence[Walked], again: Collection[Member] = ()
    ) -> Mapping[Member, MemberProgress]:
        """The progress of `checkpoints`, which are all of a listing; as far as it is known, of other bytes at their
        positions too, and of those of `again` that were deleted meanwhile.

        `again` are those that may have come farther: members of CheckpointEvals that are not finished, those about to
        be created; on a full walk all those that failed, for a person may have had their failures forgotten.
        Blocks; raises `StoreError` and keeps what it knew.
        """
        if self._of != (results.uri, recipe.digest):
            self._of, self._known, self._again = (results.uri, recipe.digest), {}, frozenset()
        wanted = self._wanted(checkpoints, self._again.union(again))
        units = {
            member: recipe.addresses(member.branch, member.step, member.digest, tokenizer)
            for member, tokenizer in wanted.items()
        }
        states = planned_states(results, [unit for of_member in units.values() for unit in of_member])
        self._known |= {member: (wanted[member], _progress(addresses, states)) for member, addresses in units.items()}
        self._again = frozenset(again)
        self._forget({item.member for item in checkpoints})
        return {member: state for member, (_, state) in self._known.items()}

    def _wanted(self, checkpoints: Sequence[Walked], again: Collection[Member]) -> dict[Member, str]:
        """What is to be listed, each with the digest of the tokenizer that it carries or carried."""
        wanted = {}
        for item in checkpoints:
            member = item.member
            known = self._known.get(member)
            if item.complete and (known is None or known[0] != item.tokenizer_digest):
                wanted[member] = item.tokenizer_digest
        for member in again:
            known = self._known.get(member)
            if known is not None and known[1] is not MemberProgress.EVALUATED:
                wanted.setdefault(member, known[0])
        return wanted

    def _forget(self, listed: Collection[Member]) -> None:
        """All but what is in the listing, is asked for, or was evaluated at a position that is in the listing."""
        places = {(member.branch, member.step) for member in listed}
        self._known = {
            member: known
            for member, known in self._known.items()
            if member in listed
            or member in self._again
            or (known[1] is not MemberProgress.OPEN and (member.branch, member.step) in places)
        }


def _progress(units: Sequence[UnitAddress], states: Mapping[UnitAddress, UnitState]) -> MemberProgress:
    found = [states.get(unit, UnitState()) for unit in units]
    if not found or not all(state.done for state in found):
        return MemberProgress.OPEN
    return MemberProgress.EVALUATED if all(state.committed for state in found) else MemberProgress.FAILED
