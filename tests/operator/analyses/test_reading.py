"""What is read of a TrajectoryAnalysis and its Jobs, and what its pod is told by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from fineline.errors import SpecError
from fineline.resources.analysis_reasons import AnalysisReason
from fineline_analysis.act import Request
from fineline_operator.analyses.observed import AnalysisSeen, Asked
from fineline_operator.analyses.reading import analysis_job, analysis_seen, asked
from fineline_operator.jobs import pod_projection
from fineline_operator.jobs.analysis_job import Inputs, analysis_job_body, analysis_name
from fineline_operator.jobs.pods import last_words
from fineline_operator.settings import OperatorSettings
from support.analysing import SUBJECT, seen

ANALYSIS = {"image": "registry.example/analysis:1"}
STORES = (
    {"prefix": "s3://evals/", "endpoint": "https://s3.example", "credentials": "/run/keys"},
    {"prefix": "s3://far/"},
)


def settings(*, stores: Any = STORES, analysis: Any = ANALYSIS, **more: Any) -> OperatorSettings:
    values = {"evaluator": {"image": "evaluator:1"}, "stores": list(stores), "analysis": analysis, **more}
    return OperatorSettings.model_validate(values)


def ask(given: OperatorSettings | None = None, *, generation: int = 1, **spec: Any) -> Asked:
    found = seen(generation=generation, **{"results": "s3://evals/results/", **spec})
    assert found.spec is not None
    return asked(found, found.spec, given or settings())


def container(found: Asked) -> Mapping[str, Any]:
    (one,) = found.template["spec"]["containers"]
    return dict(one)


def body(found: Asked, commits: str = "c1", occasion: str = "") -> dict[str, Any]:
    inputs = Inputs(found.results_uri, 3, commits, found.settings_digest, occasion, 2)
    return analysis_job_body(SUBJECT, inputs, found.template, found.template_digest)


@pytest.mark.parametrize(
    ("given", "spec", "reason", "words"),
    [
        (settings(), {"results": None}, AnalysisReason.RESULTS_NOT_SET, "spec.results: is not set"),
        (settings(analysis=None), {}, AnalysisReason.IMAGE_NOT_SET, "analysis.image"),
        (settings(), {"results": "s3://other/"}, AnalysisReason.STORE_NOT_ALLOWED, "spec.results: s3://other/"),
        (settings(), {"references": ["s3://far/a/", "s3://x/"]}, AnalysisReason.STORE_NOT_ALLOWED, "references[1]"),
        (
            settings(stores=[{"prefix": "s3://evals/", "namespaces": ["others"]}]),
            {},
            AnalysisReason.STORE_NOT_ALLOWED,
            "the namespace evals may not use",
        ),
        (
            settings(),
            {"pods": {"template": {"spec": {"containers": [{"name": "analysis", "command": ["sh"]}]}}}},
            AnalysisReason.TEMPLATE_INVALID,
            "spec.pods.template.spec.containers[analysis].command",
        ),
        (
            settings(analysis={**ANALYSIS, "template": {"spec": {"containers": [{"name": "analysis", "args": []}]}}}),
            {},
            AnalysisReason.TEMPLATE_INVALID,
            "settings: analysis.template.spec.containers[analysis].args",
        ),
    ],
)  # fmt: skip
def test_what_can_not_be_asked_for_is_named(
    given: OperatorSettings, spec: dict[str, Any], reason: AnalysisReason, words: str
) -> None:
    with pytest.raises(SpecError) as raised:
        ask(given, **spec)
    assert raised.value.reason == reason
    assert words in str(raised.value)


def test_the_settings_results_stand_for_those_that_are_not_set() -> None:
    assert ask(settings(results="s3://evals/all"), results=None).results_uri == "s3://evals/all/"


def test_operator_and_program_name_what_is_asked_for_alike() -> None:
    found = ask(runs={"names": ["b", "a"]}, horizon={"a": 10**12}, references=["s3://far/"])
    request = Request(("a", "b"), (), {"a": 1e12}, ("s3://far/",))
    assert (found.settings_digest, found.runs) == (request.digest, ("a", "b"))
    families = ask(runs={"families": ["amber"]})
    assert (families.settings_digest, families.runs) == (Request(families=("amber",)).digest, ())


def test_the_program_is_told_what_to_analyse() -> None:
    found = ask(runs={"names": ["b", "a"]}, horizon={"a": 10**12}, references=["s3://far/$(HOME)/"])
    assert container(found)["args"] == [
        *("--results", "s3://evals/results/", "--output", "s3://evals/results/", "--name", "evals.sevens"),
        *("--run", "b", "--run", "a", "--horizon", "a=1000000000000", "--reference", "s3://far/$$(HOME)/"),
    ]
    families = container(ask(runs={"families": ["amber", "olmo"]}))["args"]
    assert families[6:] == ["--family", "amber", "--family", "olmo"]
    assert analysis_name(SUBJECT) == "evals.sevens"


def test_the_pod_is_restricted_and_has_no_credentials_but_its_own() -> None:
    found = ask(pods={"secretName": "keys", "serviceAccountName": "evals"})
    pod, one = found.template["spec"], container(found)
    assert (pod["automountServiceAccountToken"], pod["serviceAccountName"], pod["restartPolicy"]) == (
        False,
        "evals",
        "Never",
    )
    assert pod["securityContext"]["runAsNonRoot"]
    assert one["securityContext"]["readOnlyRootFilesystem"]
    assert one["envFrom"] == [{"secretRef": {"name": "keys"}}]
    environment = {item["name"]: item["value"] for item in one["env"]}
    assert json.loads(environment["FINELINE_STORES"])[0] == {"prefix": "s3://evals/", "endpoint": "https://s3.example"}
    assert "/run/keys" not in json.dumps(found.template)
    assert [mount["mountPath"] for mount in one["volumeMounts"]] == [environment["HOME"]] == [environment["TMPDIR"]]


def test_templates_are_merged_by_the_containers_name() -> None:
    given = settings(analysis={**ANALYSIS, "template": {"spec": {"nodeSelector": {"pool": "cpu"}}}})
    large = {"name": "analysis", "resources": {"requests": {"memory": "2Gi"}}}
    found = ask(given, pods={"template": {"spec": {"containers": [large]}}})
    assert container(found)["resources"] == {"requests": {"memory": "2Gi"}}
    assert container(found)["image"] == ANALYSIS["image"]
    assert found.template["spec"]["nodeSelector"] == {"pool": "cpu"}


def test_the_job_goes_with_its_analysis_and_is_bounded() -> None:
    job = body(ask())
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"], owner["blockOwnerDeletion"]) == ("TrajectoryAnalysis", SUBJECT.uid, False)
    labels = {
        "fineline.dev/trajectoryanalysis": SUBJECT.uid,
        "app.kubernetes.io/managed-by": "fineline-operator",
        "app.kubernetes.io/part-of": "fineline",
    }
    assert job["metadata"]["labels"] == labels
    assert job["spec"]["template"]["metadata"]["labels"].items() >= labels.items()
    bounds = {name: job["spec"][name] for name in ("backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")}
    assert bounds == {"backoffLimit": 2, "activeDeadlineSeconds": 6 * 3600, "ttlSecondsAfterFinished": 7 * 86_400}
    moved, for_good = job["spec"]["podFailurePolicy"]["rules"]
    assert (moved["action"], for_good["action"], for_good["onExitCodes"]["values"]) == ("Ignore", "FailJob", [2])


def test_the_jobs_name_says_what_it_is_made_of() -> None:
    def name(found: Asked, commits: str = "c1", occasion: str = "") -> str:
        return str(body(found, commits, occasion)["metadata"]["name"])

    names = [
        name(ask()), name(ask(), "c2"), name(ask(generation=2)), name(ask(horizon={"a": 5})),
        name(ask(settings(analysis={"image": "analysis:2"}))), name(ask(), occasion="p1"),
    ]  # fmt: skip
    assert len(set(names)) == len(names)
    assert name(ask()) == names[0]
    assert all(found.startswith("sevens-") and len(found) <= 57 for found in names)


def test_a_job_is_read_as_it_was_made() -> None:
    made = body(ask(), occasion="p1")
    made["metadata"] |= {"uid": "u", "creationTimestamp": "2026-11-21T12:00:00Z"}
    job = analysis_job(made)
    assert (job.finished, job.commits, job.commits_digest, job.ended) == ("", 3, "c1", None)
    assert (job.occasion, job.attempt) == ("p1", 2)
    failed = {"type": "Failed", "status": "True", "message": "too long", "lastTransitionTime": "2026-11-21T13:00:00Z"}
    made["status"] = {"conditions": [{"type": "FailureTarget", "status": "True"}, failed]}
    job = analysis_job(made)
    assert (job.finished, job.message, str(job.ended)) == ("Failed", "too long", "2026-11-21 13:00:00+00:00")
    made["metadata"]["annotations"] = {"fineline.dev/commits": "many", "fineline.dev/attempt": "-1"}
    job = analysis_job(made)
    assert (job.commits, job.occasion, job.attempt) == (0, "", 1)


def test_a_status_that_somebody_else_wrote_is_written_anew() -> None:
    metadata = {"namespace": "evals", "name": "sevens", "uid": "u"}
    found = analysis_seen({"metadata": metadata, "status": {"conditions": "none"}}, None)
    assert isinstance(found, AnalysisSeen)
    assert found.status.conditions == ()


def pod(**terminated: Any) -> dict[str, Any]:
    ended = {"name": "analysis", "state": {"terminated": {"finishedAt": "2026-11-21T12:00:00Z", **terminated}}}
    return {
        "metadata": {"name": "sevens-x", "creationTimestamp": "2026-11-21T12:00:00Z"},
        "status": {"phase": "Failed", "containerStatuses": [ended]},
    }


def test_a_failed_pods_last_line_says_why() -> None:
    log = "Traceback:\n  File\nValueError: no room\n\n"
    assert last_words(pod(exitCode=1, message=log)) == "ValueError: no room"
    assert "more memory than there was" in last_words(pod(exitCode=137, reason="OOMKilled", message=log))
    assert last_words(pod(exitCode=1)) == "container analysis ended with 1: it left no message"
    assert last_words({**pod(exitCode=0), "status": {"phase": "Succeeded"}}) == ""
    assert len(last_words(pod(exitCode=1, message="x" * 9000))) <= 800
    assert pod_projection(pod(exitCode=1)).failed
