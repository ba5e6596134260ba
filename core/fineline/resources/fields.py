"""The base of every resource model, and the field types that several of them share.

YAML says camelCase, Python says snake_case; both come from one declaration. Unknown fields are refused, null stands for
absent (as on an API server), and what a single field can't say is a `Rule`, the same here and in the CRD.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from fineline.errors import SpecError
from fineline.store.uri import FOLDER_PATTERN, PORT_PATTERN, URI_PATTERN, parse_uri

GROUP = "fineline.dev"
VERSION = "v1alpha1"

IMMUTABLE_FIELDS = "x-fineline-immutable"
"""In a model's JSON schema: the fields whose descriptions say so in the CRD."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a model demands of several fields at once: `cel` says to the API server what `holds` says here.

    `field` is the one to point at, empty for the object itself. `detail` adds to the message what the API server can't.
    A rule on what may change has no `holds`: only the API server sees the object as it was before. One without `cel` is
    said by the schema itself.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] | None = None
    field: str = ""
    detail: Callable[[Any], str] | None = None

    def as_validation(self) -> dict[str, str]:
        """The rule as a CRD's schema has it."""
        place = {"fieldPath": f".{self.field}"} if self.field else {}
        return {"rule": self.cel, "message": self.message} | place


class ResourceModel(BaseModel):
    """Frozen, strict about names and types; read and written with the names of the YAML."""

    rules: ClassVar[tuple[Rule, ...]] = ()
    immutable: ClassVar[tuple[str, ...]] = ()
    """Fields (by their YAML names) that a rule keeps as they were made: their descriptions say so."""
    null_is_absent: ClassVar[bool] = True

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

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        resolved = handler.resolve_ref_schema(schema)
        if validations := [rule.as_validation() for rule in cls.rules if rule.cel]:
            resolved["x-kubernetes-validations"] = validations
        if cls.immutable:
            resolved[IMMUTABLE_FIELDS] = list(cls.immutable)
        return schema

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        if not cls.null_is_absent or not isinstance(values, dict):
            return values
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None or name not in known}

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        broken = [rule for rule in self.rules if rule.holds is not None and not rule.holds(self)]
        if broken:
            raise ValueError(
                "; ".join(rule.message + (f" ({rule.detail(self)})" if rule.detail else "") for rule in broken)
            )
        return self


SeriesName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A name that becomes a folder among the results: letters, digits, `.`, `_`, `-`, and no path."""

TaskName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
"""The name of an lm-evaluation-harness task or group."""

DomainName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9-]*$")]
"""An ability: exam, language, knowledge, understanding, reasoning, or one that a suite names."""

BranchName = Annotated[str, StringConstraints(min_length=1, max_length=256)]

_DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=_DNS_SUBDOMAIN)]
"""The name of a Kubernetes object: a DNS subdomain."""

LabelledName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=_DNS_SUBDOMAIN)]
"""The name of an object that a label names, which bounds it to 63 characters."""

_URI = r"^(s3://[^/]+(/.*)?|file:.+)$"
_URI_WITHOUT_CREDENTIALS = r"^(s3://[^/@:]+(/.*)?|file:.+)$"


def _without_credentials(uri: str) -> str:
    if not re.match(_URI_WITHOUT_CREDENTIALS, uri):
        # The text is not repeated: what stands there may be a secret.
        raise PydanticCustomError(
            "credentials_in_uri",
            "the bucket must stand alone; credentials and endpoints come from pods.secretName and the chart's stores, "
            "or without a cluster from the AWS environment, never from a URI",
        )
    return uri


def _understood(uri: str) -> str:
    try:
        parse_uri(uri)
    except SpecError as error:
        raise ValueError(str(error)) from None
    return uri


StoreUri = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2048, pattern=_URI),
    AfterValidator(_without_credentials),
    Field(json_schema_extra={"pattern": _URI_WITHOUT_CREDENTIALS}),
]
"""`s3://bucket/prefix/` or, on one machine, `file:///folder/`, there also `file:folder/`."""

AbsoluteUri = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2048, pattern=_URI),
    AfterValidator(_without_credentials),
    AfterValidator(_understood),
    Field(json_schema_extra={"pattern": URI_PATTERN}),
]
"""A URI that a store can be opened at, wherever the program runs."""

_QUEUE = rf"^https?://[A-Za-z0-9.-]+(:{PORT_PATTERN})?/[A-Za-z0-9._~/-]+$"
QueueUrl = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=_QUEUE)]
"""The URL of an SQS queue, without credentials and query."""

_FILE = r"^[^/]+$"
FileName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_FILE)]
"""The name of a file, without a folder."""

LONGEST_FOLDER_NAME = 256
FolderName = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_FOLDER_NAME, pattern=FOLDER_PATTERN)]
"""A folder below a URI: no part of it is empty, `.` or `..`."""

PATTERN_WORDS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "must be letters, digits, `.`, `_` and `-`, a letter or digit first",
    r"^[A-Za-z0-9][A-Za-z0-9._+-]*$": "must be letters, digits, `.`, `_`, `+` and `-`, a letter or digit first",
    r"^[a-z][a-z0-9-]*$": "must be small letters, digits and `-`, and start with a letter",
    _DNS_SUBDOMAIN: "must be the name of a Kubernetes object: small letters, digits, `-` and `.`",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "must be small letters, digits and `-`, with a letter or digit at both ends",
    r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$": "must be a label's value: letters, digits, `-`, `_` and `.`",
    _URI: "must be s3://bucket/prefix/ or file:///folder/",
    _URI_WITHOUT_CREDENTIALS: "must be s3://bucket/prefix/ or file:///folder/",
    URI_PATTERN: "must be s3://bucket/prefix/ or file:///folder/",
    _QUEUE: "must be the URL of an SQS queue: https://sqs.<region>.amazonaws.com/<account>/<name>",
    _FILE: "must be the name of a file, without `/`",
    FOLDER_PATTERN: "must be a folder below the URI: names with `/` between them, none of them empty, `.` or `..`",
    r"^[0-9a-f]{64}$": "must be a SHA-256 digest in 64 hexadecimal digits",
}
"""What a pattern asks for, in words, for error messages."""

Tokens = Annotated[int, Field(ge=0, le=10**18)]
Step = Annotated[int, Field(ge=0, le=10**12 - 1)]
MapKey = Annotated[str, StringConstraints(min_length=1, max_length=256)]
LabelValue = Annotated[str, StringConstraints(max_length=256)]
