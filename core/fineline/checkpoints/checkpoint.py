"""What a listing says of checkpoints, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fineline.store.interface import StoredObject


class Format(StrEnum):
    """How the weights of a checkpoint are stored. Only SAFETENSORS is evaluated as it is."""

    SAFETENSORS = "safetensors"
    PYTORCH_BIN = "pytorch-bin"
    TORCH_DCP = "torch-dcp"
    DEEPSPEED = "deepspeed"
    MEGATRON = "megatron"
    PICKLE = "pickle"
    OTHER = "other"
    NONE = "none"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a checkpoint stands in its run. `tokens` is None where nothing tells them."""

    branch: str
    step: int
    tokens: int | None = None

    def __str__(self) -> str:
        return f"{self.branch} step {self.step}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a checkpoint can't be evaluated as it lies there.

    `reason` is a word of `CheckpointError`; `message` a sentence that names the files and says what to do. `passing`:
    a further upload, or time, may end it.
    """

    reason: str
    message: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint of a listing.

    `folder` is the one whose name or content tells the position (`main/step1000`), `weights_folder` the one that the
    weights, index and config lie in: nearly always the same, else below it (`main/step1000/hf`). Both are relative to
    the store that was listed, without a `/` at the end; empty is the store's root.

    `inventory` is everything in `folder`; `loaded` is what an engine reads of it (weights, index, config.json,
    generation_config.json), which lies directly in `weights_folder`. `digest` is over `loaded`; see `identity`.
    `size` is that of `loaded`, in bytes.
    """

    folder: str
    weights_folder: str
    position: Position
    format: Format
    inventory: tuple[StoredObject, ...]
    loaded: tuple[StoredObject, ...]
    digest: str
    size: int
    problem: Problem | None = None

    @property
    def complete(self) -> bool:
        """Whether it can be evaluated, as far as a listing can tell; `inspect` looks into the files."""
        return self.problem is None

    @property
    def name(self) -> str:
        """The folder as people would call it; the root has no name in its store, and is `.`."""
        return self.folder or "."


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A folder that holds weights, or seems to, but has no place in the series."""

    folder: str
    message: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Folders that claim the same position. Where one of them alone can be read, or says its position by its name and
    the others by what is in them, that one is evaluated; else none is. `message` says which, and what to do."""

    position: Position
    folders: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Found:
    """Every checkpoint of a listing in order of (branch, tokens or step), and what was put aside, in order of names."""

    uri: str
    checkpoints: tuple[Checkpoint, ...]
    not_understood: tuple[NotUnderstood, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()

    @property
    def complete(self) -> tuple[Checkpoint, ...]:
        return tuple(checkpoint for checkpoint in self.checkpoints if checkpoint.problem is None)
