"""The URIs of stores: `s3://bucket/prefix/` and `file:///folder/`; the URLs of endpoints. Text only: nothing is opened.

URIs are taken literally: nothing in them is percent-decoded, so `%2e%2e` is a folder of that name and never the parent,
and a URI with a name added to it is the name's URI. Credentials and endpoints are never part of a URI.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal

from fineline.errors import SpecError
from fineline.store.names import is_safe_name

_UNDERSTOOD = "Understood are s3://bucket/prefix/ and file:///folder/."
_BUCKET = r"[A-Za-z0-9._-]{1,255}"
# A part of a path: not empty, not `.`, not `..`. Without a look-ahead, which not every reader of schemas knows.
_PART = r"(\.{0,2}[^/.\x00\n]|\.{3})[^/\x00\n]*"
URI_PATTERN = rf"^(s3://{_BUCKET}|(s3://{_BUCKET}|file://(localhost)?)((/{_PART})+/?|/))$"
"""What `parse_uri` takes, for schemas; but for line breaks, which no field of a resource may have."""

FOLDER_PATTERN = rf"^{_PART}(/{_PART})*/?$"
"""What a store takes for a folder below its root, but for line breaks likewise."""

PORT_PATTERN = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
ENDPOINT_PATTERN = rf"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:{PORT_PATTERN})?(/[A-Za-z0-9._~/-]*)?$"
"""The URL of an S3 or SQS server: a host or an address, perhaps a port and a path. Neither user nor query."""

_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/").match
_is_bucket = re.compile(_BUCKET).fullmatch


@dataclass(frozen=True, slots=True)
class Location:
    """A URI taken apart. `bucket` is empty for a directory; `path` has no `/` at its start."""

    scheme: Literal["s3", "file"]
    bucket: str
    path: str


def parse_uri(uri: str) -> Location:
    """The parts of a URI, or a SpecError that says what is wrong with it.

    >>> parse_uri("s3://bucket/runs/a/")
    Location(scheme='s3', bucket='bucket', path='runs/a/')
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in ("s3", "file"):
        raise SpecError(f"{uri!r}: not the URI of a store. {_UNDERSTOOD}")
    authority, slash, path = rest.partition("/")
    if "@" in authority or ":" in authority:
        # The text is not repeated: what stands there may be a secret.
        raise SpecError(
            f"{scheme}://…/{path}: the bucket must stand alone. Credentials and endpoints come from the "
            "AWS environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …), never from a URI."
        )
    if path and not is_safe_name(path.removesuffix("/")):
        raise SpecError(f"{uri!r}: a part of the path is empty, `.` or `..`, or holds a NUL. Write the path out.")
    if scheme == "s3":
        if not _is_bucket(authority):
            raise SpecError(f"{uri!r}: {authority!r} is not the name of a bucket. {_UNDERSTOOD}")
        return Location("s3", authority, path)
    if authority not in ("", "localhost") or not slash:
        raise SpecError(f"{uri!r}: a file URI has three slashes and an absolute path. {_UNDERSTOOD}")
    return Location("file", "", path)


def covers(prefix: str, uri: str) -> bool:
    """Whether a URI lies under a prefix, at a `/`, or is it.

    >>> [covers("s3://a/amber", uri) for uri in ("s3://a/amber/old/", "s3://a/amber/", "s3://a/amber-2/", "s3://a/")]
    [True, True, False, False]
    """
    return place_of(uri).startswith(place_of(prefix))


def place_of(uri: str) -> str:
    """A URI written in one way, with `/` at its end, so that one covers another exactly when it starts it."""
    location = parse_uri(uri)
    path = location.path.removesuffix("/")
    return f"{location.scheme}://{location.bucket}/{path}/" if path else f"{location.scheme}://{location.bucket}/"


def split_uri(uri: str) -> tuple[str, str]:
    """The folder that a URI lies in, as a root to open, and the name in it: empty where the URI is a folder.

    >>> split_uri("s3://bucket/results/report.html")
    ('s3://bucket/results/', 'report.html')
    >>> split_uri("file:///data/run/")
    ('file:///data/run/', '')
    """
    location = parse_uri(uri)
    folder, slash, name = location.path.rpartition("/")
    return f"{location.scheme}://{location.bucket}/{folder}{slash}", name


def uri_of(text: str) -> str:
    """What a person wrote on a command line as a URI: a URI as it is, a path as a file URI.

    A path that ends in `/` or is a directory becomes a folder's URI.
    """
    if not text or "\0" in text:
        raise SpecError(f"{text!r}: neither a URI nor a path. {_UNDERSTOOD}")
    if _HAS_SCHEME(text):
        parse_uri(text)
        return text
    path = os.path.abspath(text).lstrip("/")  # noqa: PTH100 - Path.absolute() keeps `..`
    is_folder = path and (text.endswith("/") or os.path.isdir(text))  # noqa: PTH112 - a Path would drop the `/`
    return f"file:///{path}/" if is_folder else f"file:///{path}"
