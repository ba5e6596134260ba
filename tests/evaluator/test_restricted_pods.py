"""The evaluator as a restricted pod runs it: a user without a name, a root that can't be written to, a fresh home."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fineline.plan import bundle
from support.slices import Site, make_mirror, make_run, upload
from support.versitygw import S3Server

NOBODY = "64999"
VLLM = {"backend": "vllm", "dtype": "float32", "maxModelLen": 256}
VLLM |= {"args": {"threads": 1, "kv_cache_memory_bytes": 1 << 26}}

# The folder stays writable, as emptyDirs do; what is below `/` otherwise does not. A user namespace gives the process a
# number that no passwd entry has, and takes all capabilities from it.
_RESTRICTED = """
mount --bind "$0" "$0" && mount -o remount,ro,bind / && cd / &&
exec unshare --user --map-user={user} --map-group={user} -- "$@"
"""


def restricted(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as in a restricted container where only `folder` can be written to."""
    script = _RESTRICTED.format(user=NOBODY)
    return subprocess.run(
        ["unshare", "--mount", "--", "sh", "-c", script, str(folder), *command],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def pod_folder(tmp_path: Path) -> Path:
    """A folder for the pod's emptyDirs; skips where this machine's user may not make namespaces."""
    folder = tmp_path / "pod"
    for name in ("home", "tmp", "scratch", "plan"):
        (folder / name).mkdir(parents=True)
    if shutil.which("unshare") is None:
        pytest.skip("no restricted process here: unshare (util-linux) is not installed")
    tried = restricted(
        folder, "sh", "-c", 'id -u; touch /outside 2>&1; touch "$0/tmp/inside" && ls "$0/tmp"', str(folder)
    )
    if tried.returncode or not tried.stdout.startswith(NOBODY):
        pytest.skip(f"no restricted process here: mount and user namespaces are refused ({tried.stderr.strip()})")
    assert "Read-only file system" in tried.stdout
    assert tried.stdout.endswith("inside\n")
    return folder


def test_a_user_without_a_name_is_given_one(pod_folder: Path) -> None:
    """vLLM and torch ask for the name of whoever compiles."""
    code = "from fineline_evaluator.main import be_somebody; be_somebody(); import getpass; print(getpass.getuser())"
    ended = restricted(pod_folder, sys.executable, "-c", code, HOME=f"{pod_folder}/home")
    assert ended.stdout == f"user-{NOBODY}\n", ended.stderr


@pytest.mark.engine
def test_a_slice_is_done_with_nothing_but_empty_folders_to_write_to(
    pod_folder: Path, versitygw: S3Server, s3_prefix: str, tmp_path: Path
) -> None:
    site = Site(
        checkpoints=upload(make_run(tmp_path / "checkpoints", steps=(1,)), s3_prefix + "checkpoints/"),
        mirror=upload(make_mirror(tmp_path / "mirror"), s3_prefix + "mirror/"),
        results=s3_prefix + "results/",
    )
    plan = site.plan("letters", "sums", engine=VLLM)
    for name, data in bundle(plan, plan.slices(1), made=datetime.now(UTC)).index.items():
        (pod_folder / "plan" / name).write_bytes(data)
    home = pod_folder / "home"
    ended = restricted(
        pod_folder,
        sys.executable, "-m", "fineline_evaluator.main", "--plan", f"{pod_folder}/plan",
        "--scratch", f"{pod_folder}/scratch", "--termination-message", f"{pod_folder}/message",
        HOME=str(home),
        TMPDIR=f"{pod_folder}/tmp",
        XDG_CACHE_HOME=f"{home}/.cache",
        TORCHINDUCTOR_CACHE_DIR=f"{home}/.cache/torchinductor",
        TRITON_CACHE_DIR=f"{home}/.cache/triton",
        JOB_COMPLETION_INDEX="0",
        FINELINE_STORES=json.dumps([{"prefix": s3_prefix, "endpoint": versitygw.endpoint, "region": "us-east-1"}]),
        AWS_ACCESS_KEY_ID=versitygw.access_key,
        AWS_SECRET_ACCESS_KEY=versitygw.secret_key,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert (pod_folder / "message").read_text() == "2 published, 0 already there, 0 failed"
    assert "Traceback" not in ended.stderr
    assert "Read-only file system" not in ended.stderr
    assert sorted(site.contents()) == [(1, "letters"), (1, "sums")]
