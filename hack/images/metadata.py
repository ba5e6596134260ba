"""Takes the metadata of an image's Python packages out of its docker archive: metadata.py ARCHIVE FOLDER."""

import json
import sys
import tarfile
from pathlib import Path


def main(archive: str, folder: str) -> None:
    with tarfile.open(archive) as whole:
        manifest = whole.extractfile("manifest.json")
        if manifest is None:
            raise SystemExit(f"{archive}: no docker archive")
        for name in json.load(manifest)[0]["Layers"]:
            with tarfile.open(fileobj=whole.extractfile(name)) as layer:
                members = [member for member in layer if _is_ours(Path(member.name)) and member.isreg()]
                layer.extractall(folder, members, filter="data")


def _is_ours(path: Path) -> bool:
    return path.parts[:2] == ("opt", "fineline") and path.parent.suffix == ".dist-info"


if __name__ == "__main__":
    main(*sys.argv[1:])
