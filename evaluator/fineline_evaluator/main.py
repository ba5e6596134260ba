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
from typing import NoReturn

from fineline.errors import FinelineError, SpecError
from fineline.plan import Slice
from fineline_evaluator.endings import EXIT_STOPPED, EXIT_TRY_AGAIN, Ending, code_of
from fineline_evaluator.progress import Progress
from fineline_evaluator.stopping import Stop

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes looks for a container's last words; it puts the file there itself."""

log = logging.getLogger(__name__)


def main() -> None:
    """Entry point of `fineline-evaluator`."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        ending = _run(arguments)
    except FinelineError as error:
        ending = Ending(code_of(error), str(error))
    except MemoryError:
        ending = Ending(EXIT_TRY_AGAIN, "out of memory")
    except Exception as error:
        log.exception("not foreseen")
        ending = Ending(EXIT_TRY_AGAIN, f"{type(error).__name__}: {error}")
    _end(ending, arguments.termination_message)


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
        "--termination-message", type=Path, help=f"file for the last words (default: {TERMINATION_LOG} where it is)"
    )
    parser.add_argument("--metrics-port", type=int, help="serve Prometheus text on this port")
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> Ending:
    stop = Stop(arguments.grace_seconds)
    stop.listen()
    work = _read_slice(arguments.slice, arguments.digest)
    # After the signal handlers are there: lm-eval takes seconds, in which a container's first process would be deaf.
    from fineline_evaluator.loop import SliceWork

    with tempfile.TemporaryDirectory(prefix="fineline-", ignore_cleanup_errors=True) as temporary:
        scratch = arguments.scratch or Path(temporary)
        progress = Progress(of=len(work.units), on_lost=stop.request)
        if arguments.metrics_port is not None:
            from fineline_evaluator.exposition import expose

            expose(progress, arguments.metrics_port)
        slice_work = SliceWork(work, scratch, progress, stop)

        def out_of_time() -> None:
            slice_work.abandon()
            message = "stopped in order: the grace time ended in the middle of a unit, which is left for the next pod"
            _end(Ending(EXIT_STOPPED, message), arguments.termination_message)

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


def _end(ending: Ending, termination_message: Path | None) -> NoReturn:
    """Tells how it ended and ends at once: threads of the engine's libraries may still hold the process, and
    everything of ours is written and closed."""
    if termination_message is None and TERMINATION_LOG.is_file():
        termination_message = TERMINATION_LOG
    try:
        if termination_message is not None:
            termination_message.write_text(ending.line[:4000], encoding="utf-8")
        sys.stdout.flush()
        print(f"fineline-evaluator: {ending.line}", file=sys.stderr, flush=True)  # noqa: T201 - the last line, for people
    except OSError:
        pass  # nobody is there to be told: the exit code remains
    os._exit(ending.code)


if __name__ == "__main__":
    main()
