"""Sorts a listing into checkpoints: which folder is a checkpoint's, what it holds, and what its position is read from.

Pure, and quick enough for hundreds of thousands of objects: each folder is looked at once, and of a file only the name.

A checkpoint's folder is the deepest one whose name tells a position; weights may lie in it or below it
(`step1000/model_and_optim`, `iter_0001000/mp_rank_00`). Its branch is the folder above, if there is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from fineline.checkpoints.checkpoint import Format, Position
from fineline.checkpoints.formats import format_of, has_traces
from fineline.checkpoints.names import LONGEST_NAME, Reading, read_name
from fineline.store.interface import StoredObject

MAIN = "main"

# Folders that only say "here are the checkpoints": no branch is called so.
_NO_BRANCH = frozenset({"checkpoints", "checkpoint", "ckpts", "ckpt", "weights"})


@dataclass(slots=True)
class Folder:
    """One folder of the listing: the files directly in it by their names in it, and the format that these are."""

    path: str
    files: dict[str, StoredObject]
    format: Format = Format.NONE


@dataclass(slots=True)
class Candidate:
    """A folder that is taken for a checkpoint's, with all that lies in it, and what is known of its position."""

    path: str
    folders: list[Folder] = field(default_factory=list)
    position: Position | Reading | None = None

    def weights(self) -> list[Folder]:
        return [folder for folder in self.folders if folder.format is not Format.NONE]

    @property
    def is_spread(self) -> bool:
        """Whether other folders than its own are part of it."""
        return any(folder.path != self.path for folder in self.folders)


@dataclass(frozen=True, slots=True)
class Sorted:
    """Candidates by path: with a position from the mapping or the name, and without; and folders with unsafe names.

    `bare` are those whose name tells a position and that hold nothing of a checkpoint. `loose` are folders without
    weights, and with safe names, whose path tells no position.
    """

    named: dict[str, Candidate]
    unnamed: dict[str, Candidate]
    unsafe: list[str]
    bare: dict[str, Candidate]
    loose: list[str]


def sort_listing(objects: Iterable[StoredObject], names: Names, holding: Collection[str] = ()) -> Sorted:
    """Candidates of a listing, or of a part of one: all that lies below some folders.

    `holding` are the folders that are known to hold, at any depth, other checkpoints than those of this part.
    """
    result = Sorted({}, {}, [], {}, [])
    loose = []
    for path, files in _by_folder(objects).items():
        folder = Folder(path, files, format_of(path.rpartition("/")[2], files))
        if not _is_safe(path):
            if folder.format is not Format.NONE:
                result.unsafe.append(path)
            continue
        owner = names.owner(path)
        if owner is None:
            loose.append(folder)
        else:
            candidate = result.named.get(owner[0])
            if candidate is None:
                candidate = result.named[owner[0]] = Candidate(owner[0], position=owner[1])
            candidate.folders.append(folder)
    for path in [path for path, candidate in result.named.items() if not _is_checkpoint(candidate)]:
        result.bare[path] = result.named.pop(path)
    # A run's folder can be called `7`, and hold a config beside its checkpoints: it is none itself.
    if (len(result.named) > 1 or holding) and "" in result.named and not result.named[""].weights():
        result.bare[""] = result.named.pop("")
    _sort_loose(loose, result, {*holding, *folders_above(result.named)})
    return result


def folders_above(paths: Iterable[str]) -> set[str]:
    """Every folder above one of `paths`; the root is the empty one."""
    found: set[str] = set()
    for path in paths:
        rest = path
        while rest:
            rest = rest.rpartition("/")[0]
            if rest in found:
                break
            found.add(rest)
    return found


def branch_of(path: str, reading: Reading) -> str:
    """The branch: the folder above a checkpoint's folder, then the stage that its name tells; `main` without either."""
    above = [part for part in path.split("/")[:-1] if part not in _NO_BRANCH]
    parts = [*above[-1:], *([reading.branch] if reading.branch else [])]
    return "-".join(parts) or MAIN


def _by_folder(objects: Iterable[StoredObject]) -> dict[str, dict[str, StoredObject]]:
    folders: dict[str, dict[str, StoredObject]] = {}
    last: str | None = None
    files: dict[str, StoredObject] = {}
    for item in objects:
        path, _, name = item.name.rpartition("/")
        if path != last:
            files = folders.setdefault(path, {})
            last = path
        files[name] = item
    return folders


def _is_safe(path: str) -> bool:
    """Whether a folder's path may be joined to a local one and printed: plain parts, no control characters."""
    if not path:
        return True
    return path.isprintable() and all(part not in ("", ".", "..") for part in path.split("/"))


def _is_checkpoint(candidate: Candidate) -> bool:
    """Weights in it, or files that say that weights are coming; else it is a folder of something else."""
    return any(folder.format is not Format.NONE or has_traces(folder.files) for folder in candidate.folders)


class Names:
    """Finds the checkpoint's folder that a folder belongs to, by names. Remembers what each name reads as.

    `uri` is that of the folder that is listed: its own name may be a checkpoint's.
    """

    def __init__(self, uri: str, positions: Mapping[str, Position]) -> None:
        self.root_name = uri.rstrip("/").rpartition("/")[2]
        self.positions = positions
        self.readings: dict[str, Reading | None] = {}

    def owner(self, path: str) -> tuple[str, Position | Reading] | None:
        """The path of the checkpoint's folder that `path` is or lies in, and what its name says."""
        parts = path.split("/") if path else []
        if self.positions and (stated := self._stated(parts)):
            return stated
        place = self._deepest(parts)
        if place is not None:
            reading = self._read(parts[place])
            return ("/".join(parts[: place + 1]), reading) if reading else None
        reading = self._read(self.root_name)
        return ("", reading) if reading else None

    def first(self, path: str) -> str | None:
        """The first folder on the way to `path` whose name tells a position; None where none does.

        All that lies below it belongs to checkpoints that are it or lie below it, whatever else is in the listing.
        """
        if self.root_name in self.positions:
            return None
        parts = path.split("/")
        for end, name in enumerate(parts, 1):
            above = "/".join(parts[:end])
            if self._read(name) is not None or name in self.positions or above in self.positions:
                return above
        return None

    def _stated(self, parts: list[str]) -> tuple[str, Position] | None:
        for end in range(len(parts), 0, -1):
            path = "/".join(parts[:end])
            position = self.positions.get(path) or self.positions.get(parts[end - 1])
            if position is not None:
                return path, position
        position = self.positions.get(self.root_name)
        return ("", position) if position is not None else None

    def _deepest(self, parts: list[str]) -> int | None:
        """The place of the part that names the checkpoint. A bare number counts only where no other part does: inside
        a checkpoint it is a rank or a shard. DeepSpeed's `global_step1000` in `checkpoint-1000` is part of that."""
        bare = None
        for place in range(len(parts) - 1, -1, -1):
            reading = self._read(parts[place])
            if reading is None:
                continue
            if parts[place].isdecimal():
                # Below `model` it is a layer: nanotron's `1000/model/model/decoder/0`.
                bare = place if bare is None or "model" in parts[place:bare] else bare
                continue
            if place and (above := self._read(parts[place - 1])) is not None and not parts[place - 1].isdecimal():
                inner = parts[place].startswith("global_step") or above.step == reading.step
                return place - 1 if inner else place
            return place
        return bare

    def _read(self, name: str) -> Reading | None:
        if name not in self.readings:
            self.readings[name] = read_name(name)
        return self.readings[name]


def _sort_loose(loose: list[Folder], result: Sorted, holding: set[str]) -> None:
    """Folders with weights whose path tells no position become candidates; what lies below them is part of them."""
    unnamed = result.unnamed
    for folder in loose:
        if folder.format is not Format.NONE:
            path = _root_of(folder)
            unnamed.setdefault(path, Candidate(path))
        else:
            result.loose.append(folder.path)
    # A folder may hold a final model beside other checkpoints: only what lies directly in it is the model's then.
    holding = holding | folders_above(unnamed)
    for folder in loose:
        path = folder.path
        while path and path not in unnamed:
            path = path.rpartition("/")[0]
        if path in unnamed and (path == folder.path or folder.format is not Format.NONE or path not in holding):
            unnamed[path].folders.append(folder)


def _root_of(folder: Folder) -> str:
    """The checkpoint's folder of weights that lie one below it by their format's custom."""
    above, _, name = folder.path.rpartition("/")
    is_part = folder.format is Format.MEGATRON and name.startswith("mp_rank_")
    return above if is_part or (folder.format is Format.TORCH_DCP and name == "model_and_optim") else folder.path


def is_too_long(candidate: Candidate) -> bool:
    """Whether a part of the path, or the branch made of it, is longer than names may be."""
    names = candidate.path.split("/")
    if isinstance(candidate.position, Reading):
        names.append(branch_of(candidate.path, candidate.position))
    return any(len(name) > LONGEST_NAME for name in names)
