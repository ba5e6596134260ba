"""In a build: takes pip and what installs it away from the base's Python, and this file with it. An image is what its
lock says, for good."""

import shutil
import site
import sysconfig
from pathlib import Path

SHARED = Path("/usr/share/python-wheels")
"""Where Debian keeps the wheels of ensurepip."""


def main() -> None:
    packages = {Path(folder) for folder in [*site.getsitepackages(), sysconfig.get_path("purelib")]}
    found = [entry for folder in packages for name in ("pip", "pip-*", "ensurepip") for entry in folder.glob(name)]
    found += [Path(sysconfig.get_path("stdlib")) / "ensurepip", SHARED]
    found += [program for folder in ("/usr/bin", "/usr/local/bin") for program in Path(folder).glob("pip*")]
    found.append(Path(__file__))
    for entry in found:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
