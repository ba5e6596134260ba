"""A bucket, results, CheckpointEvals and operators in simulated time, for `support.histories`.

What is complete is told here once more, from what was written, so that it does not rest on what is tested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from fineline.checkpoints import FindOptions, files_digest, find
from fineline.resources import CheckpointSource, CheckpointSourceSpec, validated
from fineline.resources.source_status import CheckpointSourceStatus
from fineline.sources.deciding import MadeEvaluation, SourceDecision, SourceIdentity, SourceObserved, decide
from fineline.sources.listing import Listing, Member, Walked
from fineline.sources.progress import MemberProgress
from fineline.sources.walking import Walk
from fineline.store.interface import Level, StoredObject
from support.checkpoints import ListedStore

START = datetime(2026, 1, 1, tzinfo=UTC)
IDENTITY = SourceIdentity("amber-7b", "evals", "8e2f")
MARKER = "_SUCCESS"
SINGLE = ("model.safetensors", "config.json", "tokenizer.json")
SHARDED = (
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "config.json",
    "tokenizer.json",
)
FOLDERS = ("step100", "step200", "step300", "step400", "side/step300", "side/step500")
NEVER = 1e12
FULL_WALK_SECONDS = 3600


@dataclass(frozen=True)
class Setting:
    """What a history's source says."""

    marker: str | None
    settle: int
    batch: int
    max_wait: int
    every: int | None
    keep_succeeded: int
    keep_failed: int


@cache
def spec_of(setting: Setting, *, suspend: bool) -> CheckpointSourceSpec:
    complete: dict[str, Any] = {"settleSeconds": setting.settle}
    if setting.marker is not None:
        complete["marker"] = setting.marker
    spec: dict[str, Any] = {
        "uri": "s3://bucket/run/",
        "template": {"run": {"name": "amber-7b"}, "suite": {"name": "fine-line"}},
        "complete": complete,
        "batch": setting.batch,
        "maxWaitSeconds": setting.max_wait,
        "history": {"succeeded": setting.keep_succeeded, "failed": setting.keep_failed},
        "suspend": suspend,
    }
    if setting.every is not None:
        spec["select"] = {"every": setting.every}
    return validated(
        CheckpointSource,
        {"apiVersion": "fineline.dev/v1alpha1", "kind": "CheckpointSource", "metadata": {"name": "a"}, "spec": spec},
        "test.yaml",
    ).spec


@dataclass
class Evaluation:
    """A CheckpointEval that is somewhere between made and ended. `todo` is its plan, None until there is one."""

    name: str
    uid: str
    members: tuple[Member, ...]
    template: str
    created: datetime
    todo: list[Member] | None = None
    finished: bool = False
    succeeded: bool = False
    ended: datetime | None = None

    def seen(self) -> MadeEvaluation:
        return MadeEvaluation(
            name=self.name,
            uid=self.uid,
            members=frozenset(self.members),
            template=self.template,
            finished=self.finished,
            succeeded=self.succeeded,
            created=self.created,
            ended=self.ended,
        )


@dataclass
class View:
    """What an operator saw when it last looked at the store."""

    listing: Listing
    progress: Mapping[Member, MemberProgress]


class Bucket(ListedStore):
    """What has been uploaded so far, by folder and name. Pages hold one object, so that a look at a part is cheaper."""

    def __init__(self, files: Mapping[str, Mapping[str, StoredObject]]) -> None:
        super().__init__(())
        self._files = files
        self._pages = 0

    @property
    def list_requests(self) -> int:
        return self._pages

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        folders = sorted(name for name in self._files if f"{name}/".startswith(prefix) or prefix.startswith(f"{name}/"))
        for folder in folders:
            held = self._files[folder]
            for name in sorted(held):
                if held[name].name.startswith(prefix):
                    self._pages += 1
                    yield held[name]

    def list_level(self, folder: str = "") -> Level:
        self._pages += 1
        below = [name[len(folder) :] for name in self._files if f"{name}/".startswith(folder)]
        folders = sorted({f"{folder}{name.partition('/')[0]}/" for name in below if name})
        files = self._files.get(folder.removesuffix("/"), {})
        return Level(tuple(files[name] for name in sorted(files)), tuple(folders))


@dataclass
class World:
    """The bucket, the results, the API server, the clock."""

    setting: Setting
    now: float = 0.0
    suspended: bool = False
    template: str = "aaaaaaaaaa"
    files: dict[str, dict[str, StoredObject]] = field(default_factory=dict)
    complete_from: dict[Member, float] = field(default_factory=dict)
    """When each checkpoint was first complete, in seconds: written down when it ceases to be."""
    results: dict[tuple[str, Member], MemberProgress] = field(default_factory=dict)
    computed: Counter[tuple[str, Member]] = field(default_factory=Counter)
    lost: set[tuple[str, Member]] = field(default_factory=set)
    """Of which somebody has deleted the results: once at most."""
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    serial: int = 0
    _walked: dict[str, tuple[int, Walked | None, float]] = field(default_factory=dict)
    _versions: Counter[str] = field(default_factory=Counter)
    _complete: dict[str, tuple[int, tuple[Member, float] | None]] = field(default_factory=dict)

    @property
    def time(self) -> datetime:
        return START + timedelta(seconds=self.now)

    # What is written, and when that is complete.

    def write(self, folder: str, name: str, content: int) -> None:
        self._note(folder)
        path = f"{folder}/{name}"
        self.files.setdefault(folder, {})[name] = StoredObject(path, 1000, f"{path}-{content}", self.time)

    def remove(self, folder: str, name: str | None = None) -> None:
        self._note(folder)
        held = self.files.get(folder, {})
        for gone in [name] if name is not None else list(held):
            held.pop(gone, None)
        if not held:
            self.files.pop(folder, None)

    def _note(self, folder: str) -> None:
        """Before a change."""
        current = self.complete(folder)
        self._versions[folder] += 1
        if current is not None and current[1] <= self.now:
            self.complete_from.setdefault(*current)

    def complete(self, folder: str) -> tuple[Member, float] | None:
        """What lies in a folder and from when on it counts as complete; None while something is missing."""
        version, found = self._complete.get(folder, (-1, None))
        if version != self._versions[folder]:
            found = self._complete_now(folder)
            self._complete[folder] = self._versions[folder], found
        return found

    def _complete_now(self, folder: str) -> tuple[Member, float] | None:
        held = self.files.get(folder, {})
        files = layout(folder)
        needed = (*files, *([self.setting.marker] if self.setting.marker is not None else []))
        if not held or any(name not in held for name in needed):
            return None
        digest = files_digest([held[name] for name in files if name != "tokenizer.json"], folder)
        last = max((item.modified - START).total_seconds() for item in held.values())
        return Member(*place(folder), digest), last + self.setting.settle

    def was_complete(self, member: Member) -> bool:
        """Whether it has been complete at some time up to now."""
        if member in self.complete_from:
            return True
        there = (self.complete(folder) for folder in self.files if place(folder) == (member.branch, member.step))
        return any(found is not None and found[0] == member and found[1] <= self.now for found in there)

    def is_there(self, member: Member) -> bool:
        """Whether a pod would find these bytes now: marker and settling are not its concern."""
        for folder, held in self.files.items():
            if place(folder) == (member.branch, member.step):
                names = [name for name in layout(folder) if name != "tokenizer.json"]
                if all(name in held for name in (*names, "tokenizer.json")):
                    return files_digest([held[name] for name in names], folder) == member.digest
        return False

    # What an operator does.

    def walk(self) -> Walk:
        """An operator that has just started."""
        options = FindOptions(marker=self.setting.marker, tokenizer_needed=True, settle_seconds=self.setting.settle)
        return Walk(Bucket(self.files), options, full_walk_seconds=FULL_WALK_SECONDS)

    def look(self, walk: Walk | None = None, *, full: bool = False) -> View:
        """What an operator sees now: by its walk, or by a listing of all that remembers nothing."""
        listing = self._listing() if walk is None else walk.look(self.time, full=full)
        progress = {
            item.member: self.results.get((self.template, item.member), MemberProgress.OPEN)
            for item in listing.checkpoints
        }
        return View(listing, progress)

    def _listing(self) -> Listing:
        walked = tuple(sorted(self._found(), key=lambda item: (item.position.branch, item.position.step)))
        settles = [again for _, _, again in self._walked.values() if again < NEVER]
        return Listing(
            walked,
            listed_at=self.time,
            settles_at=START + timedelta(seconds=min(settles)) if settles else None,
        )

    def _found(self) -> Iterator[Walked]:
        for folder in self.files:
            version, item, again = self._walked.get(folder, (-1, None, 0.0))
            if version != self._versions[folder] or again <= self.now:
                item, again = self._find(folder)
                self._walked[folder] = (self._versions[folder], item, again)
            if item is not None:
                yield item
        for folder in [name for name in self._walked if name not in self.files]:
            del self._walked[folder]

    def _find(self, folder: str) -> tuple[Walked | None, float]:
        """A folder as `find` reads it, and when it is to be read again for time alone."""
        held = self.files[folder]
        options = FindOptions(marker=self.setting.marker, tokenizer_needed=True, settle_seconds=self.setting.settle)
        found = find(ListedStore(held.values()), options, now=self.time).checkpoints
        if not found:
            return None, NEVER
        one = found[0]
        changed = max(item.modified for item in held.values())
        settled = (changed - START).total_seconds() + self.setting.settle
        tokenizer = held.get("tokenizer.json")
        walked = Walked(
            folder=one.folder,
            position=one.position,
            digest=one.digest,
            tokenizer_digest=files_digest([tokenizer], folder) if tokenizer is not None else "",
            changed=changed,
            problem=one.problem,
        )
        return walked, settled if settled > self.now else NEVER

    def decision(self, view: View, *, fresh: bool = True) -> SourceDecision:
        """What an operator decides from what it saw, with the CheckpointEvals as they are now. `fresh`: it saw the
        results after these."""
        return decide(
            SourceObserved(
                source=IDENTITY,
                now=self.time,
                spec=spec_of(self.setting, suspend=self.suspended),
                template=self.template,
                listing=view.listing,
                made=tuple(item.seen() for item in self.evaluations.values()),
                progress=view.progress,
                status=CheckpointSourceStatus(),
                fresh=frozenset(view.progress) if fresh else frozenset(),
            )
        )

    def create(self, name: str, members: tuple[Member, ...]) -> bool:
        """Whether this call made it."""
        if name in self.evaluations:
            return False
        for member in members:
            assert self.was_complete(member), f"{member} was never complete"
        for other in self.evaluations.values():
            both = {member for member in set(other.members) & set(members) if (self.template, member) not in self.lost}
            assert other.template != self.template or not both, "members overlap"
        self.serial += 1
        self.evaluations[name] = Evaluation(name, f"uid-{self.serial}", members, self.template, self.time)
        return True

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            assert self.evaluations[name].finished, "an unfinished one was deleted"
            del self.evaluations[name]

    # What people do.

    def lose(self, number: int) -> None:
        """Somebody deletes the results of a checkpoint, which are not lost a second time."""
        there = [
            key for key, state in self.results.items() if state is MemberProgress.EVALUATED and key not in self.lost
        ]
        if there:
            key = there[number % len(there)]
            del self.results[key]
            self.lost.add(key)

    # What pods do.

    def work(self, evaluation: Evaluation) -> None:
        """One step: its plan, then one checkpoint after the other, then its end."""
        if evaluation.todo is None:
            evaluation.todo = [
                member
                for member in evaluation.members
                if (evaluation.template, member) not in self.results and self.is_there(member)
            ]
        elif evaluation.todo:
            member = evaluation.todo.pop(0)
            if self.is_there(member):
                self.computed[evaluation.template, member] += 1
                self.results.setdefault((evaluation.template, member), MemberProgress.EVALUATED)
        else:
            good = (self.results.get((evaluation.template, member)) for member in evaluation.members)
            self.end(evaluation, succeeded=all(state is MemberProgress.EVALUATED for state in good))

    def fail(self, evaluation: Evaluation) -> None:
        """It ends with a recorded failure for each that it has not done."""
        for member in evaluation.members:
            if (evaluation.template, member) not in self.results:
                self.results[evaluation.template, member] = MemberProgress.FAILED
        self.end(evaluation, succeeded=False)

    def end(self, evaluation: Evaluation, *, succeeded: bool) -> None:
        evaluation.finished, evaluation.succeeded, evaluation.ended = True, succeeded, self.time


def layout(folder: str) -> tuple[str, ...]:
    return SHARDED if folder in ("step200", "side/step500") else SINGLE


def place(folder: str) -> tuple[str, int]:
    branch, _, name = folder.rpartition("/")
    return branch or "main", int(name.removeprefix("step"))
