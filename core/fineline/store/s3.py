"""A bucket prefix as a store. Of the stores' modules, this one, s3_client.py, s3_answers.py and aws_session.py know
boto3.

A call that fails in passing is tried again by botocore (standard mode: bounded, with jitter, slower when throttled).
What it does not cover is tried again here: a body that was cut is resumed where it ended, a conditional write that met
another is repeated.

Left out of listings: keys that are no names (names.py), such as the markers that consoles put in for folders.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore import exceptions as said
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from fineline.errors import ObjectChanged, StoreDenied, StoreError, StoreUnavailable
from fineline.store.files import file_errors, temporary_beside
from fineline.store.interface import Level, StoredObject
from fineline.store.names import check_folder, check_name, check_span, is_safe_name, safe_folders, split_prefix
from fineline.store.patience import Patience
from fineline.store.s3_client import patience_of_environment, shared_client
from fineline.store.s3_errors import BEYOND_CODES, CONFLICT_CODES, EXISTS_CODES, GONE_CODES, UNKNOWN_CODES, meaning_of
from fineline.store.table import StoreEntry

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

_MIB = 1 << 20
_PART_BYTES = 64 * _MIB
_PARTS_AT_ONCE = 4
_CHUNK_BYTES = _MIB // 4
# Kept with an object that was written if absent: tells a writer whose answer was lost that it won after all.
_WRITER = "fineline-writer"

# A connection that was not made, or that ended too early.
_CUT = (said.HTTPClientError, said.ConnectionError, said.IncompleteReadError, HTTPError)
_DENIED = (
    said.NoCredentialsError,
    said.PartialCredentialsError,
    said.CredentialRetrievalError,
    said.TokenRetrievalError,
    said.NoAuthTokenError,
    said.ProfileNotFound,
    said.SSOError,
)
_FAILURES = (said.ClientError, said.BotoCoreError, HTTPError, ResponseParserError)


def open_bucket(
    bucket: str,
    prefix: str,
    *,
    requester_pays: bool = False,
    entry: StoreEntry | None = None,
    patience: Patience | None = None,
) -> S3Store:
    """The store at a prefix of a bucket, on a client that is shared by all stores of the same environment and entry."""
    patience = patience or patience_of_environment()
    with _errors(f"s3://{bucket}/"):
        client = shared_client(patience, entry)
    folder = f"{prefix.removesuffix('/')}/" if prefix else ""
    return S3Store(client, bucket, folder, patience, requester_pays=requester_pays)


class S3Store:
    """A prefix of a bucket: `prefix` is empty or ends in `/`."""

    def __init__(
        self, client: S3Client, bucket: str, prefix: str, patience: Patience, *, requester_pays: bool = False
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._patience = patience
        self._requester_pays = requester_pays
        self._list_requests = 0
        self._payer: dict[str, Any] = {"RequestPayer": "requester"} if requester_pays else {}

    @property
    def uri(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    @property
    def list_requests(self) -> int:
        return self._list_requests

    def __repr__(self) -> str:
        return f"S3Store({self.uri!r})"

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        split_prefix(self.uri, prefix)
        for page in self._pages(prefix):
            yield from self._objects(page)

    def list_level(self, folder: str = "") -> Level:
        folder = check_folder(self.uri, folder)
        objects: list[StoredObject] = []
        folders: list[str] = []
        skip = len(self._prefix)
        for page in self._pages(folder, Delimiter="/"):
            objects += self._objects(page)
            folders += safe_folders([common["Prefix"][skip:] for common in page.get("CommonPrefixes", ())])
        return Level(tuple(objects), tuple(folders))

    def head(self, name: str) -> StoredObject | None:
        with _errors(self.uri + name):
            try:
                answer = self._client.head_object(**self._object(name))
            except said.ClientError as error:
                if _code(error) in GONE_CODES:
                    return None
                raise
        return StoredObject(name, answer["ContentLength"], answer["ETag"].strip('"'), answer["LastModified"])

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        check_span(start, length)
        if length == 0:
            return self.get(name, start, 1)[:0]
        for failures in range(self._patience.attempts):
            try:
                return b"".join(self._stream(name, start, None if length is None else start + length))
            except ObjectChanged:
                # Overwritten between a cut and its resumption: the new object is as good, whole.
                self._patience.pause(failures)
        raise ObjectChanged(f"{self.uri}{name}: it is overwritten again and again while it is read. Try again later.")

    def put(self, name: str, data: bytes | Path) -> None:
        target = self._object(name)
        with file_errors(str(data) if isinstance(data, Path) else self.uri), _errors(self.uri + name):
            if isinstance(data, Path) and data.stat().st_size > _PART_BYTES:
                parts = TransferConfig(_PART_BYTES, _PARTS_AT_ONCE, _PART_BYTES)
                with create_transfer_manager(self._client, parts) as manager:
                    manager.upload(str(data), self._bucket, target["Key"], extra_args=self._payer).result()
                return
            with _body_of(data) as body:
                self._client.put_object(Body=body, **target)

    def put_if_absent(self, name: str, data: bytes | Path) -> bool:
        """As the interface says; in one request, so at most 5 GB."""
        return self._put_if(name, data, {"IfNoneMatch": "*"})

    def put_if_unchanged(self, name: str, data: bytes | Path, etag: str) -> bool:
        """As the interface says; in one request, so at most 5 GB. A server that refuses `If-Match` on writes is asked
        for the etag just before a plain one. After a lost answer False may also mean that it was written and replaced
        since."""
        try:
            return self._put_if(name, data, {"IfMatch": f'"{etag}"'})
        except StoreError as error:
            cause = error.__cause__
            if not isinstance(cause, said.ClientError) or _code(cause) not in UNKNOWN_CODES:
                raise
        item = self.head(name)
        if item is None or item.etag != etag:
            return False
        self.put(name, data)
        return True

    def _put_if(self, name: str, data: bytes | Path, condition: dict[str, str]) -> bool:
        """Whether the object was written: the condition held."""
        writer = secrets.token_hex(16)
        target = {**self._object(name), **condition, "Metadata": {_WRITER: writer}}
        with file_errors(str(data) if isinstance(data, Path) else self.uri), _errors(self.uri + name):
            for failures in range(self._patience.attempts):
                try:
                    with _body_of(data) as body:
                        self._client.put_object(Body=body, **target)
                    return True
                except said.ClientError as error:
                    if _code(error) in EXISTS_CODES:
                        # After a repeated request the object that is in the way may be our own.
                        repeated = failures or error.response["ResponseMetadata"].get("RetryAttempts", 0)
                        return bool(repeated) and self._was_written_by(name, writer)
                    if "IfMatch" in condition and _code(error) in GONE_CODES:
                        return False
                    if _code(error) not in CONFLICT_CODES:
                        raise
                self._patience.pause(failures)
        raise StoreUnavailable(f"{self.uri}{name}: other writers were in the way each time. Try again later.")

    def download(self, item: StoredObject, path: Path) -> None:
        check_name(self.uri, item.name)
        starts = range(0, max(item.size, 1), _PART_BYTES)  # an empty object has one part too: it may have changed
        with file_errors(str(path)), temporary_beside(path) as temporary:
            temporary.touch()
            if len(starts) == 1:
                self._fetch(item, temporary, 0)
            else:
                with ThreadPoolExecutor(min(_PARTS_AT_ONCE, len(starts)), "fineline-download") as pool:
                    fetches = [pool.submit(self._fetch, item, temporary, start) for start in starts]
                    try:
                        for fetch in fetches:
                            fetch.result()
                    finally:
                        pool.shutdown(wait=True, cancel_futures=True)
            temporary.replace(path)

    def delete(self, name: str) -> None:
        with _errors(self.uri + name), contextlib.suppress(self._client.exceptions.NoSuchKey):
            self._client.delete_object(**self._object(name))

    def at(self, folder: str) -> S3Store:
        prefix = self._prefix + check_folder(self.uri, folder)
        return S3Store(self._client, self._bucket, prefix, self._patience, requester_pays=self._requester_pays)

    def _object(self, name: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + check_name(self.uri, name), **self._payer}

    def _pages(self, prefix: str, **more: Any) -> Iterator[Any]:
        """The answers of a listing, one request each."""
        request = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, **self._payer, **more}
        while True:
            self._list_requests += 1
            with _errors(self.uri + prefix):
                page = self._client.list_objects_v2(**request)
            yield page
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if not token or token == request.get("ContinuationToken"):
                raise StoreError(f"{self.uri}{prefix}: the store says that its listing goes on, but not where.")
            request["ContinuationToken"] = token

    def _objects(self, page: Any) -> Iterator[StoredObject]:
        skip = len(self._prefix)
        for content in page.get("Contents", ()):
            name = content["Key"][skip:]
            if is_safe_name(name):
                yield StoredObject(name, content["Size"], content["ETag"].strip('"'), content["LastModified"])
            elif name and not name.endswith("/"):
                logger.warning("%s: left out of the listing: %r is not a name that a store takes", self.uri, name)

    def _stream(self, name: str, start: int, stop: int | None, etag: str | None = None) -> Iterator[bytes]:
        """The bytes of an object from `start` to before `stop`, or fewer where it ends; with all faults translated.

        A cut body is resumed with the same ETag, or `ObjectChanged`. The count of failures starts anew with each byte
        that came: a long download over a bad line ends some day.
        """
        uri, position, failures = self.uri + name, start, 0
        while stop is None or position < stop:
            with _errors(uri):  # botocore has tried this often enough
                answer = self._opened_body(name, position, stop, etag)
            if answer is None:
                return
            etag = answer["ETag"].strip('"')
            stop = position + answer["ContentLength"]
            try:
                with contextlib.closing(answer["Body"]) as body:
                    while chunk := body.read(_CHUNK_BYTES):
                        yield chunk
                        position, failures = position + len(chunk), 0
            except _CUT as error:
                failures += 1
                logger.info("%s: cut after %d bytes (%s), resuming", uri, position - start, error)
                if failures >= self._patience.attempts:
                    _fail(uri, error)
                self._patience.pause(failures)
            except _FAILURES as error:
                _fail(uri, error)

    def _opened_body(self, name: str, start: int, stop: int | None, etag: str | None) -> Any:
        """The answer to a request for a span of an object; None where the object ends before it."""
        request = self._object(name)
        if start or stop is not None:
            request["Range"] = f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"
        if etag is not None:
            request["IfMatch"] = f'"{etag}"'
        try:
            answer = self._client.get_object(**request)
        except said.ClientError as error:
            if _code(error) in BEYOND_CODES:
                return None
            raise
        if etag is not None and answer["ETag"].strip('"') != etag:
            answer["Body"].close()
            raise ObjectChanged(f"{self.uri}{name}: it was overwritten. List it again.")
        if "Range" in request and not answer.get("ContentRange", "").startswith(f"bytes {start}-"):
            answer["Body"].close()
            raise StoreError(f"{self.uri}{name}: the store ignores the range of a request. Use another store.")
        return answer

    def _fetch(self, item: StoredObject, path: Path, start: int) -> None:
        """One part of a download into its place in a file."""
        stop = min(start + _PART_BYTES, item.size)
        # A small object is asked for whole: then botocore also checks the checksum that S3 keeps with it.
        chunks = self._stream(item.name, start, None if item.size <= _PART_BYTES else stop, item.etag)
        with path.open("r+b") as file:
            file.seek(start)
            for chunk in chunks:
                file.write(chunk)
            arrived = file.tell()
        if arrived != stop:
            raise ObjectChanged(
                f"{self.uri}{item.name}: it was {item.size:,} bytes when it was listed, and its part from {start:,} "
                f"ends at {arrived:,} instead of {stop:,} now. List it again."
            )

    def _was_written_by(self, name: str, writer: str) -> bool:
        return self._client.head_object(**self._object(name)).get("Metadata", {}).get(_WRITER) == writer


def _body_of(data: bytes | Path) -> contextlib.AbstractContextManager[Any]:
    return data.open("rb") if isinstance(data, Path) else contextlib.nullcontext(data)


def _code(error: said.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextlib.contextmanager
def _errors(uri: str) -> Iterator[None]:
    """Turns what botocore says into the store's errors, with the URI, what is wrong and what to do."""
    try:
        yield
    except _FAILURES as error:
        _fail(uri, error)


def _fail(uri: str, error: Exception) -> NoReturn:
    if isinstance(error, said.ClientError):
        code = _code(error)
        message = str(error.response.get("Error", {}).get("Message") or "")
        meaning = meaning_of(code, int(error.response["ResponseMetadata"].get("HTTPStatusCode", 0)))
        answer = f"{code}: {message}" if message and message != code else code
        raise meaning.error(f"{uri}: {meaning.wrong} ({answer.rstrip('.')}). {meaning.remedy}") from error
    what = str(error).strip().rstrip(".")
    if isinstance(error, _DENIED):
        raise StoreDenied(
            f"{uri}: no usable credentials ({what}). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
            "or give the pod's service account a role."
        ) from error
    if isinstance(error, said.SSLError) and "certificate" in what:
        raise StoreUnavailable(f"{uri}: {what}. For a CA of your own set AWS_CA_BUNDLE to its file.") from error
    if isinstance(error, _CUT):
        raise StoreUnavailable(
            f"{uri}: no answer ({what}). Check AWS_ENDPOINT_URL and the network, or try again later."
        ) from error
    if isinstance(error, said.FlexibleChecksumError):
        raise StoreUnavailable(
            f"{uri}: damaged on its way or in the store ({what}). Try again, or upload it anew."
        ) from error
    if isinstance(error, ResponseParserError):
        raise StoreError(f"{uri}: the answer is not that of an S3 server. Is AWS_ENDPOINT_URL right?") from error
    raise StoreError(f"{uri}: {what}.") from error
