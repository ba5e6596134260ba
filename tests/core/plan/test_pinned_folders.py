"""Pinned checkpoints that tell their folders: the plan that all of the prefix gives, from a listing of these alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fineline.checkpoints import Checkpoint, FindOptions, Pin, Position, find, select
from fineline.errors import CheckpointError, SpecError
from fineline.plan import Plan, make_plan
from fineline.store import open_store
from support.evaluations import evaluation, listed_checkpoint
from support.faults import FaultProxy
from support.layouts import CONTENT, FILES, FOLDERS, POSITIONS, WHOLE

TASKS = [{"task": "piqa", "domain": "reasoning"}]
ANY = b"{}".ljust(100)
Pinned = list[dict[str, Any]]


def plan(uri: str, pinned: Pinned, **spec: Any) -> Plan:
    values = {"checkpoints__uri": uri, "checkpoints__pinned": pinned, "suite__tasks": TASKS, **spec}
    results = "s3://fineline-tests/no-results/" if uri.startswith("s3:") else f"{uri.rstrip('/')}.results/"
    return make_plan(evaluation(**values), results_uri=results)


def pinned(found: Sequence[Checkpoint]) -> Pinned:
    """As a CheckpointSource pins them."""
    return [
        {"branch": one.position.branch, "step": one.position.step, "digest": one.digest}
        | ({"folder": one.folder} if one.folder else {})
        for one in found
    ]


def without_folders(pins: Pinned) -> Pinned:
    return [{name: value for name, value in pin.items() if name != "folder"} for pin in pins]


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    for step in (10, 20, 30):
        listed_checkpoint(tmp_path / "run" / f"step{step}")
    return tmp_path / "run"


def found_in(folder: Path) -> tuple[Checkpoint, ...]:
    return find(open_store(f"file://{folder}/")).checkpoints


# What all of a prefix gives, and the folders alone.


class Layout:
    """A prefix in a directory."""

    def __init__(self, root: Path, positions: dict[str, Position]) -> None:
        self.root = root
        self.positions = positions
        self.root.mkdir()

    @property
    def uri(self) -> str:
        return f"file://{self.root}/"

    def find(self, folders: Sequence[str] = ()) -> tuple[Checkpoint, ...]:
        return find(open_store(self.uri), FindOptions(self.positions), folders=folders).checkpoints

    def write(self, folder: str, names: Sequence[str], *, more: bytes = b"") -> None:
        for name in names:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
            (self.root / folder / name).write_bytes(CONTENT.get(name, ANY) + more)

    def remove(self, folder: str) -> None:
        if folder:
            shutil.rmtree(self.root / folder, ignore_errors=True)

    def outcome(self, pins: Pinned) -> tuple[object, ...]:
        """Everything that a plan says, in no order; or why there is none."""
        positions = {
            name: {"branch": at.branch, "step": at.step} | ({} if at.tokens is None else {"tokens": at.tokens})
            for name, at in self.positions.items()
        }
        try:
            made = plan(self.uri, pins, checkpoints__positions=positions)
        except CheckpointError as error:
            return (error.reason,)
        checkpoints = sorted(made.order.checkpoints, key=lambda one: one.uri)
        return checkpoints, made.addresses, sorted(made.put_aside, key=lambda one: (one.name, one.message))


folders = st.sampled_from(FOLDERS)
layouts = st.tuples(
    st.sets(folders, min_size=1, max_size=8),
    st.lists(st.tuples(folders, st.sampled_from(FILES)), max_size=6),
    st.sampled_from(POSITIONS),
    st.sampled_from(["run"] * 4 + ["7", "checkpoint-1000"]),
)
later = st.lists(st.tuples(st.sampled_from(["upload", "overwrite", "remove"]), folders), max_size=4)
Layouts = tuple[set[str], list[tuple[str, str]], dict[str, Position], str]


@settings(max_examples=200, deadline=None)
@given(layouts, later, st.data())
def test_the_plan_is_that_of_all_of_the_prefix(
    layout: Layouts, later: list[tuple[str, str]], data: st.DataObject
) -> None:
    """On any layout; and whatever is done to it after the checkpoints were pinned, but for a folder elsewhere that
    claims the position of one of them: then nobody knows which is meant, unless its folder says so."""
    whole, single, positions, name = layout
    with tempfile.TemporaryDirectory() as temporary:
        prefix = Layout(Path(temporary) / name, positions)
        for folder in sorted(whole):
            prefix.write(folder, WHOLE)
        for folder, file in single:
            prefix.write(folder, [file])
        there = [one for one in prefix.find() if one.complete]
        if not there:
            return
        chosen = data.draw(st.lists(st.sampled_from(there), min_size=1, max_size=4, unique=True))
        pins = pinned(chosen)
        assert prefix.outcome(pins) == prefix.outcome(without_folders(pins))
        if told := [one.folder for one in chosen if one.folder]:
            wanted = [Pin(one.position.branch, one.position.step, one.digest) for one in chosen if one.folder]
            assert select(prefix.find(told), pinned=wanted).missing == (), "each is found where it lies"
        for what, folder in later:
            if what == "remove":
                prefix.remove(folder)
            else:
                prefix.write(folder, WHOLE, more=b" " if what == "overwrite" else b"")
        claims = find(open_store(prefix.uri), FindOptions(positions)).duplicates
        contested = {(claim.position.branch, claim.position.step) for claim in claims}
        if contested.isdisjoint((one.position.branch, one.position.step) for one in chosen):
            assert prefix.outcome(pins) == prefix.outcome(without_folders(pins))


def test_a_pinned_checkpoint_is_meant_whoever_claims_its_position_later(steps: Path) -> None:
    (pin,) = [pin for pin in pinned(found_in(steps)) if pin["step"] == 20]
    listed_checkpoint(steps / "step_20")
    assert [one.step for one in plan(f"file://{steps}/", [pin]).order.checkpoints] == [20]
    with pytest.raises(CheckpointError, match="2 folders claim"):
        plan(f"file://{steps}/", without_folders([pin]))


def test_one_that_was_moved_is_found(steps: Path) -> None:
    pins = pinned(found_in(steps)[:1])
    (steps / "checkpoints").mkdir()
    (steps / "step10").rename(steps / "checkpoints" / "step10")
    (planned,) = plan(f"file://{steps}/", pins).order.checkpoints
    assert planned.uri == f"file://{steps}/checkpoints/step10"


def test_one_that_is_gone_or_has_changed_is_told(steps: Path) -> None:
    pins = pinned(found_in(steps)[:2])
    shutil.rmtree(steps / "step10")
    (steps / "step20" / "config.json").write_text('{"vocab_size": 9}')
    made = plan(f"file://{steps}/", pins)
    assert [item.reason for item in made.put_aside] == ["CheckpointVanished", "CheckpointChanged"]


def test_a_folder_that_is_not_the_checkpoints_own_misleads_nobody(steps: Path) -> None:
    """It says where to look, not what is meant."""
    pins = [{"step": 10, "folder": "step20"}, {"step": 30, "folder": "nothing/here"}]
    assert [one.step for one in plan(f"file://{steps}/", pins).order.checkpoints] == [10, 30]


@pytest.mark.parametrize("folder", ["../run/step10", "/etc", "a/../../b", "a//b", ".", "..", "", "a\0b", "f" * 257])
def test_a_folder_that_is_no_name_is_one_clear_error(steps: Path, folder: str) -> None:
    with pytest.raises(SpecError, match=r"spec\.checkpoints\.pinned\[0\]\.folder: ") as caught:
        plan(f"file://{steps}/", [{"step": 10, "folder": folder}])
    assert str(caught.value).count("spec.") == 1


# What it costs.


def lists_below(proxy: FaultProxy, prefix: str) -> list[str]:
    """The prefixes that were listed since the last call."""
    queries = [parse_qs(urlsplit(seen.path).query) for seen in proxy.requests if seen.method == "GET"]
    proxy.requests.clear()
    listed = [query["prefix"][0] for query in queries if query.get("list-type") == ["2"] and "prefix" in query]
    return [one.removeprefix(prefix) for one in listed if one.startswith(prefix)]


def test_the_cost_of_one_checkpoint_does_not_grow_with_those_beside_it(s3_faults: FaultProxy, s3_prefix: str) -> None:
    store, prefix = open_store(s3_prefix), s3_prefix.removeprefix("s3://fineline-tests/")
    listings, whole = [], []
    for steps in (range(2), range(2, 252)):
        with ThreadPoolExecutor(8) as pool:
            names = [f"step{step}/{name}" for step in steps for name in WHOLE]
            list(pool.map(lambda name: store.put(name, ANY), names))
        pins = pinned([one for one in find(store).checkpoints if one.position.step == 1])
        s3_faults.requests.clear()
        with_folder = plan(s3_prefix, pins)
        listings.append(lists_below(s3_faults, prefix))
        assert plan(s3_prefix, without_folders(pins)) == with_folder
        whole.append(lists_below(s3_faults, prefix))
    assert listings == [["step1/"], ["step1/"]]
    assert whole == [[""], ["", ""]], "without its folder, each page of the prefix"


def test_several_are_listed_each_by_itself_and_all_where_one_does_not_tell_its_folder(
    s3_faults: FaultProxy, s3_prefix: str
) -> None:
    store, prefix = open_store(s3_prefix), s3_prefix.removeprefix("s3://fineline-tests/")
    for folder in ("main/step1", "main/step2", "side/step2", "main/step2/hf/step3"):
        for name in WHOLE:
            store.put(f"{folder}/{name}", ANY)
    pins = pinned(find(store).checkpoints)
    assert len(pins) == 4
    s3_faults.requests.clear()
    plan(s3_prefix, pins)
    assert sorted(lists_below(s3_faults, prefix)) == ["main/step1/", "main/step2/", "side/step2/"]
    plan(s3_prefix, [*pins[:2], *without_folders(pins[2:])])
    assert lists_below(s3_faults, prefix) == [""]
