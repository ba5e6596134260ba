"""The operator's settings file, and the program that reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fineline.errors import SpecError
from fineline_operator.settings import OperatorSettings, read_settings

WHOLE = """
namespaces: [evals, research]
results: s3://evals/results/
datasets: s3://mirror/
stores:
  - prefix: s3://pretrain/
    endpoint: https://s3.example
    region: eu-central-1
    credentials: /etc/fineline/stores/pretrain
    namespaces: [evals]
evaluator:
  image: registry.example/fineline-evaluator:1
  imagePullPolicy: Always
  gpuResource: ""
  template: {spec: {priorityClassName: batch}}
maxActive: 20
lease: {name: fineline, namespace: fineline-system, seconds: 8}
healthPort: 9000
resyncSeconds: 60
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "operator.yaml"
    file.write_text(text)
    return file


def test_all_that_the_chart_tells_is_read(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, WHOLE))
    assert settings.namespaces == ("evals", "research")
    assert settings.stores[0].namespaces == ("evals",)
    assert settings.evaluator.template == {"spec": {"priorityClassName": "batch"}}
    assert (settings.max_active, settings.health_port, settings.resync_seconds) == (20, 9000, 60)
    assert (settings.lease.name, settings.lease.seconds) == ("fineline", 8)


def test_an_image_is_all_that_must_be_told(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "evaluator: {image: evaluator}"))
    assert settings.namespaces == ()
    assert settings.max_active == 0
    assert settings.lease.seconds == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evaluator: {}", "evaluator.image"),
        ("{evaluator: {image: a}, maxActive: -1}", "maxActive"),
        ("{evaluator: {image: a}, maxactive: 1}", "maxactive: unknown field; did you mean maxActive?"),
        ("{evaluator: {image: a}, lease: {seconds: 60}}", "lease.seconds"),
        ("{evaluator: {image: a}, stores: [{prefix: not-a-uri}]}", "stores[0].prefix: must be s3://bucket/prefix/"),
        (
            "{evaluator: {image: a}, stores: [{prefix: 's3://a/', namespaces: [A_b]}]}",
            "the name of a namespace, or `*`",
        ),
        ("{evaluator: {image: a}, stores: [{prefix: 's3://a/', endpoint: minio}]}", "must be https://host:port"),
        ("{evaluator: {image: a}, stores: [{prefix: 's3://a/', namespaces: []}]}", "stores[0].namespaces: "),
        (
            "{evaluator: {image: a}, queues: [{url: 'https://sqs.example/1/a', namespaces: []}]}",
            "queues[0].namespaces: ",
        ),
        (
            "{evaluator: {image: a}, queues: [{url: 'https://sqs.example:99999/1/a'}]}",
            "queues[0].url: must be the URL of an SQS queue",
        ),
        ("{evaluator: {image: a}, maxActive: 1.0e+30}", "maxActive"),
        ("{healthPort: x}", "evaluator: is required; healthPort: "),
        ("[]", "settings"),
        ("", "settings"),
        ("{", "can't be read"),
    ],
)
def test_what_can_not_be_meant_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SpecError) as error:
        read_settings(file)
    assert str(error.value).startswith(f"{file}: ")
    assert said in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"operator\.yaml: the operator's settings can't be read"):
        read_settings(tmp_path / "operator.yaml")


def test_the_program_says_in_one_line_what_is_wrong_with_its_settings(tmp_path: Path) -> None:
    file = written(tmp_path, "evaluator: {}")
    done = subprocess.run(
        [sys.executable, "-m", "fineline_operator.main", "--settings", str(file), "--log-format", "text"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "evaluator.image" in done.stderr


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("file:/shared/", "not the URI of a store"),
        ("file:foo", "not the URI of a store"),
        ("file://shared/", "three slashes"),
        ("s3://a//b/", "a part of the path is empty"),
        ("s3://a/../b", "a part of the path is empty, `.` or `..`"),
        ("s3://a b/", "not the name of a bucket"),
        ("s3://a:b@c/", "the bucket must stand alone"),
    ],
)
def test_one_prefix_that_is_no_uri_is_named_before_it_could_stop_every_resource(
    tmp_path: Path, prefix: str, said: str
) -> None:
    file = written(tmp_path, f"{{evaluator: {{image: a}}, stores: [{{prefix: 's3://good/'}}, {{prefix: '{prefix}'}}]}}")
    with pytest.raises(SpecError) as error:
        read_settings(file)
    assert f"{file}: stores[1].prefix: " in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize("field", ["stores: [{prefix: 's3://a/', ", "queues: [{url: 'https://sqs.example/1/a', "])
@pytest.mark.parametrize(
    "endpoint",
    [
        "minio", "minio:9000", "ftp://minio", "https://", "https://user@minio", "https://minio:9000/ x", "https://a b",
        "http://h:0", "http://h:65536", "http://h:99999", "http://h:", "http://h?a=b", "http://h/%zz", "http://[zz]:9000",
    ],
)  # fmt: skip
def test_an_endpoint_that_nothing_could_listen_at_is_named(tmp_path: Path, field: str, endpoint: str) -> None:
    file = written(tmp_path, f"{{evaluator: {{image: a}}, {field}endpoint: '{endpoint}'}}]}}")
    with pytest.raises(SpecError, match=r"\[0\]\.endpoint: must be https://host:port, without a user"):
        read_settings(file)


def stores(tmp_path: Path, *namespaces: str, looks_after: str = "[]") -> OperatorSettings:
    """Settings with a store for these namespaces, and others that lie under it."""
    listed = "\n".join(
        f"  - {{prefix: 's3://a/{'' if index == 0 else f'shared/{index}/'}', namespaces: {names}}}"
        for index, names in enumerate(namespaces)
    )
    return read_settings(written(tmp_path, f"evaluator: {{image: a}}\nnamespaces: {looks_after}\nstores:\n{listed}\n"))


@pytest.mark.parametrize(
    ("wide", "narrow", "looks_after", "said"),
    [
        ("['*']", "[research]", "[]", "s3://a/shared/1/ is not for all namespaces, and s3://a/ is"),
        ("[evals, research]", "[research]", "[]", "s3://a/shared/1/ is not for evals, and s3://a/ is"),
        ("['*']", "[research]", "[evals, research]", "s3://a/shared/1/ is not for evals, and s3://a/ is"),
    ],
)
def test_a_store_that_others_would_see_through_the_one_above_it_is_refused(
    tmp_path: Path, wide: str, narrow: str, looks_after: str, said: str
) -> None:
    with pytest.raises(SpecError, match="stores: one that lies under another must be for each namespace") as error:
        stores(tmp_path, wide, narrow, looks_after=looks_after)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("wide", "narrow", "looks_after"),
    [
        ("['*']", "['*']", "[]"),
        ("[evals]", "['*']", "[]"),
        ("[evals]", "[evals, research]", "[]"),
        ("['*']", "[evals]", "[evals]"),
    ],
)
def test_a_store_under_another_may_be_for_more_namespaces(
    tmp_path: Path, wide: str, narrow: str, looks_after: str
) -> None:
    assert len(stores(tmp_path, wide, narrow, looks_after=looks_after).stores) == 2


def test_stores_beside_each_other_have_namespaces_of_their_own(tmp_path: Path) -> None:
    assert len(stores(tmp_path, "[a]", "[a]", "[a, b]").stores) == 3
    text = "{evaluator: {image: a}, stores: [{prefix: 's3://a/b'}, {prefix: 's3://a/b-2', namespaces: [research]}]}"
    assert len(read_settings(written(tmp_path, text)).stores) == 2
