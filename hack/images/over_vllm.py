"""In a build on vLLM's image: what of Fineline's lock that image lacks, and whether all of it fits together.

    python3 over_vllm.py see             a .pth file's line for each folder of packages that this Python has
    python over_vllm.py lacking LOCK     the lock's entries for which nothing is installed, with their hashes
    python over_vllm.py check FOLDER     fails where a package in FOLDER doesn't find what it requires

What the image has stays as it is: its torch, its CUDA, its vLLM belong together.
"""

import re
import site
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==")
ENGINE = ("torch", "vllm")


def see() -> list[str]:
    return [f"import site; site.addsitedir({folder!r})" for folder in site.getsitepackages() if Path(folder).is_dir()]


def lacking(lock: str) -> list[str]:
    for name in ENGINE:
        if not _is_installed(name):
            sys.exit(f"VLLM_IMAGE: its python3 has no {name}; give an image of vLLM's")
    found: list[str] = []
    wanted = False
    for line in lock.splitlines():
        entry = ENTRY.match(line)
        if entry:
            wanted = not _is_installed(entry[1])
        if wanted and not line.lstrip().startswith("#"):
            found.append(line)
    return found


def check(folder: str) -> list[str]:
    return [problem for dist in distributions(path=[folder]) for problem in _unmet(dist)]


def _unmet(dist: Distribution) -> list[str]:
    from packaging.requirements import Requirement  # vLLM requires it itself

    extras = ("evaluator", "") if dist.name == "fineline" else ("",)
    problems: list[str] = []
    for requirement in map(Requirement, dist.requires or []):
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        try:
            version = distribution(requirement.name).version
        except PackageNotFoundError:
            problems.append(f"{dist.name} requires {requirement}, which is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{dist.name} requires {requirement}, and {version} is installed")
    return problems


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def main(command: str, *arguments: str) -> None:
    if command == "see":
        print("\n".join(see()))
    elif command == "lacking":
        print("\n".join(lacking(Path(arguments[0]).read_text(encoding="utf-8"))))
    else:
        problems = check(arguments[0])
        if problems:
            sys.exit("VLLM_IMAGE does not fit: " + "; ".join(problems))


if __name__ == "__main__":
    main(*sys.argv[1:])
