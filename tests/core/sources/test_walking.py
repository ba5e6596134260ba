"""What a walk lists, what it knows afterwards, and what that costs. test_walking_histories.py has any history."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fineline.checkpoints import FindOptions, Position, find, own_tokenizer, tokenizer_digest
from fineline.errors import StoreUnavailable
from fineline.sources.listing import Listing
from fineline.sources.walking import Walk
from fineline.store import Store
from support.checkpoints import llama_files, put_all
from support.simulated_store import BEGINNING, SimulatedStore

HOUR = 3600
WHOLE = ("config.json", "model.safetensors")
WHOLE_SEED = [f"seed2/{name}" for name in (*WHOLE, "trainer_state.json")]


class Source:
    """A simulated bucket and a walk of it, by one clock."""

    def __init__(self, page: int = 1000, settle: float = 60, marker: str | None = None) -> None:
        self.store = SimulatedStore(page)
        self.walk = Walk(self.store, FindOptions(settle_seconds=settle, marker=marker), full_walk_seconds=HOUR)
        self.lists = 0

    def upload(self, *folders: str, files: tuple[str, ...] = ("config.json", "model.safetensors")) -> None:
        for folder in folders:
            for name in files:
                self.store.write(f"{folder}/{name}" if folder else name)

    def look(self, after: float = 60, *, full: bool = False) -> Listing:
        self.store.now += after
        before = self.walk.requests
        listing = self.walk.look(BEGINNING + timedelta(seconds=self.store.now), full=full)
        self.lists = self.walk.requests - before
        return listing


def complete(listing: Listing) -> list[str]:
    return [item.folder for item in listing.checkpoints if item.complete]


def test_a_settled_source_costs_one_request_for_each_thousand_checkpoints() -> None:
    source = Source()
    source.upload(*(f"step{number}" for number in range(2500)), files=tuple(f"{letter}.pt" for letter in "abcde"))
    source.look()
    assert source.lists == 13
    source.look()
    assert source.lists == 3
    source.upload("step9000")
    assert source.look(0).checkpoints[-1].folder == "step9000"
    assert source.lists == 4


def test_a_settled_source_of_a_thousand_checkpoints_beside_logs_costs_two_requests() -> None:
    source = Source()
    source.upload(
        *(f"step{number}" for number in range(998)), files=("a", "b", "c", "config.json", "model.safetensors")
    )
    for _ in range(30):
        source.upload("logs", files=("events",))
        source.look()
        listing = source.look()
    assert source.lists <= 2
    assert len(listing.checkpoints) == 998


def test_an_upload_is_followed_until_it_is_complete_and_settled() -> None:
    source = Source(page=1, marker="_SUCCESS")
    source.upload(*(f"step{number}" for number in range(20)), files=("config.json", "model.safetensors", "_SUCCESS"))
    source.look()
    source.upload("step100", files=("_SUCCESS",))
    assert "step100" not in {item.folder for item in source.look(1).checkpoints}
    source.upload("step100", files=("config.json",))
    (last,) = source.look(1).checkpoints[20:]
    assert last.problem is not None
    assert last.problem.passing
    source.upload("step100", files=("model.safetensors",))
    listing = source.look(20)
    assert listing.settles_at == BEGINNING + timedelta(seconds=source.store.now + 40)
    assert "step100" not in complete(listing)
    assert source.lists == 21 + 3, "the level, and the one folder that is not settled"
    assert "step100" not in complete(source.look(39))
    assert "step100" in complete(source.look(1))
    source.look()
    assert source.lists == 21


def test_branches_and_deeper_folders_are_levels_of_their_own() -> None:
    source = Source(page=2)
    source.upload(*(f"{branch}/checkpoints/step{step}" for branch in ("main", "seed2") for step in range(10)))
    source.look()
    source.look()
    assert source.lists == 1 + 2 + 10
    source.upload("seed3/checkpoints/step1", "main/checkpoints/step10")
    assert len(source.look(0).checkpoints) == 22
    for name in [name for name in source.store.objects if name.startswith("seed2/")]:
        source.store.delete(name)
    assert {item.position.branch for item in source.look().checkpoints} == {"main", "seed3"}


def test_an_overwrite_of_what_was_settled_is_seen_when_all_is_listed_again() -> None:
    source = Source(page=1)
    source.upload(*(f"step{number}" for number in range(20)))
    before = source.look().checkpoints[3]
    source.upload("step3")
    assert source.look().checkpoints[3] == before
    listing = source.look(full=True)
    assert listing.checkpoints[3].digest != before.digest
    assert listing.full_at == listing.listed_at
    before = listing.checkpoints[4]
    source.upload("step4")
    assert source.look(HOUR - 1).checkpoints[4] == before
    assert source.look(1).checkpoints[4].digest != before.digest


def test_a_listing_that_fails_half_way_leaves_what_was_known() -> None:
    source = Source(page=1)
    source.upload(*(f"step{number}" for number in range(20)))
    source.look()
    source.upload("step100", "step101")
    for answers in range(1, 25):
        source.store.fails_at = source.store.list_requests + answers
        with pytest.raises(StoreUnavailable):
            source.look(0)
    source.store.fails_at = source.store.list_requests + 40
    with pytest.raises(StoreUnavailable):
        source.look(0, full=True)
    source.store.fails_at = None
    listing = source.look(0)
    assert source.lists == 22 + 4, "the level, and the two folders that are new"
    assert len(listing.checkpoints) == 22


def test_a_source_without_configs_is_listed_whole_rather_than_folder_by_folder() -> None:
    source = Source(page=10)
    source.upload(*(f"step{number}" for number in range(100)), files=("model.safetensors", "tokenizer.json"))
    source.look()
    for _ in range(3):
        assert not complete(source.look())
        assert source.lists == 20


def test_folders_of_logs_are_looked_at_after_ever_longer_pauses() -> None:
    source = Source(page=1)
    source.upload(*(f"step{number}" for number in range(20)))
    source.upload("logs/run", files=("events",))
    looks = 0
    for _ in range(50):
        source.upload("logs/run", files=("events",))
        source.look()
        looks += source.lists > 21
    assert 3 < looks < 20


def test_an_upload_that_begins_with_what_tells_nothing_is_seen_at_once_when_weights_come() -> None:
    source = Source(page=1)
    source.upload(*(f"step{number}" for number in range(20)))
    source.upload("step100", files=("tokenizer.json",))
    source.look()
    for _ in range(30):
        source.look()
    source.upload("step100")
    assert source.look(1).checkpoints[-1].folder == "step100"


def test_a_branch_that_begins_in_a_folder_of_notes_is_seen_soon() -> None:
    source = Source(page=1)
    source.upload(*(f"step{number}" for number in range(20)))
    source.upload("seed2", files=("README",))
    source.look()
    source.look(240)
    source.upload("seed2/step1")
    source.look(30)
    assert "seed2/step1" in {item.folder for item in source.look(40).checkpoints}


def test_a_final_model_in_the_root_does_not_make_each_look_a_listing_of_all() -> None:
    """As the Hugging Face Trainer leaves it, whose state is read once."""
    source = Source(page=5)
    source.upload(*(f"checkpoint-{number}" for number in range(1, 21)))
    source.upload("")
    source.store.write("trainer_state.json", json.dumps({"global_step": 50}).encode())
    for _ in range(3):
        listing = source.look()
        assert listing.checkpoints[-1].folder == ""
        assert listing.checkpoints[-1].position == Position("main", 50)
        assert len(complete(listing)) == 21
    assert source.lists == 5
    assert source.store.reads == ["trainer_state.json"]


def test_folders_at_one_position_are_judged_together_however_they_were_listed() -> None:
    source = Source(page=1)
    source.upload(*(f"step{number}" for number in range(20)))
    assert len(complete(source.look())) == 20
    source.upload("step_3")
    listing = source.look()
    assert [item.folder for item in listing.checkpoints if item.problem] == ["step3", "step_3"]
    for name in ("config.json", "model.safetensors"):
        source.store.delete(f"step_3/{name}")
    assert len(complete(source.look())) == 20


def test_a_folder_that_gives_way_to_one_at_the_same_position_is_told() -> None:
    source = Source(page=1)
    source.upload("step3", files=("model.pt",))
    source.upload("step_3")
    listing = source.look()
    assert complete(listing) == ["step_3"]
    ((folder, reason, message),) = listing.aside
    assert (folder, reason) == ("step3", "DuplicatePosition")
    assert "step_3 is the one that is read" in message


def test_a_clock_of_the_store_that_is_an_hour_ahead_holds_nothing_up() -> None:
    source = Source(page=1)
    source.upload(*(f"step{number}" for number in range(20)))
    source.look()
    source.store.ahead = HOUR
    source.upload("step100")
    listing = source.look(10)
    assert listing.settles_at is not None
    assert abs(listing.settles_at - (BEGINNING + timedelta(seconds=source.store.now + 60))) < timedelta(seconds=1)
    assert "step100" not in complete(source.look(59))
    assert "step100" in complete(source.look(2))


def test_files_that_keep_old_times_are_waited_for_from_when_they_were_seen() -> None:
    source = Source(page=1)
    source.upload(*(f"step{number}" for number in range(20)))
    source.look()
    source.store.ahead = -HOUR
    source.upload("step100")
    assert "step100" not in complete(source.look(10))
    assert "step100" not in complete(source.look(59))
    assert "step100" in complete(source.look(2))


def test_a_clock_that_goes_back_makes_a_listing_of_all_and_no_longer_wait() -> None:
    source = Source(page=1)
    source.upload(*(f"step{number}" for number in range(20)))
    source.look()
    source.upload("step100")
    source.look(10)
    back = BEGINNING - timedelta(hours=5)
    listing = source.walk.look(back)
    assert listing.full_at == back
    assert "step100" not in complete(listing)
    assert "step100" in complete(source.walk.look(back + timedelta(seconds=61)))


def test_a_store_that_lists_in_no_order_is_understood() -> None:
    class Unordered(SimulatedStore):
        def list(self, prefix=""):
            listed = list(super().list(prefix))
            return iter(listed[::2] + listed[1::2])

    store = Unordered()
    for number in range(10):
        for name in ("config.json", "model.safetensors"):
            store.write(f"step{number}/{name}")
    listing = Walk(store, FindOptions(), full_walk_seconds=HOUR).look(BEGINNING + timedelta(seconds=1))
    assert complete(listing) == [f"step{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("uri", "there", "gone", "comes"),
    [
        pytest.param(
            "s3://bucket/run/",
            [*WHOLE_SEED, "seed2/logs/events", "seed2/step1/config.json", "seed2/step1/model.safetensors"],
            "seed2/step1/",
            None,
            id="the last checkpoint beside a final model goes, so that the rest is the model's",
        ),
        pytest.param(
            "s3://bucket/run/",
            ["42/config.json", "42/model.safetensors", "42/step1/config.json", "42/step1/model.safetensors"],
            None,
            "42/logs/events",
            id="a new folder is part of the checkpoint that it lies in",
        ),
        pytest.param(
            "s3://bucket/run/",
            ["42/logs/events", "42/step1/config.json", "42/step1/model.safetensors"],
            None,
            "42/config.json",
            id="a folder above checkpoints becomes one, with a folder that was none's",
        ),
        pytest.param(
            "s3://bucket/7/", ["config.json", "logs/events"], "step", None, id="the root's name is all that is left"
        ),
        pytest.param(
            "s3://bucket/run/",
            ["main/step1/model.pt"],
            None,
            "main/mp_rank_00/model_optim_rng.pt",
            id="ranks of a branch",
        ),
    ],
)
def test_where_what_is_new_does_not_tell_the_rest_all_is_listed(
    uri: str, there: list[str], gone: str | None, comes: str | None
) -> None:
    store, now = SimulatedStore(1, uri), BEGINNING + timedelta(hours=1)
    for name in [*there, *(f"step{number}/{name}" for number in range(20, 40) for name in WHOLE)]:
        store.write(name, b'{"global_step": 5}' if name.endswith("trainer_state.json") else None)
        store.now += 1
    walk = Walk(store, FindOptions(), full_walk_seconds=10 * HOUR)
    walk.look(now)
    same_as_found(walk.look(now + timedelta(seconds=1)), store)
    for name in [name for name in store.objects if gone is not None and name.startswith(gone)]:
        store.delete(name)
    if comes is not None:
        store.write(comes)
    listing = walk.look(now + timedelta(seconds=2))
    same_as_found(listing, store)
    assert listing.full_at == listing.listed_at


def same_as_found(listing: Listing, store: Store) -> None:
    found = find(store)
    assert [(item.folder, item.position, item.digest, item.problem) for item in listing.checkpoints] == [
        (item.folder, item.position, item.digest, item.problem) for item in found.checkpoints
    ]
    assert [item.tokenizer_digest for item in listing.checkpoints] == [
        tokenizer_digest(own_tokenizer(item)) for item in found.checkpoints
    ]
    assert [item.changed for item in listing.checkpoints] == [
        max(file.modified for file in item.inventory) for item in found.checkpoints
    ]


def as_if_all_took_many_requests(walk: Walk) -> Walk:
    """So that it lists what may have changed, for which a source must have more than a thousand objects."""
    assert walk._state is not None
    walk._state = replace(walk._state, full_requests=1000)
    return walk


def test_on_a_real_store_uploads_branches_overwrites_and_deletions_are_seen(store: Store) -> None:
    walk = Walk(store, FindOptions(), full_walk_seconds=HOUR)
    now = datetime.now(UTC) + timedelta(seconds=10)
    same_as_found(walk.look(now), store)
    for folder in ("step1", "step2", "main/step10"):
        put_all(store, folder, llama_files(2) | {"tokenizer.json": folder.encode()})
    same_as_found(as_if_all_took_many_requests(walk).look(now), store)
    put_all(store, "main/step20", {"config.json": b"{}"})
    same_as_found(as_if_all_took_many_requests(walk).look(now + timedelta(seconds=1)), store)
    put_all(store, "main/step20", llama_files(2))
    put_all(store, "seed2/step10", llama_files())
    for item in list(store.list("step2/")):
        store.delete(item.name)
    requests = walk.requests
    listing = as_if_all_took_many_requests(walk).look(now + timedelta(seconds=2))
    lists = walk.requests - requests
    same_as_found(listing, store)
    assert complete(listing) == ["step1", "main/step10", "main/step20", "seed2/step10"]
    assert listing.full_at == now
    assert lists == 4, "two levels, the branch that is new, and the checkpoint that was not whole"
    put_all(store, "step1", llama_files(2, fill=7))
    same_as_found(walk.look(now + timedelta(seconds=3), full=True), store)


def test_files_moved_into_a_directory_with_their_old_times_are_waited_for(
    directory_store: Store, tmp_path: Path
) -> None:
    walk = Walk(directory_store, FindOptions(settle_seconds=60), full_walk_seconds=HOUR)
    put_all(directory_store, "step1", llama_files())
    now = datetime.now(UTC) + timedelta(seconds=100)
    assert complete(walk.look(now)) == ["step1"]
    put_all(directory_store, "step2", llama_files())
    for path in (tmp_path / "store" / "step2").iterdir():
        os.utime(path, (0, 0))
    assert complete(walk.look(now + timedelta(seconds=10))) == ["step1"]
    assert complete(walk.look(now + timedelta(seconds=71))) == ["step1", "step2"]
