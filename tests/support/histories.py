"""Upload histories in simulated time: writers that do whatever writers do to a prefix, operators that look at it now
and then, CheckpointEvals that come to any end. All that happens is read from bytes, so that hypothesis shortens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fineline.sources.choosing import chosen
from fineline.sources.deciding import SourceDecision
from fineline.sources.progress import MemberProgress
from fineline.sources.walking import Walk
from support.upload_world import FOLDERS, MARKER, Evaluation, Setting, View, World, layout, spec_of

POLL_SECONDS = 60


class Choices:
    """Bytes read as choices; when they are used up the history is over."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)
        self.over = False

    def of(self, count: int) -> int:
        value = next(self._data, None)
        if value is None:
            self.over = True
            return 0
        return value % count

    def shuffled(self, items: Sequence[str]) -> list[str]:
        """In an order that follows from one byte: there are 120 of five files."""
        left, order = list(items), self.of(256)
        shuffled = []
        while left:
            order, place = divmod(order, len(left))
            shuffled.append(left.pop(place))
        return shuffled


@dataclass
class Upload:
    """A writer amid an upload: the files that are left, and which bytes it writes."""

    folder: str
    left: list[str]
    content: int


class History:
    """One history: what the bytes say, then quiet, in which all that is left must get done.

    `walking`: operators see what a Walk shows them, which may be an hour behind where something settled changes; else
    they see all as it is.
    """

    def __init__(self, data: bytes, *, walking: bool = False) -> None:
        self._walking = walking
        self._walks: dict[int, Walk] = {}
        self._choices = Choices(data)
        of = self._choices.of
        self.world = World(
            Setting(
                marker=(None, MARKER)[of(2)],
                settle=(0, 60)[of(2)],
                batch=of(3) + 1,
                max_wait=(0, 300)[of(2)],
                every=(None, None, 2, 3)[of(4)],
                keep_succeeded=(0, 0, 1, 2)[of(4)],
                keep_failed=(0, 0, 1, 2)[of(4)],
            )
        )
        self.views: dict[int, View] = {}
        self.uploads: list[Upload] = []
        self.written = 0

    def run(self) -> None:
        happenings = (
            self.write, self.write, self.write, self.finish_upload, self.begin, self.begin, self.begin,
            self.reconcile, self.reconcile, self.reconcile, self.pass_time, self.pass_time, self.look, self.both,
            self.work, self.work, self.work_on, self.killed, self.again, self.overwrite, self.remove, self.abort,
            self.fail, self.end_without_a_word, self.delete_one, self.edit, self.lose,
        )  # fmt: skip
        while not self._choices.over:
            happenings[self._choices.of(len(happenings))]()
        self.quiet()

    # What writers do.

    def begin(self) -> None:
        """A writer starts: files in any order, the marker wherever it falls, or alone."""
        folder = FOLDERS[self._choices.of(len(FOLDERS))]
        files = self._choices.shuffled(layout(folder))
        marker = self._choices.of(4)
        if self.world.setting.marker is not None:
            files.insert((len(files), len(files), 0, 1)[marker], MARKER)
            if self._choices.of(16) == 15:
                files = [MARKER]
        self.uploads.append(Upload(folder, files, self._content()))

    def write(self) -> None:
        """Files of one of the uploads; two of them may be to the same folder."""
        if not self.uploads:
            return self.begin()
        upload = self.uploads[self._choices.of(len(self.uploads))]
        for _ in range(min(self._choices.of(4) + 1, len(upload.left))):
            self.world.write(upload.folder, upload.left.pop(0), upload.content)
        if not upload.left:
            self.uploads.remove(upload)
        return None

    def finish_upload(self) -> None:
        if self.uploads:
            upload = self.uploads.pop(self._choices.of(len(self.uploads)))
            for name in upload.left:
                self.world.write(upload.folder, name, upload.content)

    def abort(self) -> None:
        if self.uploads:
            self.uploads.pop(self._choices.of(len(self.uploads)))

    def again(self) -> None:
        """An upload is resumed by a writer that starts from the front, with the same bytes or others."""
        if self.world.files:
            folder = self._folder()
            content = self._content() if self._choices.of(2) else 0
            self.uploads.append(Upload(folder, list(layout(folder)), content))

    def overwrite(self) -> None:
        folder = self._folder()
        if folder:
            self.world.write(folder, layout(folder)[self._choices.of(len(layout(folder)))], self._content())

    def remove(self) -> None:
        folder = self._folder()
        if folder:
            whole = self._choices.of(2) == 0
            self.world.remove(folder, None if whole else layout(folder)[self._choices.of(len(layout(folder)))])

    def _folder(self) -> str:
        there = sorted(self.world.files)
        return there[self._choices.of(len(there))] if there else ""

    def _content(self) -> int:
        self.written += 1
        return self.written

    def pass_time(self) -> None:
        self.world.now += (1.0, 30.0, 60.0, 400.0)[self._choices.of(4)]

    # What operators do.

    def _see(self, operator: int, *, full: bool = False) -> View:
        if not self._walking:
            return self.world.look()
        if operator not in self._walks:
            self._walks[operator] = self.world.walk()
        return self.world.look(self._walks[operator], full=full)

    def look(self) -> None:
        """One looks, and is slow: it acts on this later, or never."""
        operator = self._choices.of(2)
        self.views[operator] = self._see(operator)

    def reconcile(self) -> None:
        operator = self._choices.of(2)
        self.views[operator] = view = self._see(operator)
        decision = self.world.decision(view)
        self._check(view, decision)
        self._act([decision])

    def killed(self) -> None:
        """Killed after some of its writes; whoever comes next knows nothing."""
        view = self._see(self._choices.of(2))
        decision = self.world.decision(view)
        for new in decision.create[: self._choices.of(2)]:
            self.world.create(new.name, new.members)
        self.views.clear()
        self._walks.clear()

    def both(self) -> None:
        """Two act at once, at least one of them on what it saw some time ago; their writes come one by one."""
        operator = self._choices.of(2)
        old = self.views.get(operator)
        decisions = [self.world.decision(self._see(1 - operator))]
        if old is not None:
            decisions.insert(self._choices.of(2), self.world.decision(old, fresh=False))
        self._act(decisions)

    def _act(self, decisions: Sequence[SourceDecision]) -> None:
        left = [list(decision.create) for decision in decisions]
        while any(left):
            for writes in left:
                if writes:
                    new = writes.pop(0)
                    if not self.world.create(new.name, new.members):
                        writes.clear()
        for decision in decisions:
            self.world.delete([name for name in decision.delete if name in self.world.evaluations])

    def _check(self, view: View, decision: SourceDecision) -> None:
        """What must hold whenever an operator looks: no choice is taken back, and nothing that waits is forgotten."""
        world = self.world
        places = {item.member: item for item in view.listing.checkpoints}
        settled = {member for member, state in view.progress.items() if state is not MemberProgress.OPEN}
        of_template = [item for item in world.evaluations.values() if item.template == world.template]
        taken = {member for item in of_template for member in item.members}
        assert decision.counts.found == len(places)
        evaluated = sum(state is MemberProgress.EVALUATED for state in view.progress.values())
        assert decision.counts.evaluated == evaluated, "a choice was taken back"
        created = {member for new in decision.create for member in new.members}
        lost = {member for template, member in world.lost if template == world.template}
        assert created.isdisjoint(settled | (taken - lost)), "evaluated again"
        for name in decision.delete:
            one = world.evaluations[name]
            again = set(one.members) & set(places) - settled
            assert one.succeeded or one.template != world.template or not again, f"{again} would be evaluated again"
        anchors = {(member.branch, member.step) for member in settled | taken}
        due = {
            item.member
            for item in chosen(view.listing.checkpoints, spec_of(world.setting, suspend=False).select, anchors)
            if (found := world.complete(item.folder)) is not None
            and found[1] <= world.now
            and (not self._walking or (item.complete and item.member == found[0]))
        }
        left = due - settled - taken - created
        if not world.suspended and left:
            assert any(not item.finished for item in world.evaluations.values()), f"{left} wait for nothing"
            assert len(left) < world.setting.batch
            assert decision.again_after is not None
            assert decision.again_after <= world.setting.max_wait

    # What becomes of CheckpointEvals.

    def _one(self, *, finished: bool | None = False) -> Evaluation | None:
        some = [item for item in self.world.evaluations.values() if finished is None or item.finished is finished]
        return some[self._choices.of(len(some))] if some else None

    def work(self) -> None:
        if (one := self._one()) is not None:
            self.world.work(one)

    def work_on(self) -> None:
        one = self._one()
        while one is not None and not one.finished:
            self.world.work(one)

    def fail(self) -> None:
        if (one := self._one()) is not None:
            self.world.fail(one)

    def end_without_a_word(self) -> None:
        if (one := self._one()) is not None:
            self.world.end(one, succeeded=False)

    def delete_one(self) -> None:
        """Somebody deletes one, running or not."""
        if (one := self._one(finished=None)) is not None:
            del self.world.evaluations[one.name]

    def lose(self) -> None:
        """Somebody deletes results."""
        self.world.lose(self._choices.of(4))

    def edit(self) -> None:
        """Somebody edits the source: suspends it or lets it go on, or changes its template, there and back."""
        if self._choices.of(2):
            self.world.suspended = not self.world.suspended
        else:
            self.world.template = "bbbbbbbbbb" if self.world.template == "aaaaaaaaaa" else "aaaaaaaaaa"

    # The end.

    def quiet(self) -> None:
        """Nobody writes any more. An operator looks when it said so; pods work; a person deletes what ended without a
        word, for another try."""
        world = self.world
        world.suspended = False
        for count in range(40):
            view = self._see(0, full=count == 0)
            decision = world.decision(view)
            self._check(view, decision)
            self._act([decision])
            running = [item for item in world.evaluations.values() if not item.finished]
            for item in running:
                while not item.finished:
                    world.work(item)
            wordless = [
                item.name
                for item in world.evaluations.values()
                if item.finished
                and not item.succeeded
                and any((item.template, member) not in world.results for member in item.members)
            ]
            for name in wordless:
                del world.evaluations[name]
            if not (decision.create or running or wordless or decision.delete) and decision.again_after is None:
                break
            world.now += POLL_SECONDS if decision.again_after is None else min(POLL_SECONDS, decision.again_after)
        else:
            raise AssertionError("it never comes to rest")
        self._all_done(view, decision)

    def _all_done(self, view: View, decision: SourceDecision) -> None:
        world = self.world
        for key, times in world.computed.items():
            assert times <= 1 + (key in world.lost), "evaluated twice"
        for key, state in world.results.items():
            assert world.computed[key] == (state is MemberProgress.EVALUATED) + (key in world.lost)
        assert decision.counts.waiting == 0
        assert not decision.evaluating
        places: dict[str, list[int]] = {}
        done: set[tuple[str, int]] = {
            (member.branch, member.step) for template, member in world.results if template == world.template
        }
        # What was evaluated, and is gone with its results: its CheckpointEval still tells that it was chosen.
        listed = {item.member for item in view.listing.checkpoints}
        done |= {
            (member.branch, member.step)
            for template, member in world.lost
            if template == world.template and member not in listed
        }
        for item in view.listing.checkpoints:
            branch, step = item.position.branch, item.position.step
            if world.setting.every is None and world.complete(item.folder) is not None:
                assert (world.template, item.member) in world.results, f"{item.folder} was lost"
            places.setdefault(branch, []).append(step)
            if world.complete(item.folder) is None:
                done.add((branch, step))
        every = world.setting.every or 1
        for branch, there in places.items():
            # Those that were deleted since are places too.
            steps = sorted({*there, *(step for other, step in done if other == branch)})
            assert any(other == branch for other, _ in done), f"none of {branch} was evaluated"
            for start in range(len(steps) - every + 1):
                window = steps[start : start + every]
                assert any((branch, step) in done for step in window), f"none of {window} was evaluated"
