"""A store's own events, from an upload to the annotation on a real API server, with the operator's own rights."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fineline_operator.uploads.webhook import Webhook
from support.control_plane import wait_for
from support.lab import Lab
from support.operator import install_operator
from support.uploads import TOKEN, counted, real_api, soon, uploads, webhook
from support.versitygw import S3Server, serve


@asynccontextmanager
async def telling_store(binary: Path, folder: Path, server: Webhook) -> AsyncIterator[S3Server]:
    """A versitygw that tells the webhook of its objects. It sends a test event first, and ends where nobody listens."""
    with contextlib.ExitStack() as stack:
        url = f"http://127.0.0.1:{server.port}/versitygw/{TOKEN}"
        store = await asyncio.to_thread(stack.enter_context, serve(binary, folder, "--event-webhook-url", url))
        try:
            yield store
        finally:
            await asyncio.to_thread(stack.close)


def put(store: S3Server, bucket: str, key: str) -> None:
    client(store).put_object(Bucket=bucket, Key=key, Body=b"x")


def put_in_parts(store: S3Server, bucket: str, key: str) -> None:
    s3 = client(store)
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)


def client(store: S3Server) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        region_name="us-east-1",
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
    )


def test_versitygw_s_own_events_wake_the_sources_of_its_uploads_and_no_others(
    lab: Lab, versitygw_binary: Path, tmp_path: Path
) -> None:
    bucket = f"bucket-{secrets.token_hex(4)}"
    kubeconfig = install_operator(lab.plane, lab.plane.make_namespace())
    for name, prefix in (("amber", "amber"), ("amber-2", "amber-2"), ("odd", "odd räder+%20 x")):
        lab.apply_source(name, uri=f"s3://{bucket}/{prefix}/", suspend=True)

    def woken(name: str) -> str | None:
        value: str | None = lab.sources.get(name)["metadata"].get("annotations", {}).get("fineline.dev/wake")
        return value

    async def run() -> None:
        tests = counted("webhook", "test")
        async with (
            real_api(kubeconfig) as api,
            uploads(api, lab.namespace, every=1, shortest=1, longest=10) as parts,
            webhook(parts.arrivals, tmp_path) as server,
            telling_store(versitygw_binary, tmp_path / "store", server) as store,
        ):
            await soon(lambda: counted("webhook", "test") == tests + 1, "versitygw's test event")
            await asyncio.to_thread(store.make_bucket, bucket)
            for number, (upload, key, name) in enumerate(
                (
                    (put, "amber/step1/config.json", "amber"),
                    (put_in_parts, "amber/step1/model.safetensors", "amber"),
                    (put, "odd räder+%20 x/step 1/ä+b", "odd"),
                )
            ):
                before = await asyncio.to_thread(woken, name)
                await asyncio.to_thread(upload, store, bucket, key)
                await asyncio.to_thread(
                    wait_for, lambda was=before, of=name: woken(of) != was, f"upload {number} to wake {name}", seconds=3
                )
            assert await asyncio.to_thread(woken, "amber-2") is None

    asyncio.run(run())
