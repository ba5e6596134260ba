"""Any history of uploads, on any layout, page size and clocks: what a walk knows against one listing of all.

A simulated store stands in for S3 here; test_walking.py has the same on real stores.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from fineline.checkpoints import FindOptions, Position, find, own_tokenizer, tokenizer_digest
from fineline.checkpoints.find import understand
from fineline.checkpoints.folders import Names, folders_above, sort_listing
from fineline.errors import StoreUnavailable
from fineline.sources.listing import Aside, Listing, Walked
from fineline.sources.walking import Walk
from support.layouts import CONTENT, FILES, FOLDERS, POSITIONS, WHOLE
from support.simulated_store import BEGINNING, SimulatedStore

SETTLE = 60

folders = st.sampled_from(FOLDERS)
actions = st.one_of(
    st.tuples(st.just("put"), folders, st.sampled_from(FILES)),
    st.tuples(st.just("remove"), folders, st.sampled_from(FILES)),
    st.tuples(st.just("upload"), folders, st.permutations(WHOLE)),
    st.tuples(st.just("remove all"), st.sampled_from([*FOLDERS, "a", "a/b", "step9/foo", "checkpoint-6"]), st.just("")),
    st.tuples(st.just("look"), st.sampled_from([0, 1, 20, 60, 61, 400, 4000]), st.just("")),
    st.tuples(st.just("failing look"), st.integers(1, 12), st.just("")),
)
histories = st.lists(actions, min_size=4, max_size=40)
# Where a listing of all takes no more requests, a walk makes that: so pages are small, and there are some checkpoints.
pages = st.sampled_from([1, 1, 1, 2, 3, 1000])
beginnings = st.tuples(st.sets(folders), st.sampled_from([0, 12, 12]))
uris = st.sampled_from(["s3://bucket/run/"] * 4 + ["s3://bucket/7/", "s3://bucket/checkpoint-1000/"])
positions = st.sampled_from(POSITIONS)
markers = st.sampled_from([None, None, "_SUCCESS"])


class World:
    """A store that is written to, and what one listing of all of it says."""

    def __init__(self, options: FindOptions, page: int, uri: str) -> None:
        self.options = options
        self.store = SimulatedStore(page, uri)

    @property
    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.store.now)

    def begin(self, folders: set[str], others: int) -> None:
        """Checkpoints that are there, and settled."""
        for folder in (*sorted(folders), *(f"step{1000 + number}" for number in range(others))):
            self.act("upload", folder, WHOLE)
        self.store.now += SETTLE

    def act(self, action: str, folder: str, what: str | tuple[str, ...]) -> None:
        prefix = f"{folder}/" if folder else ""
        if action == "remove all":
            for name in [name for name in self.store.objects if name.startswith(prefix)]:
                self.store.delete(name)
        for name in what if action == "upload" else [what] * (action == "put"):
            self.store.write(prefix + name, CONTENT.get(name))
        if action == "remove":
            self.store.delete(f"{prefix}{what}")

    def expected(self) -> tuple[list[Walked], list[Aside]]:
        found = find(self.store, self.options, now=self.now)
        checkpoints = [
            Walked(
                item.folder,
                item.position,
                item.digest,
                tokenizer_digest(own_tokenizer(item)),
                max(file.modified for file in item.inventory),
                item.problem,
            )
            for item in found.checkpoints
        ]
        kept = {item.name for item in found.checkpoints}
        aside = {Aside(item.folder, "PositionUnknown", item.message) for item in found.not_understood}
        for duplicate in found.duplicates:
            gave_way = [name.removeprefix(".") for name in duplicate.folders if name not in kept]
            aside |= {Aside(folder, "DuplicatePosition", duplicate.message) for folder in gave_way}
        return checkpoints, sorted(aside)

    def full_pages(self) -> int:
        before = self.store.list_requests
        list(self.store.list())
        return self.store.list_requests - before


class Seen:
    """What was there at a look: tells whether the next look must see a change, or only that of all may."""

    def __init__(self, world: World) -> None:
        store, options = world.store, world.options
        understood = understand(store, sort_listing(store.list(), Names(store.uri, options.positions)), options)
        self.objects = set(store.objects)
        self.digests = {(item.folder, item.digest) for item in understood.checkpoints}
        self.settled = {
            item.folder: (world.now - max(file.modified for file in item.inventory)).total_seconds()
            >= options.settle_seconds
            and not (item.problem is not None and item.problem.passing)
            for item in understood.checkpoints
        }
        self.levels = {"", *folders_above([*self.settled, *(item.folder for item in understood.not_understood)])}

    def unit(self, folder: str) -> str | None:
        """The folder on the way that was no level; None where all were."""
        parts = folder.split("/")
        ways = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        return next((way for way in ways if way not in self.levels), None) if folder else None

    def is_open(self, folder: str) -> bool:
        unit = self.unit(folder)
        if unit is None or not any(name.startswith(f"{unit}/") for name in self.objects):
            return True
        return self.settled.get(unit) is False

    def is_removed_openly(self, folder: str, *, whole: bool) -> bool:
        """Not a part of a settled checkpoint: what counts of the rest may be other files then, with any times."""
        for settled in (path for path, is_settled in self.settled.items() if is_settled):
            if f"{folder}/".startswith(f"{settled}/" if settled else "") and not (whole and folder == settled):
                return False
        return (whole and folder != "" and self.unit(folder) in (None, folder)) or self.is_open(folder)


def same(listing: Listing, expected: tuple[list[Walked], list[Aside]]) -> None:
    assert listing.listed_at is not None
    assert listing.settles_at is None or listing.settles_at > listing.listed_at
    assert list(listing.checkpoints) == expected[0]
    assert list(listing.aside) == expected[1]


@settings(max_examples=300)
@given(beginnings, histories, pages, uris, markers, st.sampled_from([0, SETTLE, SETTLE]), positions)
def test_after_each_look_a_walk_knows_what_one_listing_of_all_finds(
    beginning: tuple[set[str], int],
    history: list[tuple[str, str, str]],
    page: int,
    uri: str,
    marker: str | None,
    settle: float,
    stated: dict[str, Position],
) -> None:
    """Where nothing is done to what was settled: the rest a walk sees at the next look."""
    world = World(FindOptions(stated, marker=marker, settle_seconds=settle), page, uri)
    walk = Walk(world.store, world.options, full_walk_seconds=10**6)
    world.begin(*beginning)
    seen = None
    for action, folder, what in [("look", 0, ""), *history, ("look", 0, ""), ("look", SETTLE, "")]:
        if action == "look":
            world.store.now += folder
            all_before = world.full_pages()
            requests = walk.requests
            listing = walk.look(world.now)
            assert walk.requests - requests <= 3 * all_before + 40
            same(listing, world.expected())
            assert listing.listed_at == world.now
            seen = Seen(world)
        elif action == "failing look":
            world.store.fails_at = world.store.list_requests + folder
            with contextlib.suppress(StoreUnavailable):
                walk.look(world.now)
                world.store.fails_at = None
                seen = Seen(world)
            world.store.fails_at = None
        elif seen is None or (
            seen.is_removed_openly(folder, whole=action == "remove all")
            if action.startswith("remove")
            else seen.is_open(folder)
        ):
            world.act(action, folder, what)


clocks = st.sampled_from([-7200.0, -1.0, 0.0, 0.5, 40.0, 7200.0])
stepped = st.lists(
    actions
    | st.tuples(st.just("operator's clock"), clocks, st.just(""))
    | st.tuples(st.just("store's clock"), clocks, st.just("")),
    min_size=4,
    max_size=40,
)


@settings(max_examples=100)
@given(beginnings, stepped, pages, uris)
def test_whatever_is_done_and_whatever_clocks_say_nothing_is_older_than_a_full_walk(
    beginning: tuple[set[str], int], history: list[tuple[str, str, str]], page: int, uri: str
) -> None:
    world, full_walk = World(FindOptions(), page, uri), 300
    walk = Walk(world.store, world.options, full_walk_seconds=full_walk)
    world.begin(*beginning)
    offset, since_full, full_at = 0.0, [], None
    for action, value, what in [("look", 0, ""), *history, ("look", 0, ""), ("look", full_walk, "")]:
        if action == "operator's clock":
            offset = value
        elif action == "store's clock":
            world.store.ahead = value
        elif action == "look":
            world.store.now += value
            now = world.now + timedelta(seconds=offset)
            listing = walk.look(now)
            assert listing.listed_at == now
            assert listing.full_at is not None
            assert timedelta() <= now - listing.full_at < timedelta(seconds=full_walk)
            there = Seen(world).digests
            if listing.full_at != full_at:
                same(listing, world.expected())
                since_full, full_at = [], listing.full_at
            since_full.append(there)
            known = {(item.folder, item.digest) for item in listing.checkpoints}
            assert known <= set().union(*since_full)
            lost = set.intersection(*since_full) - known
            assert not {folder for folder, _ in lost} - {aside.folder for aside in listing.aside}
        elif action != "failing look":
            world.act(action, value, what)
    same(walk.look(now, full=True), world.expected())


@settings(max_examples=100)
@given(
    st.sampled_from([-7200.0, -45.0, 0.0, 45.0, 7200.0]),
    st.lists(
        st.tuples(
            st.integers(1, 30), st.lists(st.tuples(st.integers(0, 3), st.sampled_from([*WHOLE, "all"])), max_size=4)
        ),
        min_size=5,
        max_size=30,
    ),
    st.sampled_from([0, 12]),
)
def test_a_clock_that_is_wrong_neither_hurries_nor_holds_up_a_checkpoint(
    ahead: float, history: list[tuple[int, list[tuple[int, str]]]], others: int
) -> None:
    """None is complete sooner than it settled by the true time, and each is so long after its last change was seen."""
    world = World(FindOptions(marker="_SUCCESS", settle_seconds=SETTLE), 1, "s3://bucket/run/")
    walk = Walk(world.store, world.options, full_walk_seconds=10**6)
    world.begin(set(), others)
    world.store.ahead = ahead
    walk.look(world.now)
    seen_at: dict[str, float] = {}
    for seconds, writes in [*history, *[(30, [])] * 3]:
        for step, name in writes:
            world.act("upload", f"step{step}", WHOLE if name == "all" else (name,))
            seen_at.pop(f"step{step}", None)
        world.store.now += seconds
        now = {item.folder: (item.digest, item.changed) for item in world.expected()[0]}
        for item in walk.look(world.now).checkpoints:
            if (item.digest, item.changed) != now[item.folder]:
                continue  # overwritten after it was settled
            of = [name for name in world.store.objects if name.startswith(f"{item.folder}/")]
            if item.complete and item.position.step < 1000:
                assert world.store.now - max(world.store.written[name] for name in of) >= SETTLE
            first = seen_at.setdefault(item.folder, world.store.now)
            if len(of) == len(WHOLE) and world.store.now - first > SETTLE:
                assert item.complete
