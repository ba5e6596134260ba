"""The evaluator's program: does one slice of a plan and ends with a code that says how.

0 all published; 3 permanent failures recorded; 4 the slice can't be read or the spec is wrong; 75 try again; 143
stopped in order. The last line of standard error and the termination message say the same in words.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import sys
import tempfile
from pathlib import Path

from fineline.errors import FinelineError, SpecError, StoreDenied, StoreNotFound
from fineline.plan import Slice
from fineline_evaluator.loop import EXIT_SPEC_WRONG, EXIT_TRY_AGAIN, Ending, SliceWork
from fineline_evaluator.progress import Progress
from fineline_evaluator.stopping import EXIT_STOPPED, Stop


def main() -> None:
    """Entry point of `fineline-evaluator`."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        ending = _run(arguments)
    except FinelineError as error:
        wrong = isinstance(error, SpecError | StoreDenied | StoreNotFound)
        ending = Ending(EXIT_SPEC_WRONG if wrong else EXIT_TRY_AGAIN, str(error))
    except MemoryError:
        ending = Ending(EXIT_TRY_AGAIN, "out of memory")
    _tell(ending, arguments.termination_message)
    # Threads of the engine's libraries may still hold the process at exit; everything of ours is written and closed.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ending.code)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="fineline-evaluator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: fineline-evaluator --slice slice-0.json --scratch /scratch",
    )
    parser.add_argument("--slice", type=Path, required=True, help="the slice, as the plan wrote it")
    parser.add_argument("--digest", help="SHA-256 that the slice's file must have")
    parser.add_argument("--scratch", type=Path, help="folder for at most two checkpoints (default: a temporary one)")
    parser.add_argument(
        "--grace-seconds", type=float, default=25.0, help="time from SIGTERM on for the unit in progress (default: 25)"
    )
    parser.add_argument(
        "--termination-message", type=Path, default=Path("/dev/termination-log"), help="file for the last words"
    )
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> Ending:
    work = _read_slice(arguments.slice, arguments.digest)
    stop = Stop(arguments.grace_seconds)
    stop.listen()
    with tempfile.TemporaryDirectory(prefix="fineline-", ignore_cleanup_errors=True) as temporary:
        scratch = arguments.scratch or Path(temporary)
        slice_work = SliceWork(work, scratch, Progress(of=len(work.units)), stop)

        def out_of_time() -> None:
            slice_work.abandon()
            _tell(Ending(EXIT_STOPPED, "stopped in order: the grace time ended in the middle of a unit"), None)
            os._exit(EXIT_STOPPED)

        stop.out_of_time = out_of_time
        return slice_work.run()


def _read_slice(path: Path, digest: str | None) -> Slice:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: the slice can't be read: {error.strerror}") from None
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise SpecError(f"{path}: not the slice that the plan names (its digest differs); plan again")
    return Slice.from_json(data, str(path))


def _tell(ending: Ending, termination_message: Path | None) -> None:
    text = ending.message.strip()
    print(f"fineline-evaluator: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the last line, for people
    if termination_message is not None and termination_message.parent.is_dir():
        try:
            termination_message.write_text(text[:4000], encoding="utf-8")
        except OSError:
            logging.getLogger(__name__).debug("no termination message: %s can't be written", termination_message)


if __name__ == "__main__":
    main()
