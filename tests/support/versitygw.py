"""A real S3 server for tests: versitygw, which checks signatures and honours conditional writes, on a folder."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

REGION = "us-east-1"


@dataclass(frozen=True)
class S3Server:
    """A running server. `folder` holds a folder per bucket; `process` may be ended to see what happens then."""

    endpoint: str
    folder: Path
    access_key: str
    secret_key: str
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return self.endpoint.removeprefix("http://").rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    @property
    def environment(self) -> dict[str, str]:
        """All that a process needs to reach this server, and nothing of the AWS configuration of whoever tests."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": self.address,
            "no_proxy": self.address,
        }

    def make_bucket(self, name: str) -> None:
        import boto3

        boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        ).create_bucket(Bucket=name)


@contextlib.contextmanager
def serve(
    binary: Path,
    folder: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    address: str = "127.0.0.1",
) -> Iterator[S3Server]:
    """A server over a new folder, until the end of the block. `options` are global options of versitygw, `address` is
    the one of this machine at which it listens."""
    access_key, secret_key = f"key{secrets.token_hex(8)}", secrets.token_hex(20)
    data = folder / "buckets"
    data.mkdir(parents=True)
    port = free_port(address)
    # The kernel ends the server with the tests, should those be killed.
    tied = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    with (folder / "versitygw.log").open("wb") as log:
        process = subprocess.Popen(
            [*tied, str(binary), "--port", f"{address}:{port}", "--quiet", *options, "posix", str(data)],
            env={
                "PATH": os.environ["PATH"],
                "ROOT_ACCESS_KEY_ID": access_key,
                "ROOT_SECRET_ACCESS_KEY": secret_key,
                "VGW_REGION": REGION,
                **(environment or {}),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(address, port, process, folder / "versitygw.log", tls="--cert" in options)
        yield S3Server(f"http://{address}:{port}", data, access_key, secret_key, process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _wait_for(address: str, port: int, process: subprocess.Popen[bytes], log: Path, *, tls: bool) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        connection = (
            http.client.HTTPSConnection(address, port, timeout=2, context=trusting)
            if tls
            else http.client.HTTPConnection(address, port, timeout=2)
        )
        try:
            connection.request("GET", "/")
            connection.getresponse()
            return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise RuntimeError(f"versitygw did not start: {log.read_text(errors='replace')[-2000:]}")
