"""Values that can't be meant are refused before anything is changed: the path, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from chart.helm import CHART, refusal, run, template

STORE = {"prefix": "s3://evals/"}
QUEUE = {"url": "https://sqs.example/1/a"}
OWN_MOUNTS = ("/tmp", "/tmp/", "/etc/fineline/operator", "/etc/fineline/credentials/own")
DIGEST = "sha256:" + "0" * 64

BY_SCHEMA: list[tuple[dict[str, Any], str]] = [
    ({"replicas": 0}, "'/replicas': minimum: got 0, want 1"),
    ({"replicas": 6}, "'/replicas': maximum: got 6, want 5"),
    ({"replicas": "2"}, "'/replicas': got string, want integer"),
    ({"replicas": None}, "missing property 'replicas'"),
    ({"images": None}, "missing property 'images'"),
    ({"replica": 3}, "additional properties 'replica' not allowed"),
    ({"images": {"operater": {"tag": "1"}}}, "'/images': additional properties 'operater' not allowed"),
    ({"images": {"operator": {"repository": "registry.example/fineline:1"}}}, "'/images/operator/repository'"),
    ({"images": {"operator": {"repository": ""}}}, "'/images/operator/repository'"),
    ({"images": {"operator": {"tag": 1.2}}}, "'/images/operator/tag': got number, want string"),
    ({"images": {"operator": {"digest": "0123"}}}, "'/images/operator/digest': '0123' does not match pattern"),
    ({"images": {"operator": {"pullPolicy": "Sometimes"}}}, "'Always', 'IfNotPresent', 'Never'"),
    ({"stores": [{}]}, "'/stores/0': missing property 'prefix'"),
    ({"stores": [{"prefix": "evals/"}]}, "'/stores/0/prefix': 'evals/' does not match pattern"),
    ({"stores": [STORE | {"endpoint": "minio:9000"}]}, "'/stores/0/endpoint'"),
    ({"stores": [STORE | {"endpoint": "https://user@minio"}]}, "'/stores/0/endpoint'"),
    ({"stores": [STORE | {"accessKey": "AKIA"}]}, "'/stores/0': additional properties 'accessKey' not allowed"),
    ({"stores": [STORE | {"namespaces": ["A_b"]}]}, "'/stores/0/namespaces/0'"),
    ({"stores": [STORE | {"secretName": "My Secret"}]}, "'/stores/0/secretName'"),
    ({"stores": STORE}, "'/stores': got object, want array"),
    *(
        ({"stores": [{"prefix": prefix}]}, f"'/stores/0/prefix': '{prefix}' does not match pattern")
        for prefix in ("file:/a/", "file:a", "file://a/", "s3://a//b/", "s3://a/../b", "s3://a b/", "s3://k:s@a/", "s3://")
    ),
    *(
        ({"stores": [STORE | {"endpoint": endpoint}]}, f"'/stores/0/endpoint': '{endpoint}' does not match pattern")
        for endpoint in ("https://a:9000/ x", "https://a b", "http://a:0", "http://a:65536", "http://a:99999", "http://a/%z")
    ),
    ({"stores": [STORE | {"namespaces": []}]}, "'/stores/0/namespaces': minItems: got 0, want 1"),
    ({"queues": [QUEUE | {"namespaces": []}]}, "'/queues/0/namespaces': minItems: got 0, want 1"),
    ({"queues": [QUEUE | {"endpoint": "http://a:99999"}]}, "'/queues/0/endpoint'"),
    ({"queues": [{"url": "https://sqs.example:99999/1/a"}]}, "'/queues/0/url'"),
    ({"podLabels": {"a b": "c"}}, "'/podLabels': additional properties 'a b' not allowed"),
    ({"commonLabels": {"a": "b c"}}, "'/commonLabels/a': 'b c' does not match pattern"),
    ({"webhook": {"tokenSecretKey": ".."}}, "'/webhook/tokenSecretKey': '..' does not match pattern"),
    ({"webhook": {"tokenSecretKey": "."}}, "'/webhook/tokenSecretKey': '.' does not match pattern"),
    ({"fullnameOverride": "7b"}, "'/fullnameOverride': '7b' does not match pattern"),
    ({"fullnameOverride": "a.b"}, "'/fullnameOverride': 'a.b' does not match pattern"),
    ({"maxActive": 1e30}, "'/maxActive': maximum: got 1"),
    ({"podDisruptionBudget": {"maxUnavailable": 6}}, "'/podDisruptionBudget/maxUnavailable': maximum: got 6, want 5"),
    ({"results": "evals/results"}, "'/results': 'evals/results' does not match pattern"),
    ({"queues": [{"url": "uploads"}]}, "'/queues/0/url'"),
    ({"namespaces": ["*"]}, "'/namespaces/0'"),
    ({"namespaces": ["evals", "evals"]}, "'/namespaces': items at 0 and 1 are equal"),
    ({"fullnameOverride": "a" * 41}, "'/fullnameOverride': maxLength: got 41, want 40"),
    ({"webhook": {"port": 443}}, "'/webhook/port': minimum: got 443, want 1,024"),
    ({"webhook": {"perSecond": 0}}, "'/webhook/perSecond': minimum: got 0, want 1"),
    ({"webhook": {"token": "secret"}}, "'/webhook': additional properties 'token' not allowed"),
    ({"webhook": {"service": {"type": "ExternalName"}}}, "'ClusterIP', 'NodePort', 'LoadBalancer'"),
    ({"webhook": {"ingress": {"host": "https://events.example.org/"}}}, "'/webhook/ingress/host'"),
    ({"maxActive": -1}, "'/maxActive': minimum: got -1, want 0"),
    ({"resyncSeconds": 0}, "'/resyncSeconds': exclusiveMinimum: got 0, want 0"),
    ({"lease": {"seconds": 60}}, "'/lease/seconds': maximum: got 60, want 10"),
    ({"podDisruptionBudget": {"maxUnavailable": 0}}, "'/podDisruptionBudget/maxUnavailable': minimum: got 0, want 1"),
    ({"logLevel": "debug"}, "'DEBUG', 'INFO', 'WARNING', 'ERROR'"),
    ({"rbac": {"create": "true"}}, "'/rbac/create': got string, want boolean"),
    ({"workloads": [{"namespace": "evals"}]}, "'/workloads/0': missing property 'serviceAccountName'"),
    ({"nodeSelector": {"pool": 1}}, "'/nodeSelector/pool': got number, want string"),
    ({"monitoring": {"serviceMonitor": {"interval": "half a minute"}}}, "'/monitoring/serviceMonitor/interval'"),
    ({"networkPolicy": {"apiServerPorts": [0]}}, "'/networkPolicy/apiServerPorts/0': minimum: got 0, want 1"),
    ({"evaluator": {"template": []}}, "'/evaluator/template': got array, want object"),
]  # fmt: skip

TOGETHER: list[tuple[dict[str, Any], str]] = [
    (
        {"images": {"operator": {"tag": "1", "digest": DIGEST}}},
        "images.operator: has a tag and a digest: give one of them",
    ),
    (
        {"images": {"analysis": {"tag": "1", "digest": DIGEST}}},
        "images.analysis: has a tag and a digest: give one of them",
    ),
    (
        {"namespaces": ["evals"], "stores": [STORE, {"prefix": "s3://b/", "namespaces": ["*", "evals", "other"]}]},
        "stores[1].namespaces: other is none of `namespaces`, so that the operator would never look at it: add",
    ),
    (
        {"namespaces": ["evals"], "queues": [{"url": "https://sqs.example/1/a", "namespaces": ["other"]}]},
        "queues[0].namespaces: other is none of `namespaces`",
    ),
    (
        {"namespaces": ["evals"], "workloads": [{"namespace": "other", "serviceAccountName": "a"}]},
        "workloads[0].namespace: other is none of `namespaces`",
    ),
    ({"stores": [STORE, {"prefix": "s3://evals"}]}, "stores[1].prefix: s3://evals stands in stores[0] already"),
    (
        {"queues": [{"url": "https://sqs.example/1/a"}, {"url": "https://sqs.example/1/a"}]},
        "queues[1].url: https://sqs.example/1/a stands in queues[0] already",
    ),
    ({"results": "s3://evals/results/"}, "results: s3://evals/results/ is under the prefix of none of `stores`"),
    (
        {"stores": [STORE], "results": "s3://evals-2/results/"},
        "results: s3://evals-2/results/ is under the prefix of none of `stores`",
    ),
    ({"stores": [STORE], "datasets": "s3://mirror/"}, "datasets: s3://mirror/ is under the prefix of none of `stores`"),
    ({"webhook": {"enabled": True}}, "webhook.tokenSecretName: is needed where webhook.enabled"),
    (
        {"webhook": {"enabled": True, "tokenSecretName": "a", "port": 8080}},
        "webhook.port: 8080 is the port of /healthz and /metrics: take another one",
    ),
    (
        {"webhook": {"ingress": {"enabled": True, "host": "a.example"}}},
        "webhook.ingress.enabled: leads nowhere without webhook.enabled",
    ),
    (
        {"webhook": {"enabled": True, "tokenSecretName": "a", "ingress": {"enabled": True}}},
        "webhook.ingress.host: is needed where webhook.ingress.enabled",
    ),
    ({"serviceAccount": {"create": False}}, "serviceAccount.name: is needed where serviceAccount.create is false"),
    (
        {"workloads": [{"namespace": "evals", "serviceAccountName": "a"}] * 2},
        "workloads[1]: evals/a is that of workloads[0]",
    ),
    (
        {"workloads": [{"namespace": "fineline-system", "serviceAccountName": "fineline-operator"}]},
        "workloads[0]: fineline-system/fineline-operator is the operator's own service account",
    ),
    (
        {"extraEnv": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "very secret"}]},
        "extraEnv[0]: AWS_SECRET_ACCESS_KEY is a credential, which is never a value: name a Secret in",
    ),
    (
        {"workloads": [{"namespace": "evals", "serviceAccountName": "default"}]},
        "workloads[0].serviceAccountName: every namespace has its `default` already",
    ),
    (
        {"stores": [STORE, {"prefix": "s3://evals/secret", "namespaces": ["research"]}]},
        "stores[1].namespaces: s3://evals/secret lies under stores[0], s3://evals/, which is for all namespaces: these",
    ),
    ({"extraEnv": [{"name": "PORT", "value": 8080}]}, "extraEnv[0].value: of PORT must be text: write it in quotes"),
    ({"extraEnv": [{"name": "PORT", "value": False}]}, "extraEnv[0].value: of PORT must be text: write it in quotes"),
    ({"extraEnv": [{"value": "a"}]}, "extraEnv[0].name: is needed, as text"),
    ({"extraEnv": [{"name": "A", "value": "1"}] * 2}, "extraEnv[1]: A is that of extraEnv[0]: leave it out"),
    ({"extraVolumes": [{"emptyDir": {}}]}, "extraVolumes[0].name: is needed, as text"),
    ({"extraVolumes": [{"name": "a"}] * 2}, "extraVolumes[1].name: a is that of extraVolumes[0]: choose another"),
    *(
        (
            {"stores": [STORE | {"secretName": "own"}], "extraVolumes": [{"name": name, "emptyDir": {}}]},
            f"extraVolumes[0].name: {name} is the chart's own: choose another",
        )
        for name in ("settings", "temporary", "webhook", "credentials-0")
    ),
    *(
        (
            {
                "stores": [STORE | {"secretName": "own"}],
                "extraVolumes": [{"name": "a"}],
                "extraVolumeMounts": [{"name": "a", "mountPath": mount}],
            },
            f"extraVolumeMounts[0].mountPath: {mount} is the chart's own: choose another",
        )
        for mount in OWN_MOUNTS
    ),
    (
        {"extraVolumeMounts": [{"name": "a", "mountPath": "/a"}]},
        "extraVolumeMounts[0].name: a is none of extraVolumes: add it there",
    ),
    ({"extraEnv": [{"name": "POD_NAME", "value": "a"}]}, "extraEnv[0]: POD_NAME is the chart's own: leave it out"),
]


@pytest.mark.parametrize(("values", "said"), BY_SCHEMA, ids=[said for _, said in BY_SCHEMA])
def test_the_schema_names_the_value_and_what_it_may_be(values: dict[str, Any], said: str) -> None:
    assert said in refusal(values)


@pytest.mark.parametrize(("values", "said"), TOGETHER, ids=[said for _, said in TOGETHER])
def test_values_that_make_no_sense_together_are_told_in_words(values: dict[str, Any], said: str) -> None:
    words = refusal(values)
    assert f"\n  {said}" in words
    assert words.count("\n  ") == 1, "one wrong value, one message"


def test_all_that_is_wrong_is_told_at_once() -> None:
    words = refusal({"results": "s3://a/", "datasets": "s3://b/", "serviceAccount": {"create": False}})
    assert words.count("\n  ") == 3


@pytest.mark.parametrize("release", ["7b", "my.run", "123"])
def test_a_release_whose_services_could_not_be_made_is_refused_before(release: str) -> None:
    """But for its name, where another start of all names is said."""
    told = template({}, release=release)
    assert told.returncode != 0
    assert (
        f"the release's name: all names would start with {release}-fineline, and a Service's starts with" in told.stderr
    )
    assert template({"fullnameOverride": "fineline"}, release=release).returncode == 0


def test_a_credential_is_not_repeated() -> None:
    assert "very secret" not in refusal({"extraEnv": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "very secret"}]})


def test_a_credential_from_a_secret_of_ones_own_is_taken() -> None:
    reference = {"secretKeyRef": {"name": "a", "key": "b"}}
    assert template({"extraEnv": [{"name": "AWS_SESSION_TOKEN", "valueFrom": reference}]}).returncode == 0


def test_what_is_under_a_stores_prefix_is_taken() -> None:
    for prefix in ("s3://evals/", "s3://evals", "s3://evals/results", "s3://evals/results/"):
        done = template({"stores": [{"prefix": prefix}], "results": "s3://evals/results"})
        assert done.returncode == 0, done.stderr


def test_a_kubernetes_that_is_too_old_is_named() -> None:
    done = template({}, "--kube-version", "1.28.4")
    assert "requires kubeVersion: >=1.29.0-0 which is incompatible with Kubernetes v1.28.4" in done.stderr
    assert template({}, "--kube-version", "1.29.0").returncode == 0
    assert template({}, "--kube-version", "1.30.1-eks-1234567").returncode == 0


def test_lint_refuses_too() -> None:
    done = run("lint", "--strict", CHART, "--set", "replicas=0")
    assert done.returncode != 0
    assert "minimum: got 0, want 1" in done.stdout + done.stderr
