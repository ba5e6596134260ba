"""Reads the world as a plan needs it into plain values: checkpoints, suite, data sets and results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from fineline.checkpoints import FindOptions, Found, Pin, Position, find, select, tokenizer_files
from fineline.datasets import Mirror, read_mirror
from fineline.errors import SpecError
from fineline.plan.positions import POSITIONS_KEY, read_positions
from fineline.resources import CheckpointEval
from fineline.resources.checkpoint_eval import CheckpointEvalSpec, CheckpointFiles, Checkpoints, Run, SuiteSpec
from fineline.resources.checkpoint_source import Complete
from fineline.results import UnitAddress, UnitState, run_states
from fineline.store import Store, StoredObject, StoreTable, open_store, split_uri
from fineline.suites import CustomSuite, Suite, load, parse


@dataclass(frozen=True)
class Elsewhere:
    """Files that checkpoints don't carry themselves: the folder's URI and the objects in it."""

    folder_uri: str
    files: tuple[StoredObject, ...]


@dataclass(frozen=True)
class Observed:
    """The world as a plan needs it."""

    found: Found
    suite: Suite | CustomSuite
    mirror: Mirror | None
    states: Mapping[UnitAddress, UnitState]
    tokenizer: Elsewhere | None = None
    config: Elsewhere | None = None


def observe(
    evaluation: CheckpointEval,
    results_uri: str,
    suite_files: Mapping[str, str] | None = None,
    *,
    positions_file: str | None = None,
    datasets_uri: str | None = None,
    stores: StoreTable | None = None,
    now: datetime | None = None,
) -> Observed:
    """Lists the checkpoints and the run's results, and reads the small files that keys depend on. The arguments are
    those of `make_plan`."""
    spec = evaluation.spec
    checkpoints = spec.checkpoints
    suite = suite_of(spec.suite, suite_files)
    options = find_options(spec.run, checkpoints, positions_file)
    store = open_store(checkpoints.uri, requester_pays=checkpoints.requester_pays, stores=stores)
    datasets = spec.suite.datasets or datasets_uri
    return Observed(
        found=_found(store, checkpoints, options, now),
        suite=suite,
        mirror=read_mirror(open_store(datasets, stores=stores)) if datasets is not None else None,
        states=run_states(open_store(results_uri, stores=stores), spec.run.name),
        tokenizer=tokenizer_elsewhere(checkpoints, stores),
        config=config_elsewhere(checkpoints, stores),
    )


def pins_of(checkpoints: Checkpoints) -> tuple[Pin, ...] | None:
    """What a resource pins; None where it selects."""
    if checkpoints.pinned is None:
        return None
    return tuple(Pin(pin.branch, pin.step, pin.digest) for pin in checkpoints.pinned)


def _found(store: Store, checkpoints: Checkpoints, options: FindOptions, now: datetime | None) -> Found:
    """The checkpoints below the URI. Of pinned ones that tell their folders these are listed alone.

    A folder says where to look, not what is meant: where one of them is not there as it was pinned, all is listed, and
    what comes of it is as if no folder had been told.
    """
    pins = pins_of(checkpoints)
    folders = [pin.folder for pin in checkpoints.pinned or () if pin.folder is not None]
    if pins is not None and len(folders) == len(pins):
        found = find(store, options, folders=folders, now=now)
        if not select(found.checkpoints, pinned=pins).missing:
            return found
    return find(store, options, now=now)


def uris_of(spec: CheckpointEvalSpec, results_uri: str, datasets_uri: str | None = None) -> tuple[tuple[str, str], ...]:
    """Every URI that an evaluation touches, with the path of the field that names it. `results_uri` and `datasets_uri`
    are those of `make_plan`."""
    named = {
        "spec.checkpoints.uri": spec.checkpoints.uri,
        "spec.checkpoints.tokenizer": spec.checkpoints.tokenizer,
        "spec.checkpoints.config": spec.checkpoints.config,
        "spec.suite.datasets": spec.suite.datasets or datasets_uri,
        "spec.results": results_uri,
    }
    return tuple((field, uri) for field, uri in named.items() if uri is not None)


def suite_of(spec: SuiteSpec, suite_files: Mapping[str, str] | None) -> Suite | CustomSuite:
    """The suite that a resource names. Without one, its `tasks` are lm-eval's own."""
    if spec.config_map is not None:
        if suite_files is None:
            raise SpecError(f"spec.suite.configMap: there is no ConfigMap, nor a folder, called {spec.config_map}")
        return _parsed(spec.config_map, tuple(sorted(suite_files.items())))
    return load(spec.name or "fine-line")


@lru_cache(maxsize=8)
def _parsed(name: str, files: tuple[tuple[str, str], ...]) -> CustomSuite:
    """Evaluations that share a ConfigMap are planned one after the other, and YAML is slow to read."""
    return parse(dict(files), name)


def find_options(
    run: Run, checkpoints: CheckpointFiles, positions_file: str | None = None, complete: Complete | None = None
) -> FindOptions:
    """How a resource says that checkpoints are read; `complete` is a CheckpointSource's.

    `positions_file` is the text of the ConfigMap of `positionsFrom`: `SpecError` where it is wrong, or not given.
    """
    return FindOptions(
        positions=_positions(checkpoints, positions_file),
        tokens_per_step=run.tokens_per_step,
        marker=complete.marker if complete is not None else None,
        tokenizer_needed=complete is not None and checkpoints.tokenizer is None,
        settle_seconds=complete.settle_seconds if complete is not None else 0,
        allow_pickle=checkpoints.allow_pickle,
        config_elsewhere=checkpoints.config is not None,
    )


def _positions(checkpoints: CheckpointFiles, positions_file: str | None) -> dict[str, Position]:
    if checkpoints.positions_from is None:
        return {name: Position(at.branch, at.step, at.tokens) for name, at in checkpoints.positions.items()}
    if positions_file is None:
        raise SpecError("spec.checkpoints.positionsFrom: needs a cluster; give spec.checkpoints.positions instead")
    config_map = checkpoints.positions_from.config_map
    return read_positions(
        positions_file, f"spec.checkpoints.positionsFrom: {POSITIONS_KEY} of the ConfigMap {config_map}"
    )


def tokenizer_elsewhere(checkpoints: CheckpointFiles, stores: StoreTable | None) -> Elsewhere | None:
    """The tokenizer that a resource names; None where each checkpoint has its own."""
    if checkpoints.tokenizer is None:
        return None
    store = open_store(checkpoints.tokenizer, requester_pays=checkpoints.requester_pays, stores=stores)
    files = tokenizer_files(store.list_level().objects)
    if not files:
        message = f"spec.checkpoints.tokenizer: {store.uri} holds no tokenizer (tokenizer.json, tokenizer.model, …)"
        raise SpecError(message)
    return Elsewhere(store.uri, files)


def config_elsewhere(checkpoints: CheckpointFiles, stores: StoreTable | None) -> Elsewhere | None:
    """The config.json that a resource names; None where each checkpoint has its own."""
    if checkpoints.config is None:
        return None
    folder_uri, name = split_uri(checkpoints.config)
    store = open_store(folder_uri, requester_pays=checkpoints.requester_pays, stores=stores)
    item = store.head(name or "config.json")
    if item is None:
        raise SpecError(f"spec.checkpoints.config: {store.uri}{name or 'config.json'} is not there")
    return Elsewhere(store.uri, (item,))
