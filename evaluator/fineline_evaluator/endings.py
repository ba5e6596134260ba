"""How the evaluator's program ends: its exit codes, and the same in words."""

from __future__ import annotations

from dataclasses import dataclass

from fineline.errors import FinelineError, SpecError, StoreDenied, StoreNotFound

EXIT_DONE = 0
EXIT_PERMANENT_FAILURES = 3
EXIT_SPEC_WRONG = 4
EXIT_TRY_AGAIN = 75
EXIT_STOPPED = 143


@dataclass(frozen=True)
class Ending:
    """How the slice ended: the exit code, and one line for people."""

    code: int
    message: str

    @property
    def line(self) -> str:
        return " ".join(self.message.split())


def code_of(error: FinelineError) -> int:
    """The exit code for an error that ended the work: a person must mend the spec or grant access, or trying again may
    help."""
    return EXIT_SPEC_WRONG if isinstance(error, SpecError | StoreDenied | StoreNotFound) else EXIT_TRY_AGAIN
