"""The analysis pod's program: one manifest that others can trust, the same bytes however often it is ended, and last
words that tell a person what to do."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fineline.errors import StoreDenied
from fineline.results import Metrics, UnitAddress, arrow, read_metrics
from fineline.results.analyses import (
    AnalysisManifest,
    commits_digest,
    listed_commits,
    read_latest,
    settings_digest,
    severity,
)
from fineline.results.layout import COMPACTED
from fineline.results.schemas import MANIFEST_KEY, METRICS
from fineline.store import Store
from fineline_analysis.act import analyse_store
from fineline_analysis.analyse import Analysis, analyse
from fineline_analysis.main import main
from fineline_analysis.settings import Settings
from fineline_analysis.tables import decode, encode_all
from support.publishing import MANIFEST
from support.trajectories import Law, simulated
from support.versitygw import S3Server
from support.watched_store import MemoryStore, WatchedStore

RISES = {"reasoning": {"piqa": Law(0.8, 0.15, 0.4)}, "language": {"lambada": Law(0.7, 0.2, 0.5)}}
FALLS = {"reasoning": {"piqa": Law(0.4, -0.15, 0.4)}, "language": {"lambada": Law(0.4, -0.2, 0.5)}}
FAMILIES = {"run-a": "small", "run-b": "large"}


def fill(store: Store, checkpoints: int = 5) -> None:
    """Results of two runs: one rises, one falls."""
    frame = pl.concat([simulated(RISES, points=checkpoints), simulated(FALLS, run="run-b", points=checkpoints, seed=1)])
    for (run, step, task), unit in frame.group_by("run", "step", "task"):
        manifest = {**json.loads(MANIFEST.to_json()), "labels": {"family": FAMILIES[str(run)]}}
        table = unit.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(METRICS)
        data = arrow.to_file(table, {MANIFEST_KEY: json.dumps(manifest).encode()})
        store.put(UnitAddress(str(run), "main", int(str(step)), str(task), "0" * 16).metrics, data)


def a_unit(store: Store, run: str, number: int = 0) -> str:
    return list(listed_commits(store, [run]))[number].name


def run_program(store: Store, *more: str) -> int:
    return main(["--results", store.uri, "--output", store.uri, "--name", "evals.weekly", *more])


def contents(store: Store, name: str = "evals.weekly") -> dict[str, bytes]:
    """All that lies in the folders of digests, and the pointer but for its time."""
    found = {item.name: store.get(item.name) for item in store.list(f"analyses/{name}/")}
    pointer = json.loads(found.pop(f"analyses/{name}/latest.json"))
    return found | {"latest": json.dumps({**pointer, "written_at": None}).encode()}


def latest(store: Store, name: str = "evals.weekly") -> AnalysisManifest:
    found = read_latest(store, name)
    assert found is not None
    return found


def test_the_manifest_says_what_the_analysis_is_made_from_and_a_second_one_makes_the_same_bytes(store: Store) -> None:
    fill(store)
    before = datetime.now(UTC)
    assert run_program(store, "--horizon", "run-a=1e12") == 0
    found = latest(store)
    commits = list(listed_commits(store))
    assert (found.commits, found.commits_digest) == (20, commits_digest(commits))
    assert found.settings_digest == settings_digest((), (), [("run-a", 10**12)], ())
    assert found.listed_at == max(commit.modified for commit in commits) <= before
    assert [(one.run, one.state) for one in found.verdicts] == sorted(
        ((one.run, one.state) for one in found.verdicts), key=lambda one: severity(one[1])
    )
    assert found.verdicts[0].run == "run-b"
    assert all(one.message for one in found.verdicts)
    assert (found.runs, found.left_out) == (2, ())
    folder = f"analyses/evals.weekly/{found.digest}/"
    assert {*found.files, "manifest.json"} == {item.name.removeprefix(folder) for item in store.list(folder)}
    assert found.settings["horizons"] == {"run-a": 1e12}
    assert json.loads(store.get("analyses/evals.weekly/latest.json"))["report"] == f"{folder}report.html"
    first = contents(store)
    assert len(list(store.list(COMPACTED))) == 2
    assert run_program(store, "--horizon", "run-a=1e12") == 0
    assert contents(store) == first, "made from compacted metrics, and other bytes"


def test_other_results_settings_or_another_request_go_to_another_folder(
    no_report: None, directory_store: Store
) -> None:
    def digest(**asked: Any) -> str:
        return analyse_store(directory_store.uri, directory_store.uri, name="a", **{"settings": QUICK, **asked}).digest

    fill(directory_store)
    found = {digest(), digest(references=["s3://x/"]), digest(runs=["run-a"]), digest(settings=Settings(draws=30))}
    assert digest() in found
    directory_store.delete(a_unit(directory_store, "run-a"))
    assert len({*found, digest()}) == 5


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page takes a second to draw: what is tested without one is where things go, and when."""
    monkeypatch.setattr("fineline_analysis.act.render", lambda analysis: f"report {analysis.digest}")


def filled() -> MemoryStore:
    store = MemoryStore()
    fill(store)
    return store


QUICK = Settings(draws=20, backtest_draws=4)
NEWER = UnitAddress("run-a", "main", 10**9, "piqa", "0" * 16).metrics


def tables(store: Store) -> dict[str, bytes]:
    return encode_all(analyse(read_metrics(store).frame, QUICK).tables)


def test_the_tables_are_the_same_to_the_byte_however_the_metrics_were_compacted() -> None:
    whole, store = filled(), MemoryStore()
    expected = tables(whole)
    for number, (name, data) in enumerate(whole.objects.items()):
        store.put(name, data)
        if number in (2, 3, 9, 14):
            read_metrics(store, compact=True)
    assert tables(store) == expected
    assert len(list(store.list(COMPACTED))) > 2


class KilledError(BaseException):
    """The process ends here."""


def ending(at: int) -> Callable[[str, str], None]:
    """Ends the process ahead of one of its writes, counted from 0."""
    writes = count()

    def before(method: str, name: str) -> None:
        if method in ("put", "put_if_absent", "put_if_unchanged", "delete") and next(writes) == at:
            raise KilledError

    return before


def test_ended_ahead_of_any_write_the_next_one_makes_the_same_bytes(
    no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def analyse_it(store: Store) -> None:
        monkeypatch.setattr("fineline_analysis.act.open_store", lambda uri: store)
        analyse_store("s3://any/", "s3://any/", name="evals.weekly", settings=QUICK, compact=True)

    whole = filled()
    before = len(whole.objects)
    analyse_it(whole)
    writes = len(whole.objects) - before
    assert writes > 12
    for ended_at in range(writes):
        store = filled()
        with pytest.raises(KilledError):
            analyse_it(WatchedStore(store, ending(ended_at)))
        assert read_latest(store, "evals.weekly") is None
        analyse_it(store)
        assert store.objects.keys() == whole.objects.keys()
        assert contents(store) == contents(whole)


def test_families_are_chosen_and_the_digest_is_of_all_that_was_listed(
    directory_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(directory_store)
    assert run_program(directory_store, "--family", "large", "--family", "huge") == 0
    found = latest(directory_store)
    assert [one.run for one in found.verdicts] == ["run-b"]
    assert found.commits == 10
    assert found.commits_digest == commits_digest(listed_commits(directory_store))
    assert found.settings_digest == settings_digest((), ("large", "huge"), (), ())
    assert "there are no results of the family huge" in capsys.readouterr().out


def test_what_can_not_be_read_is_named_in_the_manifest_and_left_out(directory_store: Store) -> None:
    store = directory_store
    fill(store)
    torn, foreign = a_unit(store, "run-a"), a_unit(store, "run-b", 1)
    store.put(torn, store.get(torn)[:200])
    store.put(foreign, b"<html>")
    assert run_program(store) == 0
    found = latest(store)
    assert [text.partition(": ")[0] for text in found.left_out] == [store.uri + torn, store.uri + foreign]
    assert (found.commits, found.left_out_count) == (18, 2), "it is not made from what was left out"
    assert found.commits_digest == commits_digest(listed_commits(store))


def test_a_manifest_can_be_read_however_much_was_left_out_and_however_many_runs_there_are(
    no_report: None, directory_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(directory_store)
    notices = tuple(f"s3://a-bucket/{'x' * 2000}{number}: torn; left out" for number in range(20_000))

    def read(*arguments: Any, **options: Any) -> Metrics:
        return dataclasses.replace(read_metrics(*arguments, **options), notices=notices)

    def many(*arguments: Any, **options: Any) -> Analysis:
        found = analyse(*arguments, **options)
        verdict = dataclasses.replace(found.verdicts[0], series="\x00" * 5000, facts=("\x00" * 5000,) * 3)
        return dataclasses.replace(found, verdicts=(verdict,) * 10_000)

    monkeypatch.setattr("fineline_analysis.act.read_metrics", read)
    monkeypatch.setattr("fineline_analysis.act.analyse", many)
    analyse_store(directory_store.uri, directory_store.uri, name="a", settings=QUICK)
    found = latest(directory_store, "a")
    assert (len(found.left_out), found.left_out_count, len(found.verdicts)) == (100, 20_000, 2000)
    table = decode(directory_store.get(f"analyses/a/{found.digest}/notices.arrow"), "notices")
    assert table.filter(pl.col("code") == "Reading")["message"].to_list() == list(notices)


def analyse_newer(store: Store) -> None:
    """Another program publishes what it makes of one result more."""
    store.put(NEWER, store.get(a_unit(store, "run-a")))
    analyse_store(store.uri, store.uri, name="a", settings=QUICK)


def test_a_program_that_is_slower_than_one_that_saw_newer_results_leaves_that_one_s(
    no_report: None, directory_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(directory_store)

    def before(method: str, name: str) -> None:
        if method == "put" and name.endswith("/manifest.json"):
            monkeypatch.setattr("fineline_analysis.act.open_store", lambda uri: directory_store)
            analyse_newer(directory_store)

    monkeypatch.setattr("fineline_analysis.act.open_store", lambda uri: WatchedStore(directory_store, before))
    analyse_store(directory_store.uri, directory_store.uri, name="a", settings=QUICK)
    assert latest(directory_store, "a").commits_digest == commits_digest(listed_commits(directory_store))
    assert "an analysis of newer results was published meanwhile" in caplog.text


@pytest.mark.parametrize("first", [True, False])
def test_one_that_saw_newer_results_is_not_overwritten_at_the_last_moment(
    no_report: None,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    first: bool,  # noqa: FBT001 - a case
) -> None:
    """The other program points at its own after this one looked, and before it points at its own."""
    fill(store)
    if not first:
        analyse_store(store.uri, store.uri, name="a", settings=QUICK)

    def before(method: str, name: str) -> None:
        if method.startswith("put") and name.endswith("/latest.json") and store.head(NEWER) is None:
            monkeypatch.setattr("fineline_analysis.act.open_store", lambda uri: store)
            time.sleep(1.1)  # by a clock of whole seconds newer, as a store's may be
            analyse_newer(store)

    monkeypatch.setattr("fineline_analysis.act.open_store", lambda uri: WatchedStore(store, before))
    analyse_store(store.uri, store.uri, name="a", settings=QUICK)
    assert latest(store, "a").commits_digest == commits_digest(listed_commits(store))
    assert "an analysis of newer results was published meanwhile" in caplog.text


def test_results_that_go_again_are_analysed_though_the_analysis_before_saw_newer_ones(
    no_report: None, directory_store: Store
) -> None:
    fill(directory_store)
    directory_store.put(NEWER, b"ARROW1")
    analyse_store(directory_store.uri, directory_store.uri, name="a", settings=QUICK)
    directory_store.delete(NEWER)
    analyse_store(directory_store.uri, directory_store.uri, name="a", settings=QUICK)
    assert latest(directory_store, "a").commits_digest == commits_digest(listed_commits(directory_store))


def test_a_run_that_has_no_results_yet_does_not_stop_the_others(
    directory_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(directory_store)
    assert run_program(directory_store, "--run", "run-a", "--run", "not-yet") == 0
    assert [one.run for one in latest(directory_store).verdicts] == ["run-a"]
    assert "there are no results of the run not-yet" in capsys.readouterr().out


def test_references_are_recorded_and_it_is_said_that_they_change_nothing(
    directory_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(directory_store)
    assert run_program(directory_store, "--reference", "s3://others/results/") == 0
    assert latest(directory_store).settings_digest == settings_digest((), (), (), ("s3://others/results/",))
    assert "no analysis judges against references yet: s3://others/results/" in capsys.readouterr().out


def test_a_store_that_may_only_be_read_is_analysed_all_the_same(
    directory_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(directory_store)

    def refuse(method: str, name: str) -> None:
        if name.startswith(COMPACTED) and method != "list":
            raise StoreDenied(f"{directory_store.uri}{name}: not allowed")

    monkeypatch.setattr("fineline_analysis.act.open_store", lambda uri: WatchedStore(directory_store, refuse))
    analyse_store(directory_store.uri, directory_store.uri, name="a", compact=True, settings=QUICK)
    assert "metrics could not be compacted" in caplog.text
    assert "not allowed" in caplog.text
    monkeypatch.undo()
    analyse_store(directory_store.uri, directory_store.uri, name="b", settings=QUICK)
    assert [*contents(directory_store, "a").values()][:-1] == [*contents(directory_store, "b").values()][:-1]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--run", "a", "--family", "b"], 2, "argument --family: not allowed with argument --run; see --help"),
        (["--horizon", "a"], 2, "--horizon: 'a' is not RUN=TOKENS"),
        (["--frobnicate"], 2, "unrecognized arguments: --frobnicate; see --help"),
        (["--output", "ftp://x/"], 2, "ftp://x/"),
    ],
)
def test_what_can_not_be_meant_is_one_line_on_stderr_and_a_code(
    directory_store: Store, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], code: int, says: str
) -> None:
    fill(directory_store, checkpoints=1)
    assert run_program(directory_store, *arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fineline-analysis: ")
    assert says in line


WITHOUT_RESULTS = [["--run", "nobody"], ["--family", "nobody"]]


@pytest.mark.parametrize("which", WITHOUT_RESULTS)
def test_runs_that_have_no_results_yet_are_no_error_for_whoever_follows_a_name(
    directory_store: Store, capsys: pytest.CaptureFixture[str], which: Sequence[str]
) -> None:
    fill(directory_store, checkpoints=1)
    assert run_program(directory_store, *which) == 0
    found = latest(directory_store)
    assert (found.runs, found.commits, found.verdicts, found.left_out) == (0, 0, (), ())
    everybodys = listed_commits(directory_store, ["nobody"] if "--run" in which else [])
    assert found.commits_digest == commits_digest(everybodys)
    told = capsys.readouterr()
    assert "there are no results of the " in told.out
    assert "its runs have no results that could be judged" in told.err
    assert b"</html>" in directory_store.get(f"analyses/evals.weekly/{found.digest}/report.html")
    first = contents(directory_store)
    assert run_program(directory_store, *which) == 0
    assert contents(directory_store) == first


@pytest.mark.parametrize("which", WITHOUT_RESULTS)
def test_runs_that_have_no_results_are_an_error_for_whoever_asks_once(
    directory_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], which: Sequence[str]
) -> None:
    fill(directory_store, checkpoints=1)
    assert main(["--results", directory_store.uri, "--output", str(tmp_path / "out"), *which]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fineline-analysis: {which[0]}: there are no results of nobody at ")


def test_a_family_waits_though_a_run_that_may_be_of_it_can_not_be_read(directory_store: Store) -> None:
    fill(directory_store, checkpoints=1)
    torn = UnitAddress("run-c", "main", 1, "piqa", "0" * 16).metrics
    directory_store.put(torn, b"ARROW1")
    assert run_program(directory_store, "--family", "nobody") == 0
    found = latest(directory_store)
    assert (found.runs, found.commits, found.left_out_count) == (0, 0, 1)
    assert torn in found.left_out[0]


def test_results_of_which_none_can_be_read_fail_by_name(
    directory_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(directory_store, checkpoints=1)
    for commit in list(listed_commits(directory_store)):
        directory_store.put(commit.name, b"ARROW1")
    last_words = tmp_path / "termination-log"
    assert run_program(directory_store, "--termination-message", str(last_words)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"fineline-analysis: {last_words.read_text()}"
    assert "no result at" in line
    assert "(and 3 more)" in line
    assert read_latest(directory_store, "evals.weekly") is None


def test_the_last_words_of_a_good_end_say_how_the_runs_stand(
    directory_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(directory_store)
    assert run_program(directory_store, "--termination-message", str(tmp_path / "last")) == 0
    text = (tmp_path / "last").read_text()
    assert text.startswith("done: 1 ")
    assert text.endswith(f"{latest(directory_store).digest}/report.html")
    assert capsys.readouterr().err.splitlines()[-1] == f"fineline-analysis: {text}"


def test_what_was_not_foreseen_has_a_last_line_too(
    directory_store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("fineline_analysis.main.analyse_store", fail)
    assert run_program(directory_store) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "fineline-analysis: RuntimeError: two lines"


def test_sigterm_ends_it_at_once_and_the_last_words_say_so(directory_store: Store, tmp_path: Path) -> None:
    fill(directory_store)
    uri, last_words = directory_store.uri, tmp_path / "last"
    program = [sys.executable, "-m", "fineline_analysis.main", "--results", uri, "--output", uri, "--name", "a"]
    process = subprocess.Popen([*program, "--termination-message", str(last_words)], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not list(directory_store.list(COMPACTED)):
            assert time.monotonic() < deadline, "it has not begun"
            time.sleep(0.01)
        process.terminate()
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert errors.splitlines()[-1] == f"fineline-analysis: {last_words.read_text()}"
    assert last_words.read_text().startswith("stopped before its end")
    assert read_latest(directory_store, "a") is None


def test_a_store_is_reached_as_the_table_of_stores_says(
    versitygw: S3Server, s3_prefix: str, s3_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(s3_store)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    table = [{"prefix": s3_prefix, "endpoint": versitygw.endpoint, "region": "us-east-1"}]
    monkeypatch.setenv("FINELINE_STORES", json.dumps(table))
    assert run_program(s3_store) == 0
    assert latest(s3_store).commits == 20
