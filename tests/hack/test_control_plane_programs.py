"""hack/control-plane.sh: where the control plane's programs come from. Small scripts stand for the real, large ones."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.control_plane import BINARIES, REPOSITORY

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODE_PROGRAMS = ("kubelet", "kube-proxy")
GO_MOD = (REPOSITORY / "hack" / "control-plane" / "go.mod").read_text()
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def version_of(module: str) -> str:
    found = re.search(rf"^\s+{re.escape(module)} (v\S+)$", GO_MOD, re.MULTILINE)
    assert found is not None, f"{module} is not in go.mod"
    return found[1]


def program(name: str, origin: str) -> str:
    return f"#!/bin/sh\necho {name} of {origin}\n"


def run(cache: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BINARIES), *words],
        env=settings(cache, **environment),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def settings(cache: Path, **environment: str) -> dict[str, str]:
    # No releases but those of the test.
    nowhere = {"FINELINE_KUBERNETES_RELEASES": "", "FINELINE_ETCD_RELEASES": ""}
    without = {name: value for name, value in os.environ.items() if name != "KUBEBUILDER_ASSETS"}
    return {**without, **nowhere, "XDG_CACHE_HOME": str(cache), "no_proxy": "127.0.0.1", **environment}


def said(folder: str) -> dict[str, str]:
    """What each program of the folder says of itself."""
    return {name: subprocess.check_output([f"{folder}/{name}"], text=True).strip() for name in PROGRAMS}


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """A folder laid out as the two release servers are."""
    root = tmp_path / "releases"
    binaries = root / version_of("k8s.io/kubernetes") / "bin" / "linux" / MACHINE
    binaries.mkdir(parents=True)
    for name in (*PROGRAMS[1:], *NODE_PROGRAMS):
        (binaries / name).write_text(program(name, "a release"))
        (binaries / f"{name}.sha256").write_text(hashlib.sha256((binaries / name).read_bytes()).hexdigest())
    etcd_version = version_of("go.etcd.io/etcd/server/v3")
    (root / etcd_version).mkdir()
    folder = f"etcd-{etcd_version}-linux-{MACHINE}"
    archive = root / etcd_version / f"{folder}.tar.gz"
    with tarfile.open(archive, "w:gz") as written:
        content = program("etcd", "a release").encode()
        member = tarfile.TarInfo(f"{folder}/etcd")
        member.size = len(content)
        written.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (root / etcd_version / "SHA256SUMS").write_text(f"{digest}  {archive.name}\n")
    return root


@pytest.fixture
def served(releases: Path) -> Iterator[dict[str, str]]:
    """The environment in which the script finds these releases."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(releases))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        yield {"FINELINE_KUBERNETES_RELEASES": address, "FINELINE_ETCD_RELEASES": address}
        server.shutdown()


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """What envtest has: no controllers."""
    folder = tmp_path / "assets"
    folder.mkdir()
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (folder / name).write_text(program(name, "the assets"))
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def path_without_go(tmp_path: Path) -> str:
    (tmp_path / "bin").mkdir()
    wanted = "bash env awk cat chmod curl cut dirname flock mkdir mktemp mv rm sha256sum tar uname ln gzip"
    for name in wanted.split():
        found = next((Path(folder) / name for folder in os.get_exec_path() if (Path(folder) / name).exists()), None)
        if found is None:
            pytest.skip(f"{name} is not installed")
        (tmp_path / "bin" / name).symlink_to(found)
    return str(tmp_path / "bin")


def test_programs_come_from_the_releases_and_are_kept(tmp_path: Path, served: dict[str, str]) -> None:
    done = run(tmp_path / "cache", **served)
    assert done.returncode == 0, done.stderr
    assert "fetching Kubernetes" in done.stderr
    assert said(done.stdout.strip()) == {name: f"{name} of a release" for name in PROGRAMS}

    again = run(tmp_path / "cache")  # no releases any more
    assert (again.stdout, again.stderr) == (done.stdout, "")


def test_what_only_a_node_needs_is_fetched_for_a_node(tmp_path: Path, served: dict[str, str]) -> None:
    for_tests = run(tmp_path / "cache", **served).stdout.strip()
    assert not any((Path(for_tests) / name).exists() for name in NODE_PROGRAMS)

    for_a_node = run(tmp_path / "cache", "node", **served).stdout.strip()

    assert all((Path(for_a_node) / name).exists() for name in (*PROGRAMS, *NODE_PROGRAMS))
    assert run(tmp_path / "cache").stdout.strip() == for_tests  # tests go on with what they had


def test_a_program_that_is_not_what_the_release_says_is_refused(
    tmp_path: Path, releases: Path, served: dict[str, str]
) -> None:
    next(releases.glob("*/bin/*/*/kubectl")).write_text("something else")

    done = run(tmp_path / "cache", **served)

    assert done.returncode == 1
    assert "kubectl is not what its release says" in done.stderr
    assert done.stdout == ""
    assert list((tmp_path / "cache" / "fineline" / "control-plane").glob("[!.]*")) == []  # nothing half is kept
    assert list((tmp_path / "cache" / "fineline" / "control-plane").glob(".making-*")) == []


def test_a_release_that_lacks_a_program_is_no_release(tmp_path: Path, releases: Path, served: dict[str, str]) -> None:
    next(releases.glob("*/bin/*/*/kube-scheduler")).unlink()

    done = run(tmp_path / "cache", **served)

    assert done.returncode == 1
    assert "kube-scheduler could not be fetched" in done.stderr


def test_what_the_assets_lack_comes_from_elsewhere(tmp_path: Path, served: dict[str, str], assets: Path) -> None:
    done = run(tmp_path / "cache", KUBEBUILDER_ASSETS=str(assets), **served)

    assert done.returncode == 0, done.stderr
    origins = {name: text.rpartition(" of ")[2] for name, text in said(done.stdout.strip()).items()}
    assert origins == {
        "etcd": "the assets",
        "kube-apiserver": "the assets",
        "kubectl": "the assets",
        "kube-controller-manager": "a release",
        "kube-scheduler": "a release",
    }


def test_whole_assets_are_taken_as_they_are(tmp_path: Path, assets: Path) -> None:
    for name in PROGRAMS:
        (assets / name).write_text(program(name, "the assets"))
        (assets / name).chmod(0o755)

    assert run(tmp_path / "cache", KUBEBUILDER_ASSETS=str(assets)).stdout == f"{assets}\n"


def test_two_at_once_fetch_once(tmp_path: Path, served: dict[str, str]) -> None:
    both = [
        subprocess.Popen(
            [str(BINARIES)],
            env=settings(tmp_path / "cache", **served),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [one.communicate(timeout=60) for one in both]

    assert [one.returncode for one in both] == [0, 0], told
    assert told[0][0] == told[1][0]
    assert sum("fetching" in errors for _, errors in told) == 1


def test_without_releases_and_without_go_it_says_what_is_missing(tmp_path: Path, path_without_go: str) -> None:
    done = run(tmp_path / "cache", PATH=path_without_go)

    assert done.returncode == 1
    assert "go is not installed" in done.stderr
    assert done.stdout == ""
