"""Folders and files of a prefix for random layouts: nested, odd and unreadable ones among the usual."""

from __future__ import annotations

import json

from fineline.checkpoints import Position

FOLDERS = [
    *("step1", "step_1", "step2", "step3/hf", "step2/logs", "checkpoint-6/global_step6"),
    *("main/step10", "main/step20", "main/logs", "seed2/step10", "a/b/step5", "7/step4", "7/logs", "7", "a/42"),
    *("step9", "step9/foo/step11", "step9/hf", "best", "final", "final/step8", "logs", "logs/step_7", "main", "seed2"),
    *("", "mp_rank_00", "main/mp_rank_00", "model_and_optim", "new\nline"),
]
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
FILES = [
    *("config.json", "model.safetensors", "tokenizer.json", "_SUCCESS", "README", "optimizer.pt", "trainer_state.json"),
    *(*SHARDS, "odd.safetensors", "generation_config.json", ".metadata", "model_optim_rng.pt"),
]
CONTENT = {
    "trainer_state.json": json.dumps({"global_step": 77}).encode(),
    "model.safetensors.index.json": json.dumps({"weight_map": {"a": "odd.safetensors"}}).encode(),
}
WHOLE = ("config.json", "model.safetensors", "tokenizer.json", "_SUCCESS")
POSITIONS: list[dict[str, Position]] = [
    *[{}] * 5,
    {"best": Position("main", 500), "main/logs": Position("main", 501, 7)},
    {"a": Position("main", 502), "README": Position("main", 503)},
    {"run": Position("main", 504), "step9": Position("other", 9)},
]
