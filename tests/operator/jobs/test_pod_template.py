"""The evaluator's pods: what they get, and what a template may and may not change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fineline.errors import SpecError
from fineline.plan import PlanFacts
from fineline_operator.evaluations.observed import EvaluationSeen
from fineline_operator.jobs import OWNER_LABEL, plan_names
from fineline_operator.jobs.pod_template import pod_template
from fineline_operator.settings import OperatorSettings

Made = Callable[..., dict[str, Any]]
GIB = 1 << 30
UID = "6f1d8f6a-7d58-4a52-9d3c-0b1f2a3c4d5e"


@pytest.fixture
def template(
    evaluation: Callable[..., EvaluationSeen],
    settings: Callable[..., OperatorSettings],
    facts: Callable[..., PlanFacts],
) -> Made:
    """Makes the pods' template of an evaluation; `own` is its spec.pods.template, `plan` changes the plan's facts."""

    def make(
        own: dict[str, Any] | None = None,
        *,
        given: OperatorSettings | None = None,
        plan: dict[str, Any] | None = None,
        pods: dict[str, Any] | None = None,
        **spec: Any,
    ) -> dict[str, Any]:
        seen = evaluation(pods={**(pods or {}), "template": own or {}}, **spec)
        assert seen.spec is not None
        return pod_template(seen, seen.spec, facts(**(plan or {})), given or settings())

    return make


def evaluator(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in template["spec"]["containers"] if item["name"] == "evaluator")
    return found


def variables(template: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value") for item in evaluator(template)["env"]}


def argument(template: dict[str, Any], name: str) -> str:
    arguments: list[str] = evaluator(template)["args"]
    return arguments[arguments.index(name) + 1]


def volume(template: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in template["spec"]["volumes"] if item["name"] == name)
    return found


def for_evaluator(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "evaluator", **fields}]}}


def test_the_evaluator_runs_on_the_plans_config_maps(template: Made) -> None:
    made = template(plan={"chunks": 2, "retry": "again"})
    sources = volume(made, "plan")["projected"]["sources"]
    assert [source["configMap"]["name"] for source in sources] == list(
        plan_names("amber-7b", UID, "again", "ab" * 32, chunks=2)
    )
    assert {"name": "plan", "mountPath": "/plan", "readOnly": True} in evaluator(made)["volumeMounts"]
    assert evaluator(made)["command"] == ["fineline-evaluator"]
    assert argument(made, "--plan") == "/plan"


def test_every_folder_that_a_variable_or_argument_names_can_be_written(template: Made) -> None:
    made = template()
    writable = [mount["mountPath"] for mount in evaluator(made)["volumeMounts"] if not mount.get("readOnly")]
    wanted = [variables(made)[name] for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "TRITON_CACHE_DIR")]
    for folder in [*wanted, variables(made)["TORCHINDUCTOR_CACHE_DIR"], argument(made, "--scratch")]:
        assert any(folder == path or folder.startswith(f"{path}/") for path in writable)


def test_disk_is_asked_for_and_bounded_by_the_two_largest_checkpoints(template: Made) -> None:
    made = template()
    assert evaluator(made)["resources"]["requests"]["ephemeral-storage"] == "29Gi"
    assert evaluator(made)["resources"]["limits"]["ephemeral-storage"] == "29Gi"
    assert volume(made, "scratch")["emptyDir"] == {"sizeLimit": "29Gi"}


def test_part_of_a_gib_counts_as_a_whole_one(template: Made) -> None:
    made = template(plan={"checkpoint_bytes": 27 * GIB + 1})
    assert volume(made, "scratch")["emptyDir"] == {"sizeLimit": "30Gi"}


def test_data_sets_from_the_hub_need_more_disk_than_a_mirror(
    template: Made, settings: Callable[..., OperatorSettings]
) -> None:
    hub = template(suite={"name": "fine-line"})
    mirror = template(suite={"name": "fine-line"}, given=settings(datasets="s3://mirror/"))
    assert evaluator(hub)["resources"]["limits"]["ephemeral-storage"] == "37Gi"
    assert evaluator(mirror)["resources"]["limits"]["ephemeral-storage"] == "29Gi"


def test_as_many_gpus_as_share_the_model(template: Made) -> None:
    assert evaluator(template(engine={"tensorParallelSize": 4}))["resources"]["limits"]["nvidia.com/gpu"] == "4"


def test_another_kind_of_gpu(template: Made, settings: Callable[..., OperatorSettings]) -> None:
    limits = evaluator(template(given=settings(gpuResource="amd.com/gpu")))["resources"]["limits"]
    assert set(limits) == {"amd.com/gpu", "ephemeral-storage"}


def test_no_gpu_for_the_engine_on_cpus(template: Made, settings: Callable[..., OperatorSettings]) -> None:
    assert set(evaluator(template(given=settings(gpuResource="")))["resources"]["limits"]) == {"ephemeral-storage"}


@pytest.mark.parametrize(("size", "mounts"), [(1, 0), (2, 1)])
def test_shared_memory_only_where_several_processes_share_the_model(template: Made, size: int, mounts: int) -> None:
    made = template(engine={"tensorParallelSize": size})
    assert [mount["mountPath"] for mount in evaluator(made)["volumeMounts"]].count("/dev/shm") == mounts
    assert [item.get("emptyDir") for item in made["spec"]["volumes"]].count({"medium": "Memory"}) == mounts


@pytest.mark.parametrize(
    ("tokens", "pod", "own"),
    [(1_000, 60, 45), (1_000_000, 305, 290), (10**12, 3600, 3585)],
    ids=["short", "usual", "endless"],
)
def test_the_longest_unit_may_end_before_the_pod_is_killed(template: Made, tokens: int, pod: int, own: int) -> None:
    made = template(plan={"longest_unit_tokens": tokens})
    assert made["spec"]["terminationGracePeriodSeconds"] == pod
    assert argument(made, "--grace-seconds") == str(own)


def test_pods_without_a_gpu_get_longer_to_stop(template: Made, settings: Callable[..., OperatorSettings]) -> None:
    plan = {"longest_unit_tokens": 10_000}
    assert template(plan=plan)["spec"]["terminationGracePeriodSeconds"] == 60
    assert template(plan=plan, given=settings(gpuResource=""))["spec"]["terminationGracePeriodSeconds"] > 600


def test_the_evaluator_uses_the_grace_time_of_a_template(template: Made) -> None:
    assert argument(template({"spec": {"terminationGracePeriodSeconds": 900}}), "--grace-seconds") == "885"
    assert argument(template({"spec": {"terminationGracePeriodSeconds": 10}}), "--grace-seconds") == "5"
    assert argument(template({"spec": {"terminationGracePeriodSeconds": None}}), "--grace-seconds") == "15"


def test_credentials_come_from_the_secret_and_from_nowhere_else(
    template: Made, settings: Callable[..., OperatorSettings]
) -> None:
    stores = [{"prefix": "s3://pretrain/", "endpoint": "https://s3.example", "credentials": "/var/run/operator/s3"}]
    made = template(pods={"secretName": "s3-credentials"}, given=settings(stores=stores))
    assert evaluator(made)["envFrom"] == [{"secretRef": {"name": "s3-credentials"}}]
    assert json.loads(variables(made)["FINELINE_STORES"]) == [
        {"prefix": "s3://pretrain/", "endpoint": "https://s3.example"}
    ]
    assert "/var/run/operator" not in json.dumps(made)


def test_pods_are_told_only_of_stores_that_their_namespace_may_use(
    template: Made, settings: Callable[..., OperatorSettings]
) -> None:
    stores = [
        {"prefix": "s3://all/"},
        {"prefix": "s3://ours/", "namespaces": ["evals"]},
        {"prefix": "s3://theirs/", "namespaces": ["others"]},
    ]
    told = json.loads(variables(template(given=settings(stores=stores)))["FINELINE_STORES"])
    assert [store["prefix"] for store in told] == ["s3://all/", "s3://ours/"]


def test_a_service_called_vllm_sets_no_variable_in_the_pods(template: Made) -> None:
    assert template()["spec"]["enableServiceLinks"] is False


def test_a_service_account_is_used_without_its_token(template: Made) -> None:
    spec = template(pods={"serviceAccountName": "evals"})["spec"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("evals", False)


def test_the_evaluations_template_goes_over_the_settings_and_that_over_the_operators(
    template: Made, settings: Callable[..., OperatorSettings]
) -> None:
    chart = for_evaluator(resources={"limits": {"memory": "64Gi", "cpu": "8"}}, env=[{"name": "A", "value": "chart"}])
    own = for_evaluator(resources={"limits": {"memory": "128Gi"}}, env=[{"name": "A", "value": "own"}], image="mine:2")
    made = evaluator(template(own, given=settings(template=chart)))
    assert made["resources"]["limits"] == {
        "memory": "128Gi", "cpu": "8", "ephemeral-storage": "29Gi", "nvidia.com/gpu": "1",
    }  # fmt: skip
    assert {"name": "A", "value": "own"} in made["env"]
    assert made["image"] == "mine:2"
    assert made["securityContext"]["readOnlyRootFilesystem"] is True


def test_labels_that_mark_the_pods_as_the_evaluations_win(template: Made) -> None:
    labels = {"app.kubernetes.io/managed-by": "me", "team": "evals"}
    made = template({"metadata": {"labels": labels, "annotations": {"a": "b"}}})["metadata"]
    assert made["labels"]["team"] == "evals"
    assert made["labels"]["app.kubernetes.io/managed-by"] == "fineline-operator"
    assert made["annotations"] == {"a": "b"}


def test_labels_stay_where_a_template_takes_all_metadata_away(template: Made) -> None:
    assert OWNER_LABEL in template({"metadata": None})["metadata"]["labels"]


def test_other_containers_and_volumes_may_stand_beside(template: Made) -> None:
    made = template(
        {
            "spec": {
                "containers": [{"name": "proxy", "image": "proxy:1", "args": ["--serve"]}],
                "volumes": [{"name": "cache", "emptyDir": {}}],
                "tolerations": [{"operator": "Exists"}],
            }
        }
    )
    assert [item["name"] for item in made["spec"]["containers"]] == ["evaluator", "proxy"]
    assert volume(made, "cache") == {"name": "cache", "emptyDir": {}}


def test_scratch_may_lie_on_another_kind_of_volume(template: Made) -> None:
    claim = {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}}
    assert volume(template({"spec": {"volumes": [claim]}}), "scratch") == claim


@pytest.mark.parametrize(
    ("own", "field"),
    [
        (for_evaluator(command=["sh"]), "spec.containers[evaluator].command"),
        (for_evaluator(command=None), "spec.containers[evaluator].command"),
        (for_evaluator(args=["--help"]), "spec.containers[evaluator].args"),
        (for_evaluator(restartPolicy="Always"), "spec.containers[evaluator].restartPolicy"),
        (for_evaluator(env=[{"name": "JOB_COMPLETION_INDEX", "value": "0"}]), "spec.containers[evaluator].env"),
        (
            for_evaluator(volumeMounts=[{"name": "other", "mountPath": "/plan"}]),
            "spec.containers[evaluator].volumeMounts",
        ),
        (
            for_evaluator(volumeMounts=[{"name": "other", "mountPath": "/plan/"}]),
            "spec.containers[evaluator].volumeMounts",
        ),
        (
            for_evaluator(volumeMounts=[{"name": "other", "mountPath": "//plan/../plan/x"}]),
            "spec.containers[evaluator].volumeMounts",
        ),
        (for_evaluator(volumeMounts=None), "spec.containers[evaluator].volumeMounts"),
        ({"spec": {"volumes": [{"name": "plan", "configMap": {"name": "mine"}}]}}, "spec.volumes[plan]"),
        ({"spec": {"volumes": None}}, "spec.volumes[plan]"),
        ({"spec": {"containers": None}}, "spec.containers"),
        ({"spec": None}, "spec"),
        ({"spec": {"activeDeadlineSeconds": 60}}, "spec.activeDeadlineSeconds"),
        ({"spec": {"affinity": []}}, "spec.affinity"),
    ],
)
def test_what_the_evaluator_needs_can_not_be_taken_away(template: Made, own: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as error:
        template(own)
    assert str(error.value).startswith(f"spec.pods.template.{field}")
    assert error.value.reason == "TemplateInvalid"


@pytest.mark.parametrize("policy", ["Always", "OnFailure", None])
def test_pods_restart_never(template: Made, settings: Callable[..., OperatorSettings], policy: str | None) -> None:
    with pytest.raises(SpecError, match=r"^settings: evaluator\.template\.spec\.restartPolicy: can't be set"):
        template(given=settings(template={"spec": {"restartPolicy": policy}}))


def test_a_fault_of_the_settings_template_is_not_blamed_on_the_evaluation(
    template: Made, settings: Callable[..., OperatorSettings]
) -> None:
    with pytest.raises(SpecError, match=r"^settings: evaluator\.template\.spec\.containers\[evaluator\]\.args"):
        template({"spec": {"priorityClassName": "x"}}, given=settings(template=for_evaluator(args=[])))
