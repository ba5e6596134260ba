"""A built image as a folder, and its programs run in it as a cluster would: a user that nobody knows, no privileges, a
root file system that can't be written to, /tmp empty and writable. Needs root, and no container runtime."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

USER = 65532
WHITEOUT = ".wh."

# In namespaces of its own: whatever happens, nothing stays mounted, and no process stays.
ENTER = """
set -eu
root=$1 folders=$2
shift 2
mount --bind "$root" "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm"
for folder in $folders; do
  mkdir -p "$root$folder"
  mount --bind "$folder" "$root$folder"
done
mount -o remount,bind,ro "$root"
ip link set lo up
"""


@dataclass(frozen=True)
class Unpacked:
    """`config` is what the image says of itself; `added` the files that it has above its base, from the root."""

    root: Path
    config: Mapping[str, Any]
    added: Mapping[PurePosixPath, tarfile.TarInfo]

    def run(
        self, *command: str, folders: tuple[Path, ...] = (), variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs it with the image's environment and a network of its own. Each of `folders`, which lie below /tmp, is
        seen at the same path."""
        environment = {**dict(entry.split("=", 1) for entry in self.config["Env"]), **(variables or {})}
        as_nobody = ["setpriv", "--no-new-privs", "chroot", f"--userspec={USER}:{USER}", "--groups="]
        start = shlex.join(
            ["exec", "env", "-i", *(f"{name}={value}" for name, value in environment.items()), *as_nobody]
        )
        shown = " ".join(str(folder) for folder in folders)
        return subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
             "sh", "-c", f'{ENTER}{start} "$root" "$@"', "sh", str(self.root), shown, *command],
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip


def unpack(archive: Path, base_layers: int, root: Path) -> Unpacked:
    """A docker archive's layers, one over the other."""
    added: dict[PurePosixPath, tarfile.TarInfo] = {}
    with tarfile.open(archive) as whole:
        described = json.loads(_read(whole, "manifest.json"))[0]
        config = json.loads(_read(whole, described["Config"]))["config"]
        for number, name in enumerate(described["Layers"]):
            with tarfile.open(fileobj=whole.extractfile(name)) as layer:
                for member in layer:
                    _apply(layer, member, root)
                    path = PurePosixPath(member.name)
                    if path.name.startswith(WHITEOUT):
                        added.pop(path.with_name(path.name.removeprefix(WHITEOUT)), None)
                    elif number >= base_layers:
                        added[path] = member
    root.chmod(0o755)
    return Unpacked(root, config, added)


def _apply(layer: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    path = root / member.name
    if path.name.startswith(WHITEOUT):
        gone = path.with_name(path.name.removeprefix(WHITEOUT))
        if gone.is_dir() and not gone.is_symlink():
            shutil.rmtree(gone)
        else:
            gone.unlink(missing_ok=True)
        return
    if not member.isdir():
        path.unlink(missing_ok=True)
    layer.extract(member, root, filter="fully_trusted")


def _read(whole: tarfile.TarFile, name: str) -> bytes:
    stream = whole.extractfile(name)
    assert stream is not None, f"the archive has no {name}"
    return stream.read()
