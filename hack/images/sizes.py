"""What images add to their bases: sizes.py ARCHIVE BASE-LAYERS [ARCHIVE BASE-LAYERS …], docker archives and how many of
their layers are the base's. Both as unpacked on a node and as a registry keeps and sends it (gzip)."""

import json
import posixpath
import sys
import tarfile
import zlib
from pathlib import Path
from typing import IO

PIECE = 1 << 20


def sizes(archive: Path, base_layers: int) -> tuple[int, int, int]:
    """Bytes of the base, of the layers above it, and of those compressed."""
    with tarfile.open(archive) as whole:
        layers = json.loads(_read(whole, "manifest.json"))[0]["Layers"]
        members = [_resolved(whole, layer) for layer in layers]
        above = members[base_layers:]
        compressed = sum(_compressed(stream) for layer in above if (stream := whole.extractfile(layer)))
    return sum(member.size for member in members[:base_layers]), sum(member.size for member in above), compressed


def _read(whole: tarfile.TarFile, name: str) -> bytes:
    stream = whole.extractfile(name)
    if stream is None:
        raise SystemExit(f"sizes.py: no {name} in the archive")
    return stream.read()


def _resolved(whole: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    """Equal layers are kept once, others as links to them."""
    member = whole.getmember(name)
    if member.issym():
        return whole.getmember(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)))
    return member


def _compressed(stream: IO[bytes]) -> int:
    packer = zlib.compressobj(6)
    total = 0
    while piece := stream.read(PIECE):
        total += len(packer.compress(piece))
    return total + len(packer.flush())


def main(arguments: list[str]) -> None:
    print(f"{'image':<16}{'base':>10}{'added':>10}{'added, gzip':>14}")
    for archive, base_layers in zip(arguments[::2], arguments[1::2], strict=True):
        base, added, compressed = sizes(Path(archive), int(base_layers))
        print(f"{Path(archive).stem:<16}{base / 1e6:>7.0f} MB{added / 1e6:>7.0f} MB{compressed / 1e6:>11.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
