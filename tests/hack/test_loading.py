"""hack/node/load.sh loads what the node has not, and only that. A stand-in answers for containerd."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from hack.scripts import NODE, bash

TAG, CONFIG, MANIFEST = "localhost/some:1", "sha256:" + 64 * "c", "sha256:" + 64 * "d"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps([{"Config": f"{64 * 'c'}.json", "RepoTags": [TAG], "Layers": []}]))
    with tarfile.open(tmp_path / "some.tar", "w") as written:
        written.add(manifest, "manifest.json")
    return tmp_path / "some.tar"


def imports(folder: Path, archive: Path, *, tagged: str = MANIFEST, config: str = CONFIG, unpacked: bool = True) -> int:
    """How often the archive was imported where the tag is that manifest's and the manifest names that configuration."""
    (folder / "images").write_text(f"REF TYPE DIGEST SIZE\n{TAG} docker {tagged} 6.0 MiB managed\n")
    layer = "containerd.io/gc.ref.snapshot.overlayfs=sha256:1" if unpacked else "-"
    content = (
        f"{MANIFEST} 422B 6 minutes containerd.io/gc.ref.content.config={config}\n{CONFIG} 265B 6 minutes {layer}\n"
    )
    (folder / "content").write_text("DIGEST SIZE AGE LABELS\n" + content)
    (folder / "called").write_text("")
    ctr = folder / "ctr"
    ctr.write_text(
        f'#!/bin/bash\ncase "$5 $6" in *list | *ls) cat "{folder}/$5" ;; *) echo "$6 $7" >>"{folder}/called" ;; esac\n'
    )
    ctr.chmod(0o755)

    done = bash(f'{NODE}/load.sh "$1"', archive, environment={"PATH": f"{folder}:{os.environ['PATH']}"})

    assert (done.returncode, done.stderr) == (0, "")
    called = (folder / "called").read_text().splitlines()
    assert called in ([], [f"import {archive}"])
    return len(called)


def test_an_image_that_is_there_as_it_is_is_not_loaded_again(tmp_path: Path, archive: Path) -> None:
    assert imports(tmp_path, archive) == 0


def test_an_image_is_loaded_where_its_tag_is_that_of_another(tmp_path: Path, archive: Path) -> None:
    assert imports(tmp_path, archive, tagged="sha256:" + 64 * "e") == 1
    assert imports(tmp_path, archive, config="sha256:" + 64 * "f") == 1


def test_an_image_whose_loading_was_ended_half_way_is_loaded_again(tmp_path: Path, archive: Path) -> None:
    assert imports(tmp_path, archive, unpacked=False) == 1
