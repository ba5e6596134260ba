"""Images that are built once for all tests here, by the command that anyone uses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.stages import Stage
from support.unpacked import Unpacked, unpack

REPOSITORY = Path(__file__).parents[2]
ENGINES = ("docker", "podman", "buildah")


@pytest.fixture(scope="session")
def archive_of(stage: Stage) -> Callable[[str], Path]:
    """The docker archive of a target. Skips where nothing can build one, or it could not be run."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("no image is run here: it takes root on Linux")
    if not any(shutil.which(engine) for engine in ENGINES):
        pytest.skip(f"no image is built here: none of {', '.join(ENGINES)} is installed")

    def built(target: str) -> Path:
        command = [str(REPOSITORY / "hack/images.sh"), "build", target]
        with stage(f"build the image {target}"):
            ended = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
        assert ended.returncode == 0, ended.stderr
        name, path = ended.stdout.split()
        assert name == target
        return Path(path)

    return built


@pytest.fixture(scope="module")
def image_of(
    archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory, stage: Stage
) -> Iterator[Callable[[str], Unpacked]]:
    """An image, unpacked. What is unpacked takes gigabytes, and goes with the module's last test."""
    images: dict[str, Unpacked] = {}

    def unpacked(target: str) -> Unpacked:
        if target not in images:
            archive = archive_of(target)
            layers = int(archive.with_suffix(".base-layers").read_text())
            with stage(f"unpack the image {target}"):
                images[target] = unpack(archive, layers, tmp_path_factory.mktemp(target))
        return images[target]

    yield unpacked
    for image in images.values():
        shutil.rmtree(image.root)
