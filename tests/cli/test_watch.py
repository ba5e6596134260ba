"""`fineline watch`: uploads to a real directory store are seen, told, evaluated once; trouble is told and passes."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from fineline.results import UnitAddress
from fineline.store import open_store
from fineline_cli.evaluations import Evaluation, read_sources
from fineline_cli.running import RunOutcome, plan_evaluation, run_evaluation
from fineline_cli.watch_command import Told, Watch
from fineline_cli.watching import LONGEST_PAUSE_SECONDS, PAUSE_SECONDS, Watched
from support.evaluations import evaluation_values, listed_checkpoint
from support.models import make_checkpoint
from support.publishing import commit
from support.resources import resource_values
from support.slices import CONFIG_MAP, ENGINE, Site, make_mirror, suite_files
from support.versitygw import S3Server

Fineline = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; uploads go to `checkpoints/`, and what is complete is so at once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


def written(folder: Path, **spec: Any) -> Path:
    given = {"uri": "file:checkpoints/", "complete": {"settleSeconds": 0}} | spec
    values = resource_values("CheckpointSource", **given)
    path = folder / "source.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def watched(path: Path) -> Watched:
    (source,) = read_sources(path, "results")
    return Watched(source)


def evaluated(watch: Watched) -> None:
    """Publishes a result of every unit of what lies there, as an evaluation would."""
    recipe = watch.recipe()
    results = open_store(watch.source.results_uri)
    for item in watch.look().checkpoints:
        at = item.position
        for unit in recipe.addresses(at.branch, at.step, item.digest, item.tokenizer_digest):
            commit(results, UnitAddress(unit.run, unit.branch, unit.step, unit.task, unit.key))


# One pass, in this process: nothing of it needs an engine


def test_what_is_not_complete_is_told_with_what_is_missing(folder: Path, fineline: Fineline) -> None:
    listed_checkpoint(folder / "checkpoints" / "step1")
    (folder / "checkpoints" / "step1" / "config.json").unlink()
    listed_checkpoint(folder / "checkpoints" / "step2", tokenizer=False)
    said = fineline("watch", written(folder), "--once", "--results", "results")
    assert said.code == 0, said.err
    assert "tiny: not evaluated: ConfigMissing: step1: config.json is missing" in said.err
    assert "tiny: not evaluated: TokenizerMissing: step2: carries no tokenizer" in said.err
    assert "tiny: 2 found, 0 complete, 0 evaluated, 0 failed, 0 waiting" in said.err
    assert f"file://{folder}/checkpoints/ is listed every 60 s; results go to file://{folder}/results/" in said.err
    assert said.out == ""


def test_what_has_its_results_is_not_evaluated_again(folder: Path, fineline: Fineline) -> None:
    for step in (1, 2):
        listed_checkpoint(folder / "checkpoints" / f"step{step}")
    path = written(folder)
    evaluated(watched(path))
    said = fineline("watch", path, "--once", "--results", "results")
    assert said.code == 0
    assert said.err.splitlines()[1:] == ["tiny: 2 found, 2 complete, 2 evaluated, 0 failed, 0 waiting"]


def test_what_can_never_be_evaluated_is_a_failure(folder: Path, fineline: Fineline) -> None:
    (folder / "checkpoints" / "step-5").mkdir()
    (folder / "checkpoints" / "step-5" / ".metadata").write_text("dcp")
    said = fineline("watch", written(folder), "--once", "--results", "results")
    assert said.code == 1
    assert "FormatUnsupported: step-5: a torch distributed checkpoint" in said.err
    assert "1 found, 0 complete, 0 evaluated, 1 failed, 0 waiting" in said.err


def test_a_suspended_source_evaluates_nothing_and_says_so(folder: Path, fineline: Fineline) -> None:
    listed_checkpoint(folder / "checkpoints" / "step1")
    said = fineline("watch", written(folder, suspend=True), "--once", "--results", "results")
    assert said.code == 0
    assert "tiny: spec.suspend is true: nothing is evaluated" in said.err
    assert "1 waiting" in said.err


def test_what_else_the_file_holds_is_left_alone_and_told(folder: Path, fineline: Fineline) -> None:
    path = written(folder)
    path.write_text(path.read_text() + "---\n" + yaml.safe_dump(evaluation_values()))
    said = fineline("watch", path, "--once", "--results", "results")
    assert said.code == 0
    assert "left alone: CheckpointEval tiny; `fineline run` takes it" in said.err


@pytest.mark.parametrize(
    ("command", "spec", "message"),
    [
        ("watch", {}, "source.yaml: spec.template.results: is required here (or give --results)"),
        ("watch", {"pollSeconds": 1}, "source.yaml: spec.pollSeconds: "),
        (
            "watch",
            {"checkpoints__positionsFrom": {"configMap": "p"}},
            "spec.checkpoints.positionsFrom: needs a cluster",
        ),
        (
            "watch",
            {"template__suite": {"configMap": "m"}},
            "spec.template.suite.configMap: no ConfigMap m in this file",
        ),
        ("watch", {"template__suite": {"name": "none-such"}}, "suite.name: no built-in suite 'none-such'"),
        ("run", {}, "source.yaml: holds no CheckpointEval, but a CheckpointSource, which `fineline watch` takes"),
        ("plan", {}, "source.yaml: holds no CheckpointEval, but a CheckpointSource, which `fineline watch` takes"),
    ],
)
def test_a_source_that_can_not_be_meant_is_one_clear_error(
    folder: Path, fineline: Fineline, command: str, spec: dict[str, Any], message: str
) -> None:
    wanted = ["--results", "results"] if "template__suite" in spec else []
    said = fineline(command, written(folder, **spec), *wanted)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1


def test_an_evaluation_is_not_watched(folder: Path, fineline: Fineline) -> None:
    path = folder / "eval.yaml"
    path.write_text(yaml.safe_dump(evaluation_values()))
    said = fineline("watch", path)
    assert said.code == 2
    assert "holds no CheckpointSource, but a CheckpointEval, which `fineline run` takes" in said.err


def test_a_store_that_fails_in_one_pass_is_told_and_other_sources_are_done_all_the_same(
    folder: Path, fineline: Fineline, s3_environment: dict[str, str]
) -> None:
    listed_checkpoint(folder / "checkpoints" / "step1")
    path = written(folder)
    evaluated(watched(path))
    missing = resource_values("CheckpointSource", uri="s3://no-such-bucket-x/") | {"metadata": {"name": "missing"}}
    path.write_text(f"{yaml.safe_dump(missing)}---\n{path.read_text()}")
    said = fineline("watch", path, "--once", "--results", "results")
    assert said.code == 1
    told = said.err.splitlines()
    assert told[-2].startswith("missing: StoreNotFound: s3://no-such-bucket-x/")
    assert told[-1] == "tiny: 1 found, 1 complete, 1 evaluated, 0 failed, 0 waiting"
    assert "Traceback" not in said.err


# Look by look: what a loop without end does


def test_trouble_with_the_store_is_told_and_tried_again_after_ever_longer_pauses(
    folder: Path, versitygw: S3Server, s3_environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = f"late-{secrets.token_hex(4)}"
    (source,) = read_sources(written(folder, uri=f"s3://{bucket}/run/"), "results")
    watch = Watch(Told(source), slices=1, analysis=None, with_analysis=False)
    pauses = []
    for _ in range(9):
        before = time.monotonic()
        watch.go_on()
        pauses.append(watch.due - before)
    assert [round(pause) for pause in pauses[:4]] == pytest.approx([5, 10, 20, 40], abs=2)
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE_SECONDS, abs=3)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 9
    assert told[0].startswith("tiny: StoreNotFound: ")
    assert told[0].endswith("tried again in 5 s")

    versitygw.make_bucket(bucket)
    before = time.monotonic()
    watch.go_on()
    assert 55 < watch.due - before < 65
    told = capsys.readouterr().err.splitlines()
    assert told == ["tiny: goes on", "tiny: 0 found, 0 complete, 0 evaluated, 0 failed, 0 waiting"]
    watch.go_on()
    assert capsys.readouterr().err == ""


def test_what_settles_soon_is_looked_at_then_and_not_after_a_whole_poll(folder: Path) -> None:
    listed_checkpoint(folder / "checkpoints" / "step1")
    (source,) = read_sources(written(folder, complete__settleSeconds=20), "results")
    watch = Watch(Told(source), slices=1, analysis=None, with_analysis=False)
    before = time.monotonic()
    watch.go_on()
    assert 10 < watch.due - before < 22


def test_all_is_listed_every_full_walk_seconds_however_long_the_poll_is(folder: Path) -> None:
    (source,) = read_sources(written(folder, pollSeconds=86_400, fullWalkSeconds=600), "results")
    watch = Watch(Told(source), slices=1, analysis=None, with_analysis=False)
    before = time.monotonic()
    watch.go_on()
    assert 590 < watch.due - before <= 601


def test_what_a_fault_left_undone_is_tried_again_after_growing_pauses_and_others_have_their_turn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that crashes leaves units without results and without recorded failures."""
    for step in (1, 2):
        listed_checkpoint(folder / "checkpoints" / f"step{step}")
    watch = watched(written(folder, batch=1))
    now = 1000.0
    monkeypatch.setattr("fineline_cli.watching.time", SimpleNamespace(monotonic=lambda: now))
    pauses = []
    for _ in range(3):
        decision = watch.decide(watch.look())
        first = decision.create[0]
        assert [member.step for member in first.members] == [1]
        pause = watch.ended(first, began=datetime.now(UTC), succeeded=False, unfinished=first.members)
        assert pause is not None
        pauses.append(pause)
        decision = watch.decide(watch.look())
        assert [[member.step for member in new.members] for new in decision.create] == [[2]]
        assert decision.again_after == pause
        assert decision.counts.failed == 1
        now += pause
    assert pauses == [PAUSE_SECONDS, 2 * PAUSE_SECONDS, 4 * PAUSE_SECONDS]
    decision = watch.decide(watch.look())
    evaluated(watch)
    for new in decision.create:
        watch.ended(new, began=datetime.now(UTC), succeeded=True)
    decision = watch.decide(watch.look())
    assert (decision.counts.evaluated, decision.counts.failed, decision.create) == (2, 0, ())


def test_units_that_a_crash_left_are_told_and_one_pass_does_not_try_them_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(evaluation: Evaluation, _: int) -> RunOutcome:
        plan = plan_evaluation(evaluation)
        runs.append([item.step for item in plan.order.checkpoints])
        return RunOutcome(
            plan, published=0, reused=0, failures=(), left=plan.units, stopped=False, error="it crashed", logs=None
        )

    runs: list[list[int]] = []
    monkeypatch.setattr("fineline_cli.watch_command.run_and_tell", crash)
    for step in (1, 2):
        listed_checkpoint(folder / "checkpoints" / f"step{step}")
    (source,) = read_sources(written(folder, batch=1), "results")
    lasting = Watch(Told(source), slices=1, analysis=None, with_analysis=False)
    lasting.go_on()
    assert "left; tried again in 5 s" in capsys.readouterr().err
    lasting.go_on()
    assert runs == [[1], [2]]
    before = time.monotonic()
    lasting.go_on()
    assert runs == [[1], [2]], "not before their pauses are over"
    assert lasting.due - before <= PAUSE_SECONDS
    runs.clear()
    capsys.readouterr()
    passing = Watch(Told(source), slices=1, analysis=None, with_analysis=False)
    assert not passing.once()
    assert runs == [[1], [2]]
    assert "tried again" not in capsys.readouterr().err


def test_a_batch_that_failed_is_not_tried_again_until_its_bytes_change(folder: Path) -> None:
    """The checkpoint goes between the look and its turn, and comes back as it was."""
    path, gone = folder / "checkpoints" / "step1", folder / "gone"
    listed_checkpoint(path)
    watch = watched(written(folder))
    decision = watch.decide(watch.look())
    (new,) = decision.create
    path.rename(gone)
    outcome = run_evaluation(watch.evaluation(new))
    assert [item.reason for item in outcome.plan.put_aside] == ["CheckpointVanished"]
    assert not outcome.succeeded
    watch.ended(new, began=datetime.now(UTC), succeeded=outcome.succeeded)
    gone.rename(path)

    decision = watch.decide(watch.look())
    assert decision.create == ()
    assert decision.counts.failed == 1

    shutil.rmtree(path)
    listed_checkpoint(path)
    (path / "config.json").write_text('{"vocab_size": 16}')
    decision = watch.decide(watch.look())
    assert [member.step for (new,) in [decision.create] for member in new.members] == [1]
    assert [member.step for member in decision.changed] == [1]


def test_members_are_pinned_as_they_were_listed_and_batches_are_as_large_as_asked(folder: Path) -> None:
    for step in range(1, 6):
        listed_checkpoint(folder / "checkpoints" / f"step{step}")
    watch = watched(written(folder, batch=2, template__engine={"backend": "transformers"}))
    decision = watch.decide(watch.look())
    assert [[member.step for member in new.members] for new in decision.create] == [[1, 2], [3, 4], [5]]
    evaluation = watch.evaluation(decision.create[0])
    pinned = evaluation.resource.spec.checkpoints.pinned
    assert pinned is not None
    listed = {item.position.step: item.digest for item in watch.look().checkpoints}
    assert [(pin.step, pin.digest) for pin in pinned] == [(step, listed[step]) for step in (1, 2)]
    assert evaluation.resource.spec.engine.backend == "transformers"
    assert evaluation.results_uri == f"file://{folder}/results/"


# As a process, with the engine


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fineline_cli.main", *arguments],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    assert what()


def test_uploads_are_evaluated_as_they_come_and_a_stop_loses_nothing(folder: Path, fineline: Fineline) -> None:
    make_checkpoint(folder / "made", seed=1)
    make_mirror(folder / "mirror")
    (folder / CONFIG_MAP).mkdir()
    for name, text in suite_files("letters").items():
        (folder / CONFIG_MAP / name).write_text(text)
    suite = {"configMap": CONFIG_MAP, "datasets": "file:mirror/"}
    path = written(folder, pollSeconds=5, template__suite=suite, template__engine=ENGINE, complete__marker="_SUCCESS")
    shutil.copytree(folder / "made", folder / "checkpoints" / "step1")
    results = Site("", "", f"file://{folder}/results/")

    watching = started(folder, "watch", path.name, "--results", "results", "--no-analysis")
    time.sleep(1)
    (folder / "checkpoints" / "step1" / "_SUCCESS").touch()
    wait_for(lambda: results.names("metrics.arrow") == ["1/letters"], watching)
    watching.send_signal(signal.SIGTERM)
    _, told = watching.communicate(timeout=60)

    assert watching.returncode == 0, told
    assert "tiny: evaluates step 1" in told
    assert "stopped in order; the same command goes on where it ended" in told
    assert "Traceback" not in told
    again = fineline("watch", path, "--once", "--results", "results", "--no-analysis")
    assert again.code == 0
    assert "tiny: 1 found, 1 complete, 1 evaluated, 0 failed, 0 waiting" in again.err
    assert not list(folder.glob("fineline-run-*"))
