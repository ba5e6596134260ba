"""What planning has for the operator: ConfigMaps, a table of stores, the chart's mirror, retries, and light imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fineline.errors import SpecError, StoreDenied
from fineline.plan import Plan, make_plan, uris_of
from fineline.store import Store, StoreEntry, StoreTable, open_store
from support.evaluations import evaluation, listed_checkpoint
from support.slices import CONFIG_MAP, make_mirror, suite_files, upload
from support.versitygw import S3Server


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    for name in ("step10", "step20"):
        listed_checkpoint(tmp_path / "checkpoints" / name)
    return tmp_path / "checkpoints"


def plan(checkpoints: Path, *, spec: dict[str, Any] | None = None, **arguments: Any) -> Plan:
    resource = evaluation(checkpoints__uri=f"file://{checkpoints}/", **spec or {})
    return make_plan(resource, results_uri=f"file://{checkpoints.parent}/results/", **arguments)


def results(checkpoints: Path) -> Store:
    return open_store(f"file://{checkpoints.parent}/results/")


def test_names_that_tell_no_position_are_placed_by_the_config_map(checkpoints: Path) -> None:
    listed_checkpoint(checkpoints / "final")
    spec = {"checkpoints__positionsFrom": {"configMap": "positions"}}
    made = plan(checkpoints, spec=spec, positions_file="final: {step: 30, tokens: 77000}\nstep10: {step: 11}\n")
    assert [(item.step, item.tokens) for item in made.order.checkpoints] == [(11, 11_000), (20, 20_000), (30, 77_000)]


def test_a_fault_in_the_config_map_is_named_by_its_key_and_line(checkpoints: Path) -> None:
    spec = {"checkpoints__positionsFrom": {"configMap": "amber"}}
    expected = r"^spec\.checkpoints\.positionsFrom: positions\.yaml of the ConfigMap amber, line 2: final\.step: "
    with pytest.raises(SpecError, match=expected):
        plan(checkpoints, spec=spec, positions_file="step10: {step: 1}\nfinal: {step: last}\n")


def test_without_a_cluster_there_is_no_config_map(checkpoints: Path) -> None:
    with pytest.raises(SpecError, match=r"spec\.checkpoints\.positionsFrom: needs a cluster"):
        plan(checkpoints, spec={"checkpoints__positionsFrom": {"configMap": "amber"}})


def test_a_retry_puts_failed_units_among_those_to_do_and_leaves_results_alone(checkpoints: Path) -> None:
    first, second = plan(checkpoints).addresses
    results(checkpoints).put(first.metrics, b"")
    results(checkpoints).put(second.failed, b"{}")
    assert plan(checkpoints).failed == (second,)
    again = plan(checkpoints, retry="2026-01-01")
    assert (again.reused, again.failed) == ((first,), ())
    assert [again.order.address(unit) for unit in again.todo] == [second]
    assert again.order.retry == again.slices(1)[0].order.retry == "2026-01-01"


def test_the_chart_s_mirror_is_used_where_the_resource_names_none(checkpoints: Path, tmp_path: Path) -> None:
    chart, own = f"file://{make_mirror(tmp_path / 'chart')}/", f"file://{make_mirror(tmp_path / 'own')}/"
    arguments: dict[str, Any] = {"suite_files": suite_files("letters"), "datasets_uri": chart}
    assert plan(checkpoints, spec={"suite": {"configMap": CONFIG_MAP}}, **arguments).order.datasets_uri == chart
    named = plan(checkpoints, spec={"suite": {"configMap": CONFIG_MAP, "datasets": own}}, **arguments)
    assert named.order.datasets_uri == own
    without = plan(checkpoints, spec={"suite": {"configMap": CONFIG_MAP}}, suite_files=suite_files("letters"))
    assert without.addresses[0].key != named.addresses[0].key


def test_stores_are_reached_through_the_table(
    checkpoints: Path, versitygw: S3Server, s3_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints, tokenizer, config, data sets and results, with the operator's own credentials and no other."""
    upload(checkpoints, s3_prefix + "checkpoints/")
    upload(make_mirror(tmp_path / "mirror"), s3_prefix + "mirror/")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "AWS_ACCESS_KEY_ID").write_text(versitygw.access_key)
    (keys / "AWS_SECRET_ACCESS_KEY").write_text(versitygw.secret_key)
    table = StoreTable((StoreEntry(s3_prefix, versitygw.endpoint, "us-east-1", str(keys)),))
    resource = evaluation(
        checkpoints={
            "uri": s3_prefix + "checkpoints/",
            "tokenizer": s3_prefix + "checkpoints/step10/",
            "config": s3_prefix + "checkpoints/step10/config.json",
        },
        suite={"configMap": CONFIG_MAP, "datasets": s3_prefix + "mirror/"},
    )
    arguments: dict[str, Any] = {"results_uri": s3_prefix + "results/", "suite_files": suite_files("letters")}
    assert len(make_plan(resource, stores=table, **arguments).todo) == 2
    monkeypatch.setenv("AWS_ENDPOINT_URL", versitygw.endpoint)
    with pytest.raises(StoreDenied, match="no usable credentials"):
        make_plan(resource, **arguments)


def test_every_uri_that_an_evaluation_touches_is_named_with_its_field() -> None:
    spec = evaluation(
        checkpoints__uri="s3://a/run/",
        checkpoints__tokenizer="s3://b/tokenizer/",
        checkpoints__config="s3://c/config.json",
        suite__datasets="s3://d/mirror/",
    ).spec
    assert dict(uris_of(spec, "s3://e/results/", "s3://f/default/")) == {
        "spec.checkpoints.uri": "s3://a/run/",
        "spec.checkpoints.tokenizer": "s3://b/tokenizer/",
        "spec.checkpoints.config": "s3://c/config.json",
        "spec.suite.datasets": "s3://d/mirror/",
        "spec.results": "s3://e/results/",
    }
    plain = evaluation(checkpoints__uri="s3://a/run/").spec
    assert uris_of(plain, "s3://e/results/") == (
        ("spec.checkpoints.uri", "s3://a/run/"),
        ("spec.results", "s3://e/results/"),
    )
    assert ("spec.suite.datasets", "s3://f/default/") in uris_of(plain, "s3://e/results/", "s3://f/default/")


def test_a_plan_touches_no_uri_that_is_not_named(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the operator checks before it plans must be all that planning opens."""
    opened: list[str] = []

    def recorded(uri: str, **options: Any) -> Store:
        opened.append(uri)
        return open_store(uri, **options)

    monkeypatch.setattr("fineline.plan.observing.open_store", recorded)
    spec = {
        "checkpoints__tokenizer": f"file://{checkpoints}/step10/",
        "checkpoints__config": f"file://{checkpoints}/step20/config.json",
        "suite__datasets": f"file://{make_mirror(tmp_path / 'mirror')}/",
    }
    plan(checkpoints, spec=spec)
    resource = evaluation(checkpoints__uri=f"file://{checkpoints}/", **spec)
    named = dict(uris_of(resource.spec, f"file://{tmp_path}/results/"))
    assert len(opened) == 5
    for uri in opened:
        assert any(name.startswith(uri) for name in named.values()), uri


_PLAN_WITHOUT = """
import sys
for name in ("lm_eval", "torch", "transformers", "datasets", "vllm", "pyarrow", "polars", "numpy", "kopf"):
    sys.modules[name] = None  # an import of it raises
from fineline.plan import make_plan
from fineline.resources import CheckpointEval, validated
def evaluation(suite):
    return validated(CheckpointEval, {
        "apiVersion": "fineline.dev/v1alpha1", "kind": "CheckpointEval", "metadata": {"name": "a"},
        "spec": {"run": {"name": "a"}, "checkpoints": {"uri": sys.argv[1]}, "suite": suite},
    }, "a")
files = {
    "suite.yaml": "tasks: [{task: own, domain: exam}, {task: mmlu, domain: exam}]",
    "own.yaml": "task: own\\ndataset_path: own/data\\ntest_split: test\\n",
}
for suite in ({"name": "fine-line"}, {"name": "fine-line-mini"}, {"name": "loss"}, {"configMap": "mine"}):
    plan = make_plan(evaluation(suite), results_uri=sys.argv[2], suite_files=files if "configMap" in suite else None)
    print(len(plan.todo))
"""


def test_built_in_and_config_map_suites_are_planned_without_any_heavy_library(checkpoints: Path) -> None:
    arguments = [f"file://{checkpoints}/", f"file://{checkpoints.parent}/results/"]
    done = subprocess.run(
        [sys.executable, "-c", _PLAN_WITHOUT, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    counts = [int(line) for line in done.stdout.split()]
    assert all(counts)
    assert counts[-1] == 4
