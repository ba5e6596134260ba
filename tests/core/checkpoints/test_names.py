import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.checkpoints import Reading, read_name

BILLION = 10**9
STEPS = st.integers(0, 10**12 - 1)


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("step1000", Reading(1000)),
        ("step_1000", Reading(1000)),
        ("step-1000", Reading(1000)),
        ("global_step1000", Reading(1000)),
        ("checkpoint-1000", Reading(1000)),
        ("iter_0001000", Reading(1000)),
        ("ckpt_358", Reading(358)),
        ("step1000-tokens4B", Reading(1000, 4 * BILLION)),
        ("stage1-step1000-tokens5B", Reading(1000, 5 * BILLION, "stage1")),
        ("stage2-ingredient3-step1000-tokens5B", Reading(1000, 5 * BILLION, "stage2-ingredient3")),
        ("train_02200B", Reading(None, 2200 * BILLION)),
        ("train_1.5T", Reading(None, 1500 * BILLION)),
        ("train_250M", Reading(None, BILLION // 4)),
        ("step1000-unsharded", Reading(1000)),
        ("open_llama_7b_step_50000", Reading(50000)),
        ("tinyllama-1.1b-intermediate-step-50k-105b", Reading(50000, 105 * BILLION)),
        ("epoch=0-step=1000", Reading(1000)),
        ("143000", Reading(143000)),
        ("step000000012000", Reading(12000)),
        ("Step1000", Reading(1000)),
        ("step0", Reading(0)),
        ("step1000-tokens0.5B-hf", Reading(1000, BILLION // 2)),
    ],
)
def test_the_position_is_read_from_names_that_training_programs_write(name: str, reading: Reading) -> None:
    assert read_name(name) == reading


@pytest.mark.parametrize(
    "name",
    [
        "",
        "final",
        "main",
        "7b",
        "tmp-checkpoint-1000",
        "step1000-tmp",
        "step1000_old",
        "checkpoint-1000.partial",
        ".step1000",
        "step1000x",
        "footstep1000",
        "step-",
        "step1e3",
        "step\u0661\u0660",
        "step1000-tokens0.0000000001B",
        "step1234567890123",
        "train_99999999999T",
        "step-1000000000000k",
        "step" + "0" * 300,
        "2026-01-01",
    ],
)
def test_a_name_that_tells_no_position_or_says_that_it_is_unfinished_is_not_read(name: str) -> None:
    assert read_name(name) is None


@given(st.text(max_size=1024))
def test_any_name_gives_a_reading_in_range_or_none(name: str) -> None:
    reading = read_name(name)
    if reading is not None:
        assert reading.step is not None or reading.tokens is not None
        assert 0 <= (reading.step or 0) < 10**12
        assert 0 <= (reading.tokens or 0) <= 10**18


PREFIXES = ["step", "step_", "step0000", "global_step", "checkpoint-", "iter_000", "ckpt_", "", "open_llama_7b_step_"]


@given(prefix=st.sampled_from(PREFIXES), step=STEPS, suffix=st.sampled_from(["", "-unsharded"]))
def test_every_pattern_of_a_step_reads_back_what_was_written(prefix: str, step: int, suffix: str) -> None:
    assert read_name(f"{prefix}{step}{suffix if prefix else ''}") == Reading(step)


@given(step=STEPS, tokens=st.integers(0, 10**6), stage=st.integers(0, 99))
def test_stage_step_and_tokens_read_back_what_was_written(step: int, tokens: int, stage: int) -> None:
    name = f"stage{stage}-step{step}-tokens{tokens}B"
    assert read_name(name) == Reading(step, tokens * BILLION, f"stage{stage}")


@given(tokens=st.integers(0, 99999), unit=st.sampled_from("MBT"))
def test_tokens_alone_read_back_what_was_written(tokens: int, unit: str) -> None:
    factor = {"M": 10**6, "B": 10**9, "T": 10**12}[unit]
    assert read_name(f"train_{tokens:05}{unit}") == Reading(None, tokens * factor)
