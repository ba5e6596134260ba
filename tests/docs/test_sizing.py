"""The sizing page reckons right: its tables follow from its assumptions, the suites' locks and bench/RESULTS.md."""

from __future__ import annotations

import math
import re
from functools import cache

import pytest

from fineline.plan.facts import slice_count
from fineline.plan.planning import UNKNOWN_TOKENS
from fineline.suites import find_lock, load, lock
from support.pages import REPOSITORY, table_under

PAGE = REPOSITORY / "docs" / "sizing.md"
RESULTS = REPOSITORY / "bench" / "RESULTS.md"
MONTH_SECONDS = 30 * 86_400
_SHOWN_WITHIN = 0.01

RUNS = ("7B, fine-line", "67B, fine-line", "7B, fine-line-mini")


@cache
def known_tokens(suite: str) -> tuple[int, int]:
    """Tokens of a suite's tasks that its lock counts, as far as the limits take them, and the documents drawn."""
    tokens = documents = 0.0
    for task in load(suite).tasks:
        locked = lock(suite)[task.task]
        if locked.tokens is None or locked.documents is None:
            continue
        drawn = locked.drawn(task.limit) or 0
        tokens += locked.tokens * drawn / locked.documents
        documents += drawn
    return round(tokens), round(documents)


def numbers(heading: str) -> dict[str, dict[str, float]]:
    """A table of the page: column by column, each row's number by the symbol or name in its first cell."""
    rows = table_under(PAGE, heading)
    return {
        column: {row[0].strip("`"): number(row[at]) for row in rows[1:] if is_number(row[at])}
        for at, column in enumerate(rows[0])
        if at
    }


def is_number(cell: str) -> bool:
    return re.match(r"[$≈]?\s*[\d,.]+", cell) is not None


def number(cell: str) -> float:
    """The number that a cell starts with; `1.1e12`, `1,000`, `$3.00`, `36 h`."""
    found = re.match(r"[$≈]?\s*([\d,]*\.?\d+(?:e\d+)?)", cell)
    assert found is not None, f"{cell!r} starts with no number"
    return float(found[1].replace(",", ""))


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_suites_have_the_tokens_that_their_locks_count(run: str) -> None:
    given = numbers("What is assumed")[run]
    tokens, documents = known_tokens(run.partition(", ")[2])
    assert given["L"] == tokens
    assert given["D"] == documents
    assert given["U"] == len(load(run.partition(", ")[2]).tasks)


def test_slices_are_as_many_as_a_plan_would_have(run: str) -> None:
    given = numbers("What is assumed")[run]
    suite = load(run.partition(", ")[2])
    estimated = 0
    for task in suite.tasks:
        locked = find_lock(task.task, task.shots)
        estimated += (locked.tokens_of(task.limit) if locked is not None else None) or UNKNOWN_TOKENS
    units = int(given["C"] * given["U"])
    assert given["K"] == slice_count(int(given["P"]), int(given["C"] * estimated), units)


def test_what_is_reckoned_follows_from_what_is_assumed(run: str) -> None:
    told = numbers("What comes out")[run]
    for row, value in reckoned(numbers("What is assumed")[run]).items():
        assert told[row] == pytest.approx(value, rel=_SHOWN_WITHIN), f"{row} of {run}"


def test_nothing_of_what_comes_out_is_left_unchecked() -> None:
    for run in RUNS:
        assert numbers("What comes out")[run].keys() == reckoned(numbers("What is assumed")[run]).keys()


def test_requests_a_month_follow_from_the_polls() -> None:
    rows = table_under(PAGE, "Requests to the store")
    for row in rows[1:]:
        sources, checkpoints, objects, lists, money = (number(cell) for cell in row)
        polls = MONTH_SECONDS / 60 * math.ceil(checkpoints / 1000)
        walks = MONTH_SECONDS / 3600 * math.ceil(objects / 1000)
        assert lists == pytest.approx(sources * (polls + walks))
        assert money == pytest.approx(lists / 1000 * 0.005, abs=0.005)


def test_the_operator_takes_what_was_measured() -> None:
    measured = RESULTS.read_text()
    for row in table_under(PAGE, "The operator")[1:]:
        line = next((line for line in measured.splitlines() if line.startswith(f"| {row[2]} |")), None)
        assert line is not None, f"bench/RESULTS.md has no row {row[2]!r}"
        assert row[1].split()[0] in [cell.strip() for cell in line.split("|")], f"{row[1]} is not in: {line}"


def reckoned(given: dict[str, float]) -> dict[str, float]:
    """The page's formulas."""
    at = given
    tokens = at["L"] * (1 + at["a"]) + at["G"] * at["g"] * at["c"]
    speed = at["F"] * at["e"] * at["x"] * at["T"] / (2 * at["N"])
    size = 2 * at["N"]
    score, download, load_seconds = tokens / speed, size / at["B"], size / at["R"]
    checkpoint = max(score, download) + load_seconds
    seconds = at["C"] * checkpoint + at["K"] * (at["S"] + download)
    gpu_hours = at["T"] * seconds / 3600
    results = at["C"] * (at["D"] * (1 + at["a"]) * 100 + at["U"] * 10_000 + at["G"] * at["g"] * 4)
    return {
        "units": at["C"] * at["U"],
        "tokens a checkpoint": tokens / 1e6,
        "tokens/s a pod": speed,
        "scoring a checkpoint": score,
        "download a checkpoint": download,
        "loading a checkpoint": load_seconds,
        "GPU-hours": gpu_hours,
        "money": gpu_hours * at["p"],
        "wall time": seconds / at["P"] / 3600,
        "downloaded": at["C"] * size / 1e12,
        "results": results / 1e9,
        "ephemeral disk a pod": math.ceil((2 * size + 2 * 2**30) / 2**30),
    }
