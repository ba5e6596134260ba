"""In a build: takes out of a folder of installed packages what unused.txt names for every image and for one, and
compiles the rest: leave_out.py UNUSED IMAGE PACKAGES

A line that does nothing ends the build: a package has moved what it names, and someone has to look where.
"""

import compileall
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Literal, NamedTuple

from strip import strip

EVERY_IMAGE = "every image"
# Never checked against the sources, which don't change in an image.
UNCHECKED = PycInvalidationMode.UNCHECKED_HASH


class Line(NamedTuple):
    """`pattern` is a glob in the packages, and `kept` are names that stay of all that it matches. For subpackages and
    bytecode, `kept` are the modules whose own, and that of all that they load, stays."""

    image: str
    what: Literal["files", "symbols", "unlinked", "subpackages", "bytecode"]
    pattern: str
    kept: tuple[str, ...]


def read(text: str) -> Iterator[Line]:
    image = ""
    for line in text.splitlines():
        match line.split("#", 1)[0].split():
            case []:
                pass
            case [first, *_] as words if first.startswith("["):
                image = " ".join(words).strip("[]")
            case ["symbols", "of", pattern]:
                yield Line(image, "symbols", pattern, ())
            case ["unlinked", pattern]:
                yield Line(image, "unlinked", pattern, ())
            case ["subpackages", "of", package, "but", "of", *kept] if kept:
                yield Line(image, "subpackages", f"{package}/*/__init__.py", tuple(kept))
            case ["bytecode", "but", "of", *kept] if kept:
                yield Line(image, "bytecode", "", tuple(kept))
            case [pattern]:
                yield Line(image, "files", pattern, ())
            case [pattern, "but", *kept] if kept:
                yield Line(image, "files", pattern, tuple(kept))
            case _:
                sys.exit(f"unused.txt: none of the kinds of lines that its head tells of: {line}")


def leave_out(line: Line, packages: Path) -> None:
    found = sorted(packages.glob(line.pattern))
    if line.what == "subpackages":
        loaded = loaded_by(line.kept, packages)
        found = [path.parent for path in found if path not in loaded]
    elif line.kept:
        for name in sorted(set(line.kept) - {path.name for path in found}):
            sys.exit(f"unused.txt: [{line.image}] {line.pattern}: {name}, which is to be kept, is not there")
        found = [path for path in found if path.name not in line.kept]
    if not found and (line.image != EVERY_IMAGE or (packages / line.pattern.split("/")[0]).exists()):
        sys.exit(f"unused.txt: [{line.image}] {line.pattern}: matches nothing; where has the package moved it?")
    if line.what == "unlinked":
        linked = _linked(packages)
        found = [path for path in found if path.name not in linked]
    for path in found:
        if line.what == "symbols":
            strip(path)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def loaded_by(modules: tuple[str, ...], packages: Path) -> set[Path]:
    """The files of `modules` and of all that they load."""
    code = f"""
import json, sys
sys.path.insert(0, {str(packages)!r})
import {", ".join(modules)}
print(json.dumps([module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]))
"""
    ended = subprocess.run([sys.executable, "-B", "-c", code], stdout=subprocess.PIPE, check=False)
    if ended.returncode:
        sys.exit(f"unused.txt: what {' '.join(modules)} load can't be told: one of them is not imported")
    return {path for path in map(Path, json.loads(ended.stdout)) if packages in path.parents}


def _linked(packages: Path) -> set[str]:
    """The names of libraries that a module is linked to, or a library that one is linked to."""
    libraries = {path.name: path for path in packages.glob("*.libs/*")}
    reading = [path for path in packages.rglob("*.so") if not path.parent.name.endswith(".libs")]
    linked: set[str] = set()
    while reading:
        content = reading.pop().read_bytes()
        more = {name for name in libraries if name not in linked and name.encode() + b"\0" in content}
        linked |= more
        reading += [libraries[name] for name in more]
    return linked


def main(unused: str, image: str, folder: str) -> None:
    packages = Path(folder)
    lines = [line for line in read(Path(unused).read_text(encoding="utf-8")) if line.image in (EVERY_IMAGE, image)]
    for line in lines:
        if line.what != "bytecode":
            leave_out(line, packages)
    modules = tuple(module for line in lines if line.what == "bytecode" for module in line.kept)
    if modules:
        for path in loaded_by(modules, packages):
            if path.suffix == ".py":
                compileall.compile_file(path, quiet=2, invalidation_mode=UNCHECKED)
    else:
        # Packages ship templates and tests of syntax that don't compile: no harm.
        compileall.compile_dir(packages, quiet=2, workers=2, invalidation_mode=UNCHECKED)


if __name__ == "__main__":
    main(*sys.argv[1:])
