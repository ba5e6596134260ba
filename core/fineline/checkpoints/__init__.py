"""Checkpoints of a pretraining run in a store: found, placed, checked, identified, selected. No weights are read.

    found = find(open_store("s3://pretrain/amber-7b/"))
    chosen = select(found.checkpoints, every=10)
    for checkpoint in chosen.checkpoints:
        inspection = inspect(store, checkpoint)      # index, headers, config, parameters of one

`find` needs one listing alone; `inspect` makes a few small reads for one checkpoint and raises CheckpointError.
"""

from fineline.checkpoints.checkpoint import Checkpoint, Duplicate, Format, Found, NotUnderstood, Position, Problem
from fineline.checkpoints.find import FindOptions, explain_empty, find
from fineline.checkpoints.identity import (
    TOKENIZER_FILES,
    files_digest,
    own_tokenizer,
    tokenizer_digest,
    tokenizer_files,
)
from fineline.checkpoints.inspection import Inspection, inspect, read_config, verify_headers
from fineline.checkpoints.names import Reading, read_name
from fineline.checkpoints.parameters import Parameters, count
from fineline.checkpoints.safetensors import TensorInfo, read_header, read_local_header
from fineline.checkpoints.selection import NotSelected, Pin, Selected, select

__all__ = [
    "TOKENIZER_FILES",
    "Checkpoint",
    "Duplicate",
    "FindOptions",
    "Format",
    "Found",
    "Inspection",
    "NotSelected",
    "NotUnderstood",
    "Parameters",
    "Pin",
    "Position",
    "Problem",
    "Reading",
    "Selected",
    "TensorInfo",
    "count",
    "explain_empty",
    "files_digest",
    "find",
    "inspect",
    "own_tokenizer",
    "read_config",
    "read_header",
    "read_local_header",
    "read_name",
    "select",
    "tokenizer_digest",
    "tokenizer_files",
    "verify_headers",
]
