"""The evaluator's command line, and the slice that it names: a file, or one of a plan that is mounted."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path
from typing import NoReturn

from fineline.errors import SpecError
from fineline.plan import Slice, read_slice

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Where an Indexed Job tells its pods which of them they are."""

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes looks for a container's last words; it puts the file there itself."""


class _Parser(argparse.ArgumentParser):
    """A wrong command line is an error like any other: one line, and the exit code for what a person must mend."""

    def error(self, message: str) -> NoReturn:
        raise SpecError(f"{message}; see --help")


def read_arguments(description: str | None) -> argparse.Namespace:
    """The command line. `SpecError` where it is wrong."""
    parser = _Parser(
        prog="fineline-evaluator",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  fineline-evaluator --slice slice-0.json --scratch /scratch\n"
        f"  {INDEX_VARIABLE}=0 fineline-evaluator --plan /plan --scratch /scratch",
    )
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument("--slice", type=Path, help="the slice, as the plan wrote it")
    work.add_argument("--plan", type=Path, help="folder with a plan's entries, as its ConfigMaps are mounted")
    parser.add_argument("--digest", help="SHA-256 that the slice's file must have (a plan tells its slices' own)")
    parser.add_argument("--index", type=int, help=f"which slice of the plan (default: the variable {INDEX_VARIABLE})")
    parser.add_argument("--scratch", type=Path, help="folder for at most two checkpoints (default: a temporary one)")
    parser.add_argument(
        "--grace-seconds", type=float, default=25.0, help="time from SIGTERM on for the unit in progress (default: 25)"
    )
    parser.add_argument(
        "--termination-message", type=Path, help=f"file for the last words (default: {TERMINATION_LOG} where it is)"
    )
    parser.add_argument("--metrics-port", type=int, help="serve Prometheus text on this port")
    arguments = parser.parse_args()
    for given, other in (("digest", "slice"), ("index", "plan")):
        if getattr(arguments, given) is not None and getattr(arguments, other) is None:
            parser.error(f"argument --{given}: goes with --{other}")
    return arguments


def read_work(arguments: argparse.Namespace) -> Slice:
    """The slice to do. `SpecError` where there is none, or not the planned one."""
    if arguments.plan is not None:
        return read_slice(arguments.plan, _index(arguments.index))
    path, digest = arguments.slice, arguments.digest
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: the slice can't be read: {error.strerror}") from None
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise SpecError(f"{path}: not the slice that the plan names (its digest differs); plan again")
    return Slice.from_json(data, str(path))


def _index(given: int | None) -> int:
    if given is not None:
        return given
    text = os.environ.get(INDEX_VARIABLE, "")
    if not text:
        raise SpecError(f"--plan: which slice? Give --index; an Indexed Job sets {INDEX_VARIABLE}")
    if not (text.isascii() and text.isdecimal()):
        raise SpecError(f"{INDEX_VARIABLE}: {text[:40]!r} is not the number of a slice")
    return int(text)
