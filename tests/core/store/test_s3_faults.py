"""S3 when things go wrong: every fault is made for real, by a proxy or by the server itself."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fineline.errors import (
    ObjectChanged,
    ObjectNotFound,
    SpecError,
    StoreDenied,
    StoreError,
    StoreNotFound,
    StoreUnavailable,
)
from fineline.store import Patience, Store, StoredObject, open_store
from fineline.store.s3 import S3Store, open_bucket
from support.faults import FaultProxy
from support.versitygw import S3Server, serve

MIB = 1 << 20
NOW = datetime.now(UTC)


@pytest.fixture
def faults(s3_faults: FaultProxy) -> FaultProxy:
    return s3_faults


@pytest.fixture
def faulty(faults: FaultProxy, s3_prefix: str) -> Store:
    """A store whose every request passes the proxy."""
    return open_store(s3_prefix)


def put_and_head(store: Store, name: str, content: bytes) -> StoredObject:
    store.put(name, content)
    item = store.head(name)
    assert item is not None
    return item


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError")])
def test_a_store_that_fails_in_passing_is_asked_again(
    faults: FaultProxy, faulty: Store, status: int, code: str
) -> None:
    for use in (
        lambda: faulty.put("object", b"x"),
        lambda: faulty.get("object"),
        lambda: faulty.head("object"),
        lambda: list(faulty.list()),
        faulty.list_level,
        lambda: faulty.delete("object"),
        lambda: faulty.put_if_absent("commit", b"x"),
    ):
        faults.answer(status, code, times=1)
        use()
    assert faulty.head("object") is None
    assert faulty.get("commit") == b"x"


def test_throttling_is_answered_by_slowing_down(faults: FaultProxy, faulty: Store) -> None:
    faults.answer(503, "SlowDown", times=3)
    started = time.monotonic()
    faulty.put("object", b"x")
    assert time.monotonic() - started > 0.1
    assert len(faults.requests) == 4


def test_a_store_that_keeps_failing_is_unavailable(faults: FaultProxy, s3_prefix: str, tmp_path: Path) -> None:
    store = impatient(s3_prefix)
    item = put_and_head(store, "object", b"x")
    for status, code in ((503, "SlowDown"), (500, "InternalError"), (502, "Bad Gateway")):
        faults.answer(status, code, times=10_000)
        for use in uses_of(store, item, tmp_path / "copy"):
            with pytest.raises(StoreUnavailable, match=r"s3://fineline-tests/.*try again later") as caught:
                use()
            assert not caught.value.permanent
        faults.heal()
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_answer_in_time_is_unavailable(faults: FaultProxy, s3_prefix: str) -> None:
    store = impatient(s3_prefix)
    faults.delay(1.5, times=2)
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="no answer"):
        store.head("object")
    assert time.monotonic() - started < 3


def test_a_closed_connection_is_tried_again(faults: FaultProxy, faulty: Store) -> None:
    faults.refuse(times=2)
    faulty.put("object", b"x")
    faults.refuse(times=2)
    assert faulty.get("object") == b"x"


def test_a_store_gone_half_way_is_unavailable(
    versitygw_binary: Path, tmp_path: Path, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(versitygw_binary, tmp_path / "server") as server:
        server.make_bucket("bucket")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store = impatient("s3://bucket/")
        item = put_and_head(store, "object", b"x")
        server.process.terminate()
        server.process.wait(10)
        for use in uses_of(store, item, tmp_path / "copy"):
            with pytest.raises(StoreUnavailable, match=r"s3://bucket/.*AWS_ENDPOINT_URL"):
                use()
    assert not (tmp_path / "copy").exists()


def test_a_listing_that_breaks_between_pages_says_so(faults: FaultProxy, s3_prefix: str) -> None:
    store = impatient(s3_prefix)
    for number in range(5):
        store.put(f"object{number}", b"")
    of_two = {"MaxKeys": 2}
    store._client.meta.events.register("provide-client-params.s3.ListObjectsV2", lambda params, **_: params | of_two)
    listing = store.list()
    assert next(listing).name == "object0"
    faults.answer(500, times=10_000)
    with pytest.raises(StoreUnavailable):
        list(listing)
    faults.heal()
    assert [item.name for item in store.list()] == [f"object{number}" for number in range(5)]


def test_a_cut_download_is_resumed_where_it_ended(faults: FaultProxy, faulty: Store, tmp_path: Path) -> None:
    content = os.urandom(3 * MIB)
    item = put_and_head(faulty, "weights", content)
    faults.cut(MIB, times=2)
    faults.requests.clear()

    faulty.download(item, tmp_path / "weights")

    assert (tmp_path / "weights").read_bytes() == content
    spans = [request.headers.get("range", "") for request in faults.requests]
    assert spans == ["", f"bytes={MIB}-{3 * MIB - 1}", f"bytes={2 * MIB}-{3 * MIB - 1}"]


def test_a_cut_read_is_resumed_where_it_ended(faults: FaultProxy, faulty: Store) -> None:
    content = os.urandom(3 * MIB)
    faulty.put("object", content)
    faults.cut(MIB, times=1)
    assert faulty.get("object") == content
    faults.cut(MIB, times=1)
    assert faulty.get("object", 1000, 2 * MIB) == content[1000 : 1000 + 2 * MIB]


def test_a_download_cut_more_often_than_patience_lasts_still_ends_while_bytes_come(
    faults: FaultProxy, s3_prefix: str, tmp_path: Path
) -> None:
    store = impatient(s3_prefix)
    content = os.urandom(4 * MIB)
    item = put_and_head(store, "weights", content)
    faults.cut(MIB // 2, times=7)
    store.download(item, tmp_path / "weights")
    assert (tmp_path / "weights").read_bytes() == content


def test_a_download_that_no_byte_comes_of_ends(faults: FaultProxy, s3_prefix: str, tmp_path: Path) -> None:
    store = impatient(s3_prefix)
    item = put_and_head(store, "weights", os.urandom(MIB))
    faults.cut(0, times=10_000)
    with pytest.raises(StoreUnavailable, match="weights"):
        store.download(item, tmp_path / "weights")
    with pytest.raises(StoreUnavailable, match="weights"):
        store.get("weights")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["overwritten", "deleted"])
def test_an_object_that_changes_while_it_is_downloaded_is_not_kept(
    faults: FaultProxy, faulty: Store, s3_prefix: str, tmp_path: Path, change: str
) -> None:
    item = put_and_head(faulty, "weights", os.urandom(2 * MIB))
    meanwhile = open_store(s3_prefix)
    changes = {
        "overwritten": (lambda: meanwhile.put("weights", os.urandom(2 * MIB)), ObjectChanged),
        "deleted": (lambda: meanwhile.delete("weights"), ObjectNotFound),
    }
    do, error = changes[change]
    faults.cut(MIB, times=1, then=do)
    with pytest.raises(error, match="weights"):
        faulty.download(item, tmp_path / "weights")
    assert list(tmp_path.iterdir()) == []


def test_an_object_overwritten_while_it_is_read_is_read_anew(faults: FaultProxy, faulty: Store, s3_prefix: str) -> None:
    faulty.put("object", b"a" * 2 * MIB)
    meanwhile = open_store(s3_prefix)
    faults.cut(MIB, times=1, then=lambda: meanwhile.put("object", b"b" * 2 * MIB))
    assert faulty.get("object") == b"b" * 2 * MIB


def test_an_object_damaged_in_the_store_is_refused(versitygw: S3Server, s3_prefix: str, tmp_path: Path) -> None:
    store = open_store(s3_prefix)
    item = put_and_head(store, "weights", b"a" * MIB)
    with (versitygw.folder / s3_prefix.removeprefix("s3://") / "weights").open("r+b") as file:
        file.write(b"b")
    with pytest.raises(StoreUnavailable, match="weights: damaged"):
        store.download(item, tmp_path / "weights")
    with pytest.raises(StoreUnavailable, match="weights: damaged"):
        store.get("weights")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_can_not_be_reached_is_not_tried_twice_as_often(faults: FaultProxy, s3_prefix: str) -> None:
    store = impatient(s3_prefix)
    faults.refuse(times=10_000)
    with pytest.raises(StoreUnavailable):
        store.get("object")
    assert len(faults.requests) == 2


def test_a_writer_whose_answer_was_lost_knows_that_it_won(faults: FaultProxy, faulty: Store) -> None:
    faults.lose_answers(500, times=1, method="PUT")
    assert faulty.put_if_absent("commit", b"mine") is True

    faults.lose_answers(500, times=1, method="PUT")
    assert faulty.put_if_absent("commit", b"mine") is False
    assert faulty.get("commit") == b"mine"


def test_a_conditional_write_that_met_another_is_repeated(faults: FaultProxy, faulty: Store) -> None:
    faults.answer(409, "ConditionalRequestConflict", times=2, method="PUT")
    assert faulty.put_if_absent("commit", b"mine") is True
    faults.answer(409, "ConditionalRequestConflict", times=1, method="PUT")
    assert faulty.put_if_absent("commit", b"other") is False


def test_a_writer_whose_answer_was_lost_knows_that_it_replaced_the_object(faults: FaultProxy, faulty: Store) -> None:
    seen = put_and_head(faulty, "pointer", b"first").etag
    faults.lose_answers(500, times=1, method="PUT")
    assert faulty.put_if_unchanged("pointer", b"mine", seen) is True

    faults.lose_answers(500, times=1, method="PUT")
    assert faulty.put_if_unchanged("pointer", b"other", seen) is False
    assert faulty.get("pointer") == b"mine"

    seen = put_and_head(faulty, "pointer", b"again").etag
    faults.answer(409, "ConditionalRequestConflict", times=2, method="PUT")
    assert faulty.put_if_unchanged("pointer", b"third", seen) is True


@pytest.mark.parametrize(
    ("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument"), (400, "InvalidRequest")]
)
def test_where_a_server_does_not_know_if_match_it_is_compared_and_then_written(
    faults: FaultProxy, faulty: Store, status: int, code: str
) -> None:
    seen = put_and_head(faulty, "pointer", b"first").etag
    faults.answer(status, code, times=1, method="PUT")
    assert faulty.put_if_unchanged("pointer", b"mine", seen) is True
    assert faulty.get("pointer") == b"mine"
    faults.answer(status, code, times=1, method="PUT")
    assert faulty.put_if_unchanged("pointer", b"late", seen) is False
    assert faulty.get("pointer") == b"mine"


def test_a_refusal_that_is_no_word_on_the_condition_is_told(faults: FaultProxy, faulty: Store) -> None:
    seen = put_and_head(faulty, "pointer", b"first").etag
    faults.answer(400, "InvalidArgument", times=2, method="PUT")
    with pytest.raises(StoreError, match="InvalidArgument"):
        faulty.put_if_unchanged("pointer", b"mine", seen)
    faults.answer(403, "AccessDenied", times=1, method="PUT")
    with pytest.raises(StoreDenied):
        faulty.put_if_unchanged("pointer", b"mine", seen)
    assert faulty.get("pointer") == b"first"


def test_large_files_go_in_parts_both_ways(faults: FaultProxy, faulty: Store, tmp_path: Path) -> None:
    content = os.urandom(MIB) * 130 + b"end"
    (tmp_path / "source").write_bytes(content)
    faulty.put("weights", tmp_path / "source")
    item = faulty.head("weights")
    assert item is not None
    assert item.size == len(content)

    faults.requests.clear()
    faults.cut(MIB, times=2)
    faulty.download(item, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert len(faults.requests) == 3 + 2

    changed = StoredObject("weights", item.size, "0" * 32 + "-3", item.modified)
    with pytest.raises(ObjectChanged):
        faulty.download(changed, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


def test_a_large_file_that_can_not_be_put_leaves_no_object(faults: FaultProxy, s3_prefix: str, tmp_path: Path) -> None:
    store = impatient(s3_prefix)
    with (tmp_path / "source").open("wb") as file:
        file.truncate(70 * MIB)
    faults.answer(500, times=10_000, method="PUT")
    with pytest.raises(StoreUnavailable, match="weights"):
        store.put("weights", tmp_path / "source")
    faults.heal()
    assert list(store.list()) == []


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "unknown", "AWS_ACCESS_KEY_ID"),
        ("AWS_ACCESS_KEY_ID", "", "AWS_ACCESS_KEY_ID|AWS_PROFILE"),
        ("AWS_PROFILE", "nobody", "nobody"),
    ],
)
def test_wrong_or_missing_credentials_are_denied(
    s3_prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, says: str
) -> None:
    item = put_and_head(open_store(s3_prefix), "object", b"x")
    monkeypatch.setenv(variable, value) if value else monkeypatch.delenv(variable)
    # Whoever asks by HEAD is told 404 by this server where the user is not known.
    asks_by_head = 2 if value == "unknown" else None
    for number in range(8):
        if number != asks_by_head:
            with pytest.raises(StoreDenied, match=f"s3://fineline-tests/.*({says})"):
                uses_of(impatient(s3_prefix), item, tmp_path / "copy")[number]()


def test_a_user_without_the_right_is_denied(
    versitygw_binary: Path, tmp_path: Path, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users").mkdir()
    with serve(versitygw_binary, tmp_path / "server", "--iam-dir", str(tmp_path / "users")) as server:
        server.make_bucket("bucket")
        admin = [str(versitygw_binary), "admin", "--access", server.access_key, "--secret", server.secret_key]
        user = ["create-user", "--access", "guest", "--secret", "guestsecret", "--role", "user"]
        subprocess.run([*admin, "--endpoint-url", server.endpoint, *user], check=True, capture_output=True)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        item = put_and_head(impatient("s3://bucket/"), "object", b"x")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "guest")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guestsecret")
        for use in uses_of(impatient("s3://bucket/"), item, tmp_path / "copy"):
            with pytest.raises(StoreDenied, match=r"access denied .* s3:ListBucket"):
                use()


def test_a_missing_bucket_is_named(s3_environment: dict[str, str], tmp_path: Path) -> None:
    store = open_store("s3://no-such-bucket/results/")
    for use in (
        lambda: list(store.list()),
        store.list_level,
        lambda: store.get("object"),
        lambda: store.put("object", b"x"),
        lambda: store.put_if_absent("object", b"x"),
    ):
        with pytest.raises(StoreNotFound, match=r"s3://no-such-bucket/results/.*there is no such bucket"):
            use()


def test_an_endpoint_that_is_no_s3_server_is_said(
    s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Website(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><p>Welcome"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Website) as website:
        threading.Thread(target=website.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{website.server_address[1]}")
        with pytest.raises(StoreError, match="AWS_ENDPOINT_URL"):
            list(impatient("s3://bucket/").list())
        website.shutdown()


def test_settings_that_can_not_be_are_named(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "many")
    with pytest.raises(SpecError, match="AWS_MAX_ATTEMPTS"):
        open_store("s3://bucket/")
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not an address")
    with pytest.raises(SpecError, match="AWS_ENDPOINT_URL"):
        open_store("s3://bucket/")


def test_a_server_with_its_own_ca_needs_it_named(
    versitygw_binary: Path, tmp_path: Path, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with serve(versitygw_binary, tmp_path / "server", "--cert", str(certificate), "--key", str(key)) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{server.port}")
        with pytest.raises(StoreNotFound):
            list(impatient("s3://bucket/").list())
        monkeypatch.delenv("AWS_CA_BUNDLE")
        with pytest.raises(StoreUnavailable, match="AWS_CA_BUNDLE"):
            list(impatient("s3://bucket/").list())


def test_markers_of_folders_are_left_out_of_listings(s3_prefix: str) -> None:
    import boto3

    bucket, _, prefix = s3_prefix.removeprefix("s3://").partition("/")
    client = boto3.session.Session().client("s3")  # the default session keeps whatever keys it was made with
    for key in ("marker/", "marker/object"):
        client.put_object(Bucket=bucket, Key=prefix + key, Body=b"")
    store = open_store(s3_prefix)
    assert [item.name for item in store.list()] == ["marker/object"]
    assert [item.name for item in store.list("marker/")] == ["marker/object"]
    assert [item.name for item in store.list_level("marker/").objects] == ["marker/object"]


def test_keys_that_could_leave_a_folder_are_left_out_and_told(s3_prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    store = impatient(s3_prefix)
    prefix = s3_prefix.split("/", 3)[3]
    keys = ["../escape", "a/../../escape", "/etc/passwd", "a//b", "a/\0", "folder/", "", "fine"]
    # This server takes no such keys, others do.
    page = {"Contents": [{"Key": prefix + key, "Size": 1, "ETag": '"e"', "LastModified": NOW} for key in keys]}
    assert [item.name for item in store._objects(page)] == ["fine"]
    assert len(caplog.messages) == 5
    assert "../escape" in caplog.text


def test_stores_of_one_environment_share_a_client_and_a_changed_one_gets_its_own(
    s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = impatient("s3://bucket/a"), impatient("s3://bucket/b")
    assert first._client is second._client is first.at("c")._client
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert impatient("s3://bucket/a")._client is not first._client


def test_a_bucket_whose_requester_pays_is_asked_as_one(s3_faults: FaultProxy, s3_prefix: str) -> None:
    store = open_store(s3_prefix, requester_pays=True)
    store.put("folder/object", b"x")
    assert [item.name for item in store.at("folder").list()] == ["object"]
    assert [request.headers["x-amz-request-payer"] for request in s3_faults.requests] == ["requester"] * 2


def impatient(uri: str) -> S3Store:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return open_bucket(bucket, prefix, patience=Patience(attempts=2, connect_seconds=1, read_seconds=0.5))


def uses_of(store: Store, item: StoredObject, path: Path) -> list[Callable[[], object]]:
    """Every way to use a store that asks it something."""
    return [
        lambda: list(store.list()),
        store.list_level,
        lambda: store.head(item.name),
        lambda: store.get(item.name),
        lambda: store.put("other", b"x"),
        lambda: store.put_if_absent("other", b"x"),
        lambda: store.download(item, path),
        lambda: store.delete(item.name),
    ]
