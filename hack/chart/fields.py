"""The field types of the chart's values, and how one takes over what a setting of the operator already says."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints
from pydantic.fields import FieldInfo

Free = dict[str, Any]
"""An object that Kubernetes defines, not the chart: taken as it is, and judged by the API server."""

Texts = dict[str, str]
"""Names with texts."""

_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_QUALIFIED = rf"^({_SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$"
_LABEL = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"


def _named(value: dict[str, str]) -> Any:
    return Field(json_schema_extra={"patternProperties": {_QUALIFIED: value}, "additionalProperties": False})


Annotations = Annotated[Texts, _named({"type": "string"})]
Labels = Annotated[Texts, _named({"type": "string", "pattern": _LABEL})]

Repository = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=255,
        pattern=r"^([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$",
    ),
]
"""An image's name with its registry, without tag and digest."""

Tag = Annotated[str, StringConstraints(max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
SecretKey = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^(\.?[-_A-Za-z0-9])[-._A-Za-z0-9]*$")
]
"""A key of a Secret, which is a file's name too: not `.`, `..` or what starts with it."""

_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DnsLabel = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=_DNS_LABEL)]
"""The name of a namespace."""

NameStart = Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
"""What the names of objects may start with, so that none becomes too long; a Service's starts with a letter."""

_HOST = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$"
Host = Annotated[str, StringConstraints(max_length=253, pattern=_HOST)]
Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$")]
"""A time as Prometheus writes it: 30s, 1m."""

UserPort = Annotated[int, Field(ge=1024, le=65535)]
"""A port that a program without root may listen at."""

Port = Annotated[int, Field(ge=1, le=65535)]


def same(model: type[BaseModel], name: str, **changed: Any) -> Any:
    """What a field of another model says of itself: description, bounds, default. `changed` goes over it."""
    known = model.model_fields[name]
    found: FieldInfo = Field(**{"default": known.default, "description": known.description} | changed)
    found.metadata = list(known.metadata)
    return found
