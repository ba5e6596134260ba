"""The base of every resource model, and the field types that several of them share.

YAML says camelCase, Python says snake_case; both come from one declaration. Unknown fields are refused.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

GROUP = "fineline.dev"
VERSION = "v1alpha1"


class ResourceModel(BaseModel):
    """Frozen, strict about names and types; read and written with the names of the YAML."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=True,
        validate_by_alias=True,
        validate_by_name=False,
        serialize_by_alias=True,
    )

    def as_yaml_values(self) -> dict[str, Any]:
        """The model as plain values under the YAML's names, without what was left to its default."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _plain_folder_name(value: str) -> str:
    if value in {".", ".."}:
        message = "must be a plain name, not a relative path"
        raise ValueError(message)
    return value


SeriesName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
    AfterValidator(_plain_folder_name),
]
"""A name that becomes a folder among the results: letters, digits, `.`, `_`, `-`, and no path."""

TaskName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
"""The name of an lm-evaluation-harness task or group."""

DomainName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9-]*$")]
"""An ability: exam, language, knowledge, understanding, reasoning, or one that a suite names."""

BranchName = Annotated[str, StringConstraints(min_length=1, max_length=256)]

ObjectName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
]
"""The name of a Kubernetes object: a DNS subdomain."""

StoreUri = Annotated[str, StringConstraints(min_length=1, max_length=2048, pattern=r"^(s3://[^/]+(/.*)?|file:.+)$")]
"""`s3://bucket/prefix/` or, on one machine, `file:///folder/`."""

PATTERN_WORDS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "must be letters, digits, `.`, `_` and `-`, a letter or digit first",
    r"^[A-Za-z0-9][A-Za-z0-9._+-]*$": "must be letters, digits, `.`, `_`, `+` and `-`, a letter or digit first",
    r"^[a-z][a-z0-9-]*$": "must be small letters, digits and `-`, and start with a letter",
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": "must be the name of a Kubernetes object: small letters, digits, `-` and `.`",
    r"^(s3://[^/]+(/.*)?|file:.+)$": "must be s3://bucket/prefix/ or file:///folder/",
    r"^[0-9a-f]{64}$": "must be a SHA-256 digest in 64 hexadecimal digits",
}
"""What a pattern asks for, in words, for error messages."""

Tokens = Annotated[int, Field(ge=0, le=10**18)]
Step = Annotated[int, Field(ge=0, le=10**12 - 1)]
LabelValue = Annotated[str, StringConstraints(max_length=256)]
