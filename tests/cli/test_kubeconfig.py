"""Which cluster and namespace a command means, found as kubectl finds them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from fineline.errors import ClusterError, SpecError
from fineline_cli import kubeconfig
from fineline_cli.kubeconfig import find_target


def write(file: Path, *contexts: str, current: str | None = None, namespace: str | None = None) -> Path:
    body: dict[str, Any] = {"cluster": "one", "user": "me"} | ({"namespace": namespace} if namespace else {})
    values: dict[str, Any] = {"contexts": [{"name": name, "context": body} for name in contexts]}
    file.write_text(yaml.safe_dump(values | ({"current-context": current} if current else {})))
    return file


def test_the_current_context_and_its_namespace_are_meant(tmp_path: Path) -> None:
    file = write(tmp_path / "config", "here", "there", current="there", namespace="evals")
    target = find_target(file, environment={})
    assert (target.context, target.namespace, target.files) == ("there", "evals", (file,))


def test_a_context_without_a_namespace_means_default(tmp_path: Path) -> None:
    assert find_target(write(tmp_path / "config", "here", current="here"), environment={}).namespace == "default"


def test_a_named_context_goes_before_the_current_one(tmp_path: Path) -> None:
    file = write(tmp_path / "config", "here", "there", current="there")
    assert find_target(file, "here", environment={}).context == "here"


def test_the_first_file_that_says_it_counts(tmp_path: Path) -> None:
    first = write(tmp_path / "first", "a", current="a", namespace="of-first")
    second = write(tmp_path / "second", "a", "b", current="b", namespace="of-second")
    environment = {"KUBECONFIG": os.pathsep.join(["", str(tmp_path / "absent"), str(first), str(second)])}
    assert (find_target(environment=environment).context, find_target(environment=environment).namespace) == (
        "a",
        "of-first",
    )
    assert find_target(context="b", environment=environment).namespace == "of-second"


def test_a_flag_goes_before_the_environment(tmp_path: Path) -> None:
    named = write(tmp_path / "named", "named", current="named")
    other = write(tmp_path / "other", "other", current="other")
    assert find_target(named, environment={"KUBECONFIG": str(other)}).context == "named"


def test_a_context_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no context 'c' \(known: a, b\)"):
        find_target(write(tmp_path / "config", "a", "b", current="a"), "c", environment={})


def test_a_kubeconfig_without_a_current_context_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"name one with --context \(known: a, b\)"):
        find_target(write(tmp_path / "config", "a", "b"), environment={})


@pytest.mark.parametrize("text", ["a: [", "- a", "\x00"])
def test_a_file_that_is_no_kubeconfig_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(ClusterError, match=str(file)) as error:
        find_target(file, environment={})
    assert error.value.reason == "KubeconfigInvalid"
    assert "\n" not in str(error.value)


def test_a_kubeconfig_named_on_the_command_line_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"--kubeconfig .*absent: no such file"):
        find_target(tmp_path / "absent", environment={})


def test_no_kubeconfig_at_all_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="absent is not there; name one with --kubeconfig or KUBECONFIG") as error:
        find_target(environment={"KUBECONFIG": str(tmp_path / "absent")})
    assert error.value.reason == "NoKubeconfig"


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a pod with a service account finds around it."""
    (tmp_path / "token").write_text("token")
    (tmp_path / "namespace").write_text("of-the-pod\n")
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", tmp_path)
    return {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBECONFIG": str(tmp_path / "absent")}


def test_without_a_kubeconfig_a_pod_means_its_own_cluster_and_namespace(pod: dict[str, str]) -> None:
    target = find_target(environment=pod)
    assert (target.files, target.context, target.namespace) == ((), None, "of-the-pod")


def test_a_kubeconfig_in_a_pod_goes_before_the_pod(pod: dict[str, str], tmp_path: Path) -> None:
    assert find_target(write(tmp_path / "config", "a", current="a"), environment=pod).context == "a"


def test_a_context_in_a_pod_without_a_kubeconfig_is_not_ignored(pod: dict[str, str]) -> None:
    with pytest.raises(ClusterError, match="no kubeconfig"):
        find_target(context="a", environment=pod)
