from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fineline.errors import CheckpointError, SpecError
from fineline_evaluator.backends import open_backend, window_of
from fineline_evaluator.backends.failures import engine_error
from fineline_evaluator.backends.settings import has_recurrent_state, sizes, threads
from fineline_evaluator.backends.stopping import cut, stop_strings
from fineline_evaluator.scoring import EngineSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trust_remote_code", True),
        ("enable_prefix_caching", False),
        ("gpu_memory_utilization", 0.5),
        ("worker_cls", "somewhere.Else"),
        ("hf_overrides", {}),
        ("async_scheduling", True),
        ("max_nun_seqs", 3),
    ],
)
def test_an_argument_that_breaks_the_seal_or_runs_foreign_code_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SpecError, match=rf"^spec\.engine\.args\.{name}: can't be set"):
        open_backend(EngineSettings(args={name: value}))


def test_an_argument_with_a_field_of_its_own_names_the_field() -> None:
    with pytest.raises(SpecError, match=r"^spec\.engine\.args\.max_model_len: .*spec\.engine\.maxModelLen"):
        open_backend(EngineSettings(args={"max_model_len": 5}))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (EngineSettings(backend="sglang"), "backend"),
        (EngineSettings(dtype="int8"), "dtype"),
        (EngineSettings(max_model_len=1), "maxModelLen"),
        (EngineSettings(backend="transformers", args={"block_size": 32}), r"args\.block_size"),
    ],
)
def test_what_can_not_be_meant_is_named(settings: EngineSettings, field: str) -> None:
    with pytest.raises(SpecError, match=rf"^spec\.engine\.{field}: "):
        open_backend(settings)


@pytest.mark.parametrize(
    ("config", "stated", "expected"),
    [
        ({"max_position_embeddings": 512}, None, 512),
        ({"n_positions": 1024, "max_position_embeddings": 512}, None, 1024),
        ({"max_position_embeddings": 512}, 128, 128),
        ({}, None, 2048),
        ({}, 4096, 4096),
        ({"text_config": {"max_position_embeddings": 64}}, None, 64),
    ],
)
def test_the_window_is_the_setting_or_the_checkpoints(
    tmp_path: Path, config: dict[str, Any], stated: int | None, expected: int
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert window_of(tmp_path, EngineSettings(max_model_len=stated)) == expected


def test_a_window_longer_than_the_checkpoints_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 512}')
    with pytest.raises(SpecError, match=r"^spec\.engine\.maxModelLen: 513 is more than .* 512"):
        window_of(tmp_path, EngineSettings(max_model_len=513))


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "ConfigMissing"), ("{", "ConfigMismatch"), ("[]", "ConfigMismatch")]
)
def test_a_config_that_can_not_be_read_is_named(tmp_path: Path, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json") as caught:
        window_of(tmp_path, EngineSettings())
    assert caught.value.reason == reason


def test_threads_are_the_setting_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads(EngineSettings(args={"threads": 2})) == 2
    assert threads(EngineSettings()) == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads(EngineSettings()) >= 1


def test_models_with_a_recurrent_state_have_no_blocks() -> None:
    assert has_recurrent_state({"model_type": "mamba"})
    assert has_recurrent_state({"model_type": "new", "ssm_state_size": 16})
    assert not has_recurrent_state({"model_type": "llama", "hidden_size": 64})
    assert sizes(EngineSettings(), gpu=False, recurrent=True).block_size is None


def test_blocks_are_smaller_on_a_gpu() -> None:
    assert sizes(EngineSettings(), gpu=True, recurrent=False).block_size == 16
    assert sizes(EngineSettings(), gpu=False, recurrent=False).block_size == 32


def test_text_is_cut_before_the_first_of_the_stop_strings() -> None:
    assert cut("one\n\ntwo Q: three", stop_strings(["Q:", "\n\n", "", "Q:"], "</s>")) == "one"
    assert cut("nothing stops", ["Q:"]) == "nothing stops"
    assert stop_strings(["a", "", "a"], None) == ("a",)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "OutOfMemory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "OutOfMemory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "OutOfMemory"),
        (RuntimeError("an illegal memory access"), "EngineFailed"),
    ],
)
def test_out_of_memory_is_told_apart(error: Exception, reason: str) -> None:
    told = engine_error(error, "scoring 3 prompts")
    assert told.reason == reason
    assert not told.permanent
    assert "scoring 3 prompts" in str(told)
