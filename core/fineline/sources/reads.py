"""The small files that tell what names don't, each read once for as long as it stays the same."""

from __future__ import annotations

from collections.abc import Mapping

from fineline.checkpoints import Reading
from fineline.checkpoints.completeness import read_index
from fineline.checkpoints.metadata import FILES, read_metadata
from fineline.errors import CheckpointError
from fineline.store.interface import Store, StoredObject

_Key = tuple[StoredObject, ...]


class RememberedReads:
    """Reads by the object that was listed. Of an index only the names of its files are kept, of one that can't be read
    the words."""

    def __init__(self) -> None:
        self._metadata: dict[_Key, Reading | None] = {}
        self._indexes: dict[_Key, dict[str, str] | CheckpointError] = {}
        self._used: set[_Key] = set()

    def metadata(self, store: Store, files: Mapping[str, StoredObject]) -> Reading | None:
        key = tuple(files[name] for name in FILES if name in files)
        if key and key not in self._metadata:
            self._metadata[key] = read_metadata(store, files)
        self._used.add(key)
        return self._metadata.get(key)

    def index(self, store: Store, item: StoredObject) -> dict[str, str]:
        key = (item,)
        if key not in self._indexes:
            try:
                self._indexes[key] = {name: name for name in read_index(store, item).values()}
            except CheckpointError as error:
                self._indexes[key] = error
        self._used.add(key)
        found = self._indexes[key]
        if isinstance(found, CheckpointError):
            raise CheckpointError(str(found), reason=found.reason)
        return found

    def forget_unused(self) -> None:
        """Forgets what was not asked for since the last call: after each look at all of a listing."""
        self._metadata = {key: value for key, value in self._metadata.items() if key in self._used}
        self._indexes = {key: value for key, value in self._indexes.items() if key in self._used}
        self._used = set()
