"""Writes an image of one static program as an archive that `ctr images import` and `docker load` read:

    python3 hack/node/archive.py NAME PROGRAM ARCHIVE [WORD...]

The program is the image's entry point, the words are its command. The same program gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import sys
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NONROOT = 65532


def layer_of(program: Path) -> bytes:
    """A file system that holds the program, and an empty /tmp and /etc."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as layer:
        for name, mode in (("etc", 0o755), ("tmp", 0o1777)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            layer.addfile(folder)
        file = tarfile.TarInfo(program.name)
        file.mode, file.size = 0o755, program.stat().st_size
        with program.open("rb") as content:
            layer.addfile(file, content)
    return written.getvalue()


def write_archive(name: str, program: Path, archive: Path, command: list[str]) -> None:
    layer = layer_of(program)
    config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": [f"/{program.name}"], "Cmd": command, "User": str(NONROOT)},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(archive, "w") as written:
        for part, content in ((config_name, config), ("layer.tar", layer), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(part)
            entry.size = len(content)
            written.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    name, program, archive, *command = sys.argv[1:]
    write_archive(name, Path(program), Path(archive), command)
