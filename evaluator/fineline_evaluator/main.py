"""The evaluator's program: does one slice of a plan and ends with a code that says how.

0 all published; 3 permanent failures recorded; 4 the slice can't be read, or the spec or the command line is wrong; 75
try again; 143 stopped in order. The last line of standard error and the termination message say the same in words.
"""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from fineline.errors import FinelineError
from fineline_evaluator.arguments import TERMINATION_LOG, read_arguments, read_work
from fineline_evaluator.endings import EXIT_STOPPED, EXIT_TRY_AGAIN, Ending, code_of
from fineline_evaluator.progress import Progress
from fineline_evaluator.stopping import Stop

log = logging.getLogger(__name__)


def main() -> None:
    """Entry point of `fineline-evaluator`."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    arguments: argparse.Namespace | None = None
    try:
        arguments = read_arguments(__doc__)
        be_somebody()
        ending = _run(arguments)
    except FinelineError as error:
        ending = Ending(code_of(error), str(error))
    except MemoryError:
        ending = Ending(EXIT_TRY_AGAIN, "out of memory")
    except Exception as error:
        log.exception("not foreseen")
        ending = Ending(EXIT_TRY_AGAIN, f"{type(error).__name__}: {error}")
    _end(ending, arguments.termination_message if arguments is not None else None)


def be_somebody() -> None:
    """Gives a user without a name one: libraries ask for it, and a container's user may be a mere number."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"user-{os.getuid()}"


def _run(arguments: argparse.Namespace) -> Ending:
    stop = Stop(arguments.grace_seconds)
    stop.listen()
    work = read_work(arguments)
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
