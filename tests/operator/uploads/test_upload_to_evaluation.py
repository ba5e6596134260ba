"""From an upload to its CheckpointEval, with the operator as it runs: nothing is listed in time but by an event.

Two replicas; the store posts to the one that does not act. Sources are polled once a day.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fineline_operator.uploads.mapping import SourceName
from fineline_operator.uploads.waking import Waker
from support import bucket_events as events
from support.control_plane import ControlPlane, wait_for
from support.lab import Lab, operator_settings
from support.operator import Operator, install_operator, start_operator
from support.processes import lasting_port
from support.sqs import SqsServer
from support.uploads import TOKEN, real_api
from support.versitygw import S3Server, serve

DAY = 86_400


@dataclass
class Site:
    """Two replicas, and a bucket whose store posts its events to the second one, which does not act."""

    lab: Lab
    acting: Operator
    waiting: Operator
    queue: str
    missing_queue: str


@contextlib.contextmanager
def somebody_at(port: int) -> Iterator[None]:
    """Takes every post meanwhile: versitygw ends where nobody listens when it starts."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def telling_store(
    versitygw_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[S3Server, int]]:
    """A versitygw, and the port that it posts to."""
    port = lasting_port()
    with contextlib.ExitStack() as stack:
        url = f"http://127.0.0.1:{port}/versitygw/{TOKEN}"
        with somebody_at(port):
            server = stack.enter_context(serve(versitygw_binary, tmp_path / "store", "--event-webhook-url", url))
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server, port


@pytest.fixture
def site(
    own_plane: ControlPlane, telling_store: tuple[S3Server, int], sqs: SqsServer, tmp_path: Path
) -> Iterator[Site]:
    server, port = telling_store
    bucket = f"bucket-{secrets.token_hex(4)}"
    server.make_bucket(bucket)
    namespace, home = own_plane.make_namespace(), own_plane.make_namespace()
    kubeconfig = install_operator(own_plane, home, watched=[namespace])
    lab = Lab(own_plane, namespace, f"s3://{bucket}/", tmp_path / "lab")
    queue = sqs.make_queue(f"q-{secrets.token_hex(6)}")
    missing = f"{queue}-missing"
    (tmp_path / "token").write_text(TOKEN)
    settings = operator_settings(server, f"s3://{bucket}/", tmp_path, namespaces=[namespace])
    settings["queues"] = [sqs.settings(url, tmp_path / "sqs") for url in (queue, missing)]

    def replica(name: str, webhook_port: int, *, wait: bool) -> contextlib.AbstractContextManager[Operator]:
        webhook = {"port": webhook_port, "tokenFile": str(tmp_path / "token")}
        folder = tmp_path / name
        return start_operator(folder, kubeconfig, settings={**settings, "webhook": webhook}, identity=name, wait=wait)

    lab.apply_source("quiet", uri=f"s3://{bucket}/quiet/", sqs=queue, pollSeconds=DAY)
    lab.apply_source("broken", uri=f"s3://{bucket}/broken/", sqs=missing)
    lab.apply_source("told", uri=f"s3://{bucket}/räder+%20 7b/", pollSeconds=DAY)
    lab.apply_source("beside", uri=f"s3://{bucket}/räder/", pollSeconds=DAY)
    try:
        with replica("acting", 0, wait=True) as acting, replica("waiting", port, wait=False) as waiting:
            wait_for(lambda: waiting.said("the webhook takes notices"), "the second replica's webhook")
            for name in ("quiet", "told", "beside"):
                lab.wait_until(lambda of=name: lab.sources.status(of)["lastListed"], f"{name} to be listed")
            yield Site(lab, acting, waiting, queue, missing)
    finally:
        own_plane.delete_namespace(namespace)
        own_plane.delete_namespace(home)


def arrival(true: Callable[[], object], what: str) -> float:
    """Waits for it, far less than the day of the poll, and gives the seconds that it took: 3 are the goal, and more are
    the fault of a busy machine."""
    began = time.monotonic()
    wait_for(lambda: bool(true()), what, seconds=30)
    return time.monotonic() - began


def test_an_upload_is_evaluated_within_seconds_by_the_webhook_of_any_replica_or_by_a_queue(
    site: Site, sqs: SqsServer, record_property: Callable[[str, object], None]
) -> None:
    lab = site.lab

    # By versitygw's own events, posted to the replica that does not act.
    lab.uri = f"{lab.uri}räder+%20 7b/"
    upload(lab, 1000)
    record_property("a CheckpointEval of told", arrival(lambda: lab.evaluations_of("told"), "a CheckpointEval of told"))
    assert site.waiting.metric("fineline_events_total", via="webhook", outcome="woken") >= 1
    assert site.acting.metric("fineline_events_total") == 0
    assert "fineline.dev/wake" not in lab.sources.get("beside")["metadata"].get("annotations", {})

    # By a queue, ten times each and in any order. The store's own posts are refused meanwhile.
    token = Path(site.waiting.settings).parents[1] / "token"
    token.write_text("")
    lab.uri = f"{lab.uri.removesuffix('räder+%20 7b/')}quiet/"
    keys = [f"quiet/{key}" for key in upload(lab, 2000)]
    bucket = lab.uri.split("/")[2]
    assert not lab.evaluations_of("quiet")
    sqs.send(site.queue, *[events.sns(events.aws(bucket, key)) for key in reversed(keys * 10)])
    record_property(
        "a CheckpointEval of quiet", arrival(lambda: lab.evaluations_of("quiet"), "a CheckpointEval of quiet")
    )
    assert len(lab.evaluations_of("quiet")) == 1
    wait_for(lambda: sqs.left(site.queue) == 0, "the queue to be empty")
    assert site.acting.metric("fineline_events_total", via="sqs", outcome="woken") >= len(keys) * 10
    assert site.waiting.metric("fineline_events_total", via="webhook", outcome="refused") >= len(keys)
    assert site.waiting.said("every post is refused until it holds a token")

    # A queue that is not there is told by who names it, and the prefix is listed all the same.
    told = lab.sources.wait("Ready", "False", "QueueDenied", name="broken")
    assert f"queue {site.missing_queue}: there is no such queue. Create it" in told["message"]
    assert "lastListed" in lab.sources.status("broken")


def test_nothing_of_a_source_but_the_annotation_changes(own_plane: ControlPlane, tmp_path: Path) -> None:
    """With the operator's own rights."""
    namespace, home = own_plane.make_namespace(), own_plane.make_namespace()
    kubeconfig = install_operator(own_plane, home, watched=[namespace])
    lab = Lab(own_plane, namespace, "s3://bucket/", tmp_path)
    made = lab.apply_source(suspend=True)
    path = lab.sources.path("tiny")
    lab.api.patch(path, {"metadata": {"annotations": {"a": "person's"}}})

    async def run() -> None:
        async with real_api(kubeconfig) as api:
            waker = Waker(api)
            await waker.woken([SourceName(lab.namespace, "tiny"), SourceName(lab.namespace, "gone")])
            await waker.stop()

    asyncio.run(run())
    found = lab.api.get(path)
    annotations = found["metadata"]["annotations"]
    assert annotations.pop("fineline.dev/wake").startswith("20")
    assert annotations == {"a": "person's"}
    assert found["metadata"]["generation"] == made["metadata"]["generation"]
    assert found["spec"] == made["spec"]
    own_plane.delete_namespace(namespace)
    own_plane.delete_namespace(home)


def upload(lab: Lab, step: int) -> list[str]:
    """A checkpoint below the lab's URI; the names of its files."""
    from support.evaluations import listed_checkpoint
    from support.slices import upload as put

    made = lab.folder / f"step{step}"
    listed_checkpoint(made)
    put(made, f"{lab.uri}step{step}/")
    return [f"step{step}/{file.name}" for file in sorted(made.iterdir())]
