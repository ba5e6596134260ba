"""A unit's result exists once: samples first, then one commit, whoever races."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pyarrow as pa
import pytest

from fineline.errors import ResultError, StoreError
from fineline.results import (
    UnitAddress,
    check_writable,
    publish_documents,
    read_manifest,
    read_metrics,
    read_samples,
    run_states,
)
from fineline.results.arrow import content_digest
from fineline.store import Store, open_store
from support.publishing import ADDRESS, commit, race, samples_of


def test_a_published_unit_is_read_back(store: Store) -> None:
    assert commit(store)
    assert run_states(store, "tiny")[ADDRESS].committed
    found = read_metrics(store)
    assert found.notices == ()
    assert found.frame.select("run", "step", "task", "value").rows() == [("tiny", 1000, "piqa", 0.5)]
    ((address, samples),), notices = read_samples(store, [ADDRESS])
    assert (address, notices) == (ADDRESS, ())
    assert samples.column("prediction").to_pylist() == ["1"]
    manifest = read_manifest(store, ADDRESS)
    assert manifest.samples_digest == content_digest(samples_of("1"))
    assert manifest.samples_rows == 1


def test_the_second_to_publish_takes_the_winner_s_as_done(store: Store) -> None:
    assert commit(store, value=0.25)
    assert not commit(store, value=0.75)
    assert read_metrics(store).frame["value"].to_list() == [0.25]


def test_samples_left_without_a_commit_are_used_when_they_are_the_same(store: Store) -> None:
    with_commit = open_store(store.uri + "other/")
    commit(with_commit)
    store.put(ADDRESS.samples, with_commit.get(ADDRESS.samples))
    assert commit(store)
    assert read_manifest(store, ADDRESS).samples_file == "samples.arrow"


@pytest.mark.parametrize("orphan", [b"half a fi", b""])
def test_samples_left_by_another_never_pair_with_our_commit(store: Store, orphan: bytes) -> None:
    store.put(ADDRESS.samples, orphan)
    assert commit(store, prediction="ours")
    ((_, samples),), notices = read_samples(store, [ADDRESS])
    assert samples.column("prediction").to_pylist() == ["ours"]
    assert notices == ()


def test_two_processes_race_for_a_unit_and_one_commits_every_time(store: Store) -> None:
    rounds = 50
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=race, args=(store.uri, rounds, prediction, barrier, won)) for prediction in ("a", "b")
    ]
    for process in processes:
        process.start()
    winners = dict(won.get(timeout=120) for _ in range(rounds))
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert won.empty()
    assert sorted(winners) == list(range(rounds))
    assert read_metrics(store).frame.height == rounds
    for address, samples in read_samples(store, sorted(run_states(store, "tiny")))[0]:
        assert samples.column("prediction").to_pylist() == [winners[address.step]]


def test_many_threads_publish_many_units(store: Store) -> None:
    addresses = [UnitAddress("tiny", "main", step, "piqa", "0123456789abcdef") for step in range(40)]
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda address: commit(store, address), addresses))
    assert read_metrics(store).frame["step"].to_list() == list(range(40))


def test_documents_are_written_once_for_all_checkpoints(store: Store) -> None:
    documents = pa.table({"doc_id": [0], "document": ["{}"]})
    assert publish_documents(store, "piqa", documents) == publish_documents(store, "piqa", documents)
    assert len(list(store.list("docs/"))) == 1


def test_a_results_uri_that_can_not_be_written_to_is_told_before_any_work(s3_environment: dict[str, str]) -> None:
    with pytest.raises(StoreError, match="results can't be written: "):
        check_writable(open_store("s3://no-such-bucket/results/"))


def test_the_probe_of_writing_leaves_nothing(store: Store) -> None:
    check_writable(store)
    assert list(store.list()) == []


@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0 cut", b"<html>"])
def test_a_truncated_or_foreign_file_is_named_and_the_rest_is_read(store: Store, content: bytes) -> None:
    commit(store)
    broken = UnitAddress("tiny", "main", 2000, "piqa", "0123456789abcdef")
    store.put(broken.metrics, content)
    store.put("units/run=tiny/notes.txt", b"foreign")
    found = read_metrics(store)
    assert found.frame.height == 1
    assert len(found.notices) == 1
    assert broken.metrics in found.notices[0]


def test_a_newer_schema_version_is_an_error_that_names_both(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fineline.results.arrow.SCHEMA_VERSION", 7)
    commit(store)
    monkeypatch.undo()
    (notice,) = read_metrics(store).notices
    assert "schema version 7" in notice
    assert "reads up to 1" in notice
    with pytest.raises(ResultError, match="schema version 7"):
        read_manifest(store, ADDRESS)


def test_metrics_can_be_read_without_fineline(directory_store: Store) -> None:
    commit(directory_store)
    folder = directory_store.uri.removeprefix("file://")
    frame = pl.scan_ipc(f"{folder}units/**/metrics.arrow", hive_partitioning=False).collect()
    assert frame["value"].to_list() == [0.5]
