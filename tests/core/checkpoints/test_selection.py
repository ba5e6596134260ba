from typing import Any

import pytest

from fineline.checkpoints import Checkpoint, Pin, Selected, find, select
from fineline.errors import SpecError
from support.checkpoints import ListedStore


def series(*steps: int, branch: str = "main", incomplete: tuple[int, ...] = ()) -> tuple[Checkpoint, ...]:
    names = [f"{branch}/step{step}/config.json" for step in steps]
    names += [f"{branch}/step{step}/model.safetensors" for step in steps if step not in incomplete]
    return find(ListedStore(names)).checkpoints


def steps(selected: Selected) -> list[int]:
    return [item.position.step for item in selected.checkpoints]


TEN = series(*range(0, 100, 10))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, list(range(0, 100, 10))),
        ({"steps": [90, 10]}, [10, 90]),
        ({"every": 1}, list(range(0, 100, 10))),
        ({"every": 4}, [0, 40, 80]),
        ({"every": 4, "from_step": 15}, [20, 60]),
        ({"every": 4, "from_step": 15, "to_step": 50}, [20]),
        ({"last": 2}, [80, 90]),
        ({"last": 2, "to_step": 50}, [40, 50]),
        ({"last": 99}, list(range(0, 100, 10))),
        ({"from_step": 70}, [70, 80, 90]),
        ({"from_step": 20, "to_step": 20}, [20]),
        ({"pinned": [Pin("main", 30)]}, [30]),
    ],
)
def test_each_way_to_choose(asked: dict[str, Any], expected: list[int]) -> None:
    assert steps(select(TEN, **asked)) == expected


def test_every_and_last_count_in_each_branch() -> None:
    both = [*series(1, 2, 3, branch="a"), *series(4, 5, 6, branch="b")]
    assert steps(select(both, every=2)) == [1, 3, 4, 6]
    assert steps(select(both, last=1)) == [3, 6]


def test_an_upload_that_is_completed_later_does_not_shift_what_every_selects() -> None:
    early = select(series(0, 10, 20, 30, 40, incomplete=(10, 20)), every=2)
    assert steps(early) == [0, 40]
    assert [item.position.step for item in early.incomplete] == [20]
    assert steps(select(series(0, 10, 20, 30, 40), every=2)) == [0, 20, 40]


def test_last_takes_the_newest_complete_ones() -> None:
    assert steps(select(series(0, 10, 20, incomplete=(20,)), last=1)) == [10]


def test_a_step_that_is_not_there_is_told_with_the_nearest_and_the_rest_is_selected() -> None:
    selected = select(TEN, steps=[10, 33])
    assert steps(selected) == [10]
    (missing,) = selected.missing
    assert missing.step == 33
    assert "no checkpoint has step 33. The nearest are 20, 30, 40." in str(missing.error)


def test_a_pin_takes_the_checkpoint_of_its_digest_alone() -> None:
    (one, *_) = TEN
    selected = select(
        TEN, pinned=[Pin("main", 0, one.digest), Pin("main", 10, "0" * 64), Pin("b", 10), Pin("main", 11)]
    )
    assert steps(selected) == [0]
    assert [(item.branch, item.step, item.error.reason) for item in selected.missing] == [
        ("main", 10, "CheckpointChanged"),
        ("b", 10, "CheckpointVanished"),
        ("main", 11, "CheckpointVanished"),
    ]


def test_a_pinned_checkpoint_that_lost_a_file_is_told_by_what_is_missing() -> None:
    (missing,) = select(series(1, incomplete=(1,)), pinned=[Pin("main", 1, "0" * 64)]).missing
    assert missing.error.reason == "Incomplete"


@pytest.mark.parametrize(
    "asked",
    [
        {"steps": [1], "every": 2},
        {"every": 1, "last": 1},
        {"steps": [1], "from_step": 1},
        {"pinned": [], "to_step": 1},
        {"pinned": [], "last": 1},
        {"every": 0},
        {"last": -1},
    ],
)
def test_what_contradicts_itself_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"^checkpoints"):
        select(TEN, **asked)
