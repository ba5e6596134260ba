"""The ConfigMaps that people name in a spec: suites and positions."""

from __future__ import annotations

from collections.abc import Mapping

from fineline.errors import SpecError
from fineline.plan.positions import POSITIONS_KEY
from fineline.resources.reasons import Reason
from fineline_operator.api import Api, NotFound
from fineline_operator.paths import path_of


async def config_map(api: Api, namespace: str, name: str, field: str) -> Mapping[str, str]:
    """The data of the ConfigMap that `field` names. `SpecError` (ConfigMapNotFound) where it is not there."""
    try:
        body = await api.get(path_of("configmaps", namespace, name))
    except NotFound:
        message = f"{field}: there is no ConfigMap {name} in the namespace {namespace}: make it"
        raise SpecError(message, reason=Reason.CONFIG_MAP_NOT_FOUND) from None
    data: Mapping[str, str] = body.get("data") or {}
    return data


async def positions_file(api: Api, namespace: str, name: str) -> str:
    """The text of `positions.yaml` in the ConfigMap of `spec.checkpoints.positionsFrom`. `SpecError` where it lacks."""
    field = "spec.checkpoints.positionsFrom.configMap"
    data = await config_map(api, namespace, name, field)
    if POSITIONS_KEY not in data:
        raise SpecError(f"{field}: the ConfigMap {name} has no key {POSITIONS_KEY}")
    return data[POSITIONS_KEY]
