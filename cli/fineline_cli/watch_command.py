"""`fineline watch`: evaluates checkpoints as they are uploaded, on this machine: looks, runs a batch, looks again."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from fineline.errors import CheckpointError, FinelineError, StoreError
from fineline.resources.source_status import SourceCounts
from fineline.sources.deciding import NewEvaluation, SourceDecision
from fineline.sources.listing import Member
from fineline_cli import output
from fineline_cli.analyze_command import analyse, print_verdicts
from fineline_cli.evaluations import Source, read_sources
from fineline_cli.run_command import run_and_tell
from fineline_cli.running import RunOutcome
from fineline_cli.watching import Watched, pause_after

SHOWN_MEMBERS = 5


def watch_file(
    path: Path, *, results: str | None, once: bool, slices: int, analysis: str | None, with_analysis: bool
) -> int:
    """Watches every source of a file until it is stopped, which is no failure; with `once` until all that was there is
    done. The exit code."""
    told = [Told(source) for source in read_sources(path, results)]
    watches = [Watch(each, slices=slices, analysis=analysis, with_analysis=with_analysis) for each in told]
    for watch in watches:
        watch.start()
    try:
        with _ended_by_signals():
            if once:
                failed = [watch for watch in watches if not watch.once()]
                return 1 if failed else 0
            _go_on(watches)
    except KeyboardInterrupt:
        output.say("stopped in order; the same command goes on where it ended")
    return 1 if once else 0


class Watch:
    """One source, and when it is looked at next."""

    def __init__(self, told: Told, *, slices: int, analysis: str | None, with_analysis: bool) -> None:
        self.told = told
        self.due = 0.0
        self._source = told.source
        self._watched = Watched(told.source)
        self._slices = slices
        self._analysis = analysis
        self._with_analysis = with_analysis
        self._errors = 0
        self._news = False

    def start(self) -> None:
        """`SpecError` where the source can't be meant. A store that does not answer yet is tried again later."""
        with suppress(StoreError):
            self._watched.recipe()
        self.told.started()

    def once(self) -> bool:
        """Does all that is complete now, each once; whether all of it has results. A store that fails is told: other
        sources have stores of their own."""
        try:
            listing = self._watched.look()
            while True:
                decision = self._watched.decide(listing)
                self.told.looked(decision)
                if not decision.create:
                    self._analyse()
                    return not decision.counts.failed
                self._run(decision.create[0], again=False)
        except FinelineError as error:
            self.told.fails(error)
            return False

    def go_on(self) -> None:
        """One look, and one batch if there is one: then the next look, for much may have come meanwhile."""
        began = time.monotonic()
        try:
            listing = self._watched.look()
            decision = self._watched.decide(listing)
            self.told.looked(decision)
            if decision.create:
                self._run(decision.create[0], again=True)
                self.due = began
            else:
                self._analyse()
                wait = min(self._source.resource.spec.poll_seconds, self._watched.seconds_to_full_walk(listing))
                if decision.again_after is not None:
                    wait = min(wait, decision.again_after)
                self.due = max(began + wait, time.monotonic() + 1)
            self._errors = 0
        except FinelineError as error:
            self._errors += 1
            pause = pause_after(self._errors)
            self.due = time.monotonic() + pause
            self.told.failed(error, pause)

    def _run(self, new: NewEvaluation, *, again: bool) -> None:
        """`again`: what a fault leaves undone is tried again later, and does not count as evaluated."""
        self.told.evaluates(new)
        began = datetime.now(UTC)
        try:
            outcome = run_and_tell(self._watched.evaluation(new), self._slices)
        except CheckpointError as error:
            self.told.fails(error)
            self._watched.ended(new, began=began, succeeded=False)
            return
        if outcome.stopped:
            raise KeyboardInterrupt
        unfinished = _unfinished(new, outcome) if again else ()
        pause = self._watched.ended(new, began=began, succeeded=outcome.succeeded, unfinished=unfinished)
        if pause is not None:
            self.told.leaves(outcome.left, pause)
        self._news = self._news or outcome.published > 0

    def _analyse(self) -> None:
        """The analysis of the run, where there are new results. One that fails keeps no checkpoint from its turn."""
        if not self._news or not self._with_analysis:
            return
        run = self._source.resource.spec.template.run.name
        try:
            print_verdicts(analyse(self._source.results_uri, self._analysis, [run], name=self._source.name))
        except FinelineError as error:
            output.say(f"{self._source.name}: no analysis: {error}")
        self._news = False


class Told:
    """What a person is told of one source: a line for what is new, and on a terminal where it stands, live."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._counts: SourceCounts | None = None
        self._waiting_on: frozenset[tuple[str, str]] = frozenset()
        self._changed: frozenset[Member] = frozenset()
        self._error = ""

    def started(self) -> None:
        spec = self.source.resource.spec
        self._say(f"{spec.uri} is listed every {spec.poll_seconds} s; results go to {self.source.results_uri}")
        if spec.suspend:
            self._say("spec.suspend is true: nothing is evaluated")

    def looked(self, decision: SourceDecision) -> None:
        if self._error:
            self._say("goes on")
            self._error = ""
        waiting_on = {(one.checkpoint, one.reason): one.message for one in decision.waiting_on}
        for key, message in waiting_on.items():
            if key not in self._waiting_on:
                self._say(f"not evaluated: {key[1]}: {message}")
        self._waiting_on = frozenset(waiting_on)
        for member in decision.changed:
            if member not in self._changed:
                self._say(f"{_place(member)} has other bytes now: it is evaluated again")
        self._changed = frozenset(decision.changed)
        if decision.counts != self._counts:
            self._counts = decision.counts
            self._say(self._standing(decision.counts))

    def evaluates(self, new: NewEvaluation) -> None:
        shown = ", ".join(_place(member) for member in new.members[:SHOWN_MEMBERS])
        more = len(new.members) - SHOWN_MEMBERS
        self._say(f"evaluates {shown}{f' and {more} more' if more > 0 else ''}")

    def fails(self, error: FinelineError) -> None:
        self._say(f"{error.reason}: {error}")

    def leaves(self, units: int, pause: float) -> None:
        self._say(f"{units:,} {'unit is' if units == 1 else 'units are'} left; tried again in {pause:.0f} s")

    def failed(self, error: FinelineError, pause: float) -> None:
        self._say(f"{error.reason}: {error}; tried again in {pause:.0f} s")
        self._error = str(error)

    def in_short(self) -> str:
        """For a line that is always there."""
        counts = self._counts
        if counts is None:
            return f"{self.source.name}: not listed yet"
        more = [
            f", {count:,} {what}" for count, what in ((counts.waiting, "waiting"), (counts.failed, "failed")) if count
        ]
        return f"{self.source.name}: {counts.evaluated:,} of {counts.found:,} evaluated{''.join(more)}"

    def _standing(self, counts: SourceCounts) -> str:
        """How many there are, by how far they have come."""
        names = ("found", "complete", "evaluated", "failed", "waiting")
        return ", ".join(f"{getattr(counts, name):,} {name}" for name in names)

    def _say(self, text: str) -> None:
        output.say(f"{self.source.name}: {text}")


def _unfinished(new: NewEvaluation, outcome: RunOutcome) -> tuple[Member, ...]:
    """Of which units may be left to do: none of those that were put aside. What the results say is known later."""
    if not outcome.left:
        return ()
    planned = {(item.branch, item.step) for item in outcome.plan.order.checkpoints}
    return tuple(member for member in new.members if (member.branch, member.step) in planned)


def _place(member: Member) -> str:
    return f"step {member.step}" if member.branch == "main" else f"{member.branch}, step {member.step}"


def _go_on(watches: Sequence[Watch]) -> None:
    """Each in its turn, for ever."""
    while True:
        watch = min(watches, key=lambda each: each.due)
        _wait(watch.due, watches)
        watch.go_on()


def _wait(due: float, watches: Sequence[Watch]) -> None:
    """Until a moment of the monotonic clock. On a terminal a line tells what is waited for."""
    with _live() as show:
        while (left := due - time.monotonic()) > 0:
            show("; ".join(each.told.in_short() for each in watches), left)
            time.sleep(min(left, 1.0))


@contextmanager
def _live() -> Iterator[Callable[[str, float], None]]:
    if not sys.stderr.isatty():
        yield lambda _text, _left: None
        return
    console = Console(stderr=True, highlight=False, emoji=False)
    with console.status("") as status:
        yield lambda text, left: status.update(output.cell(f"{text}; looks again in {left:.0f} s"))


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While it holds, SIGTERM ends the work as Ctrl-C does. A batch that runs has handlers of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread alone
        return

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
