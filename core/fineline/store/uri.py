"""The URIs of stores: `s3://bucket/prefix/` and `file:///folder/`. Text only: nothing is opened here.

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
_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/").match
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}").fullmatch


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
        if not _BUCKET(authority):
            raise SpecError(f"{uri!r}: {authority!r} is not the name of a bucket. {_UNDERSTOOD}")
        return Location("s3", authority, path)
    if authority not in ("", "localhost") or not slash:
        raise SpecError(f"{uri!r}: a file URI has three slashes and an absolute path. {_UNDERSTOOD}")
    return Location("file", "", path)


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
