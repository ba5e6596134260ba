"""The operator's settings that the chart makes of its values: the operator reads them, and they say the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from chart.helm import CHART, SETS, VALUES, Rendered, refusal, render
from fineline import __version__
from fineline_operator.settings import OperatorSettings, read_settings


def read(rendered: Rendered, folder: Path) -> OperatorSettings:
    file = folder / "operator.yaml"
    file.write_text(rendered.settings_text)
    return read_settings(file)


def all_values(name: str) -> dict[str, Any]:
    """A set over the chart's own values, as Helm puts them together."""
    return merged(
        yaml.safe_load((CHART / "values.yaml").read_text()), yaml.safe_load((VALUES / f"{name}.yaml").read_text())
    )


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = merged(found[name], value) if both else value
    return found


def image(values: dict[str, Any]) -> str:
    if values["digest"]:
        return f"{values['repository']}@{values['digest']}"
    return f"{values['repository']}:{values['tag'] or __version__}"


def place(values: dict[str, Any], key: str) -> tuple[Any, ...]:
    """What is said of a store or a queue."""
    secret = values.get("secretName")
    return (
        values[key],
        values.get("endpoint"),
        values.get("region"),
        f"/etc/fineline/credentials/{secret}" if secret else None,
        tuple(values.get("namespaces", ["*"])),
    )


@pytest.mark.parametrize("name", SETS)
def test_the_operator_reads_what_the_values_say(name: str, tmp_path: Path) -> None:
    values, settings = all_values(name), read(render(name), tmp_path)
    assert settings.namespaces == tuple(values["namespaces"])
    assert (settings.results or "", settings.datasets or "") == (values["results"], values["datasets"])
    assert [
        (store.prefix, store.endpoint, store.region, store.credentials, store.namespaces) for store in settings.stores
    ] == [place(store, "prefix") for store in values["stores"]]
    assert [
        (queue.url, queue.endpoint, queue.region, queue.credentials, queue.namespaces) for queue in settings.queues
    ] == [place(queue, "url") for queue in values["queues"]]
    assert settings.evaluator.image == image(values["images"]["evaluator"])
    assert settings.evaluator.image_pull_policy == values["images"]["evaluator"]["pullPolicy"]
    assert settings.evaluator.command == tuple(values["evaluator"]["command"])
    assert settings.evaluator.gpu_resource == values["evaluator"]["gpuResource"]
    assert settings.evaluator.template == values["evaluator"]["template"]
    assert (settings.analysis is not None) == values["analysis"]["enabled"]
    if settings.analysis:
        assert settings.analysis.image == image(values["images"]["analysis"])
        assert settings.analysis.image_pull_policy == values["images"]["analysis"]["pullPolicy"]
        assert settings.analysis.command == tuple(values["analysis"]["command"])
        assert settings.analysis.template == values["analysis"]["template"]
    webhook = values["webhook"]
    assert (settings.webhook is not None) == webhook["enabled"]
    if settings.webhook:
        assert (settings.webhook.port, settings.webhook.per_second) == (webhook["port"], webhook["perSecond"])
        assert settings.webhook.token_file == f"/etc/fineline/webhook/{webhook['tokenSecretKey']}"
    assert settings.max_active == values["maxActive"]
    assert settings.resync_seconds == values["resyncSeconds"]
    assert settings.progress_seconds == values["progressSeconds"]
    assert settings.trouble_seconds == values["troubleSeconds"]
    assert settings.lease.seconds == values["lease"]["seconds"]


def test_every_setting_of_the_operator_can_be_said_by_a_value() -> None:
    """But for the port of /healthz and /metrics, which is a pod's own matter."""
    told = yaml.safe_load(render("everything").settings_text)

    def untold(model: type[BaseModel], values: dict[str, Any], path: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():
            key = field.alias or name
            if key not in values:
                yield f"{path}{key}"
                continue
            value = values[key][0] if isinstance(values[key], list) else values[key]
            for inner in get_args(field.annotation) or (field.annotation,):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    yield from untold(inner, value, f"{path}{key}.")

    assert list(untold(OperatorSettings, told)) == ["healthPort"]


def test_the_lease_is_the_releases_own(tmp_path: Path) -> None:
    settings = read(render("bare"), tmp_path)
    assert (settings.lease.name, settings.lease.namespace) == ("checkpoints-operator", "fineline-system")


def test_the_folders_of_credentials_are_where_the_secrets_are_mounted(tmp_path: Path) -> None:
    rendered = render("everything")
    settings = read(rendered, tmp_path)
    mounts = {mount["mountPath"]: mount["name"] for mount in rendered.container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in rendered.pod["spec"]["volumes"]}
    named = {"fineline-pretrain", "fineline-evals", "fineline-queue"}
    folders = {store.credentials for store in settings.stores} | {queue.credentials for queue in settings.queues}
    assert {volumes[mounts[folder]]["secret"]["secretName"] for folder in folders if folder} == named
    assert settings.webhook is not None
    token = volumes[mounts[str(Path(settings.webhook.token_file).parent)]]
    assert token["secret"]["secretName"] == "fineline-token"


def test_texts_that_yaml_would_take_for_something_else_stay_texts(tmp_path: Path) -> None:
    words = [
        "yes",
        "off",
        "1e3",
        "0x10",
        "012",
        "12:30:45",
        "1_000",
        "null",
        "~",
        "2026-01-01",
        "a: b",
        "#",
        "'",
        '"',
        "é",
    ]
    rendered = render({"evaluator": {"template": {"metadata": {"annotations": {word: word for word in words}}}}})
    template = read(rendered, tmp_path).evaluator.template
    assert template["metadata"]["annotations"] == {word: word for word in words}


@pytest.mark.parametrize("looks_after", [[], ["evals", "research"]])
@pytest.mark.parametrize("wide", [["*"], ["evals"], ["evals", "research"]])
@pytest.mark.parametrize("narrow", [["*"], ["evals"], ["research"]])
@pytest.mark.parametrize("prefix", ["s3://a/b", "s3://ab/"])
def test_the_chart_refuses_stores_that_the_operator_would_and_no_others(
    prefix: str, narrow: list[str], wide: list[str], looks_after: list[str]
) -> None:
    """Those of namespaces that others would see through the store that they lie under."""
    stores = [{"prefix": prefix, "namespaces": narrow}, {"prefix": "s3://a/", "namespaces": wide}]
    values = {"namespaces": looks_after, "stores": stores}
    if "*" not in narrow and prefix == "s3://a/b" and seen_by(wide, looks_after) - set(narrow):
        assert "stores[0].namespaces: s3://a/b lies under stores[1]" in refusal(values)
        with pytest.raises(ValidationError, match="stores: one that lies under another"):
            OperatorSettings.model_validate(values | {"evaluator": {"image": "a"}})
    else:
        render(values)
        OperatorSettings.model_validate(values | {"evaluator": {"image": "a"}})


def seen_by(allowed: list[str], looks_after: list[str]) -> set[str]:
    """The namespaces that may name a store."""
    return set(looks_after or ["*"]) if "*" in allowed else set(allowed)


def test_the_ports_are_those_of_the_operators_own_defaults() -> None:
    """The chart leaves them out of the settings, or passes them on."""
    ports = {port["name"]: port["containerPort"] for port in render("webhook").container["ports"]}
    assert ports == {"http": OperatorSettings.model_fields["health_port"].default, "webhook": 8443}


def test_pods_start_again_when_the_settings_change_and_only_then() -> None:
    def checksum(values: dict[str, Any]) -> str:
        return str(render(values).pod["metadata"]["annotations"]["checksum/settings"])

    usual = checksum({})
    assert checksum({"maxActive": 1}) != usual
    assert checksum({"images": {"evaluator": {"tag": "2"}}}) != usual
    assert checksum({"replicas": 3, "monitoring": {"dashboard": {"enabled": True}}}) == usual
