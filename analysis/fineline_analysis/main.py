"""`fineline-analysis`: the program of the analysis pod.

    fineline-analysis --results s3://evals/results/ --output s3://evals/results/ --name weekly

Exit codes: 0 done, 1 failed (another try may do), 2 used wrongly or nothing to analyse, 143 stopped by SIGTERM. The
last line of standard error and the termination message say the same in words. With --name it is no error that the runs
have no results yet: that is published, for whoever follows the name looks again when there are some.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from fineline.errors import FinelineError, SpecError
from fineline.results.analyses import severity
from fineline_analysis.act import analyse_store
from fineline_analysis.analyse import Analysis

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes looks for a container's last words; it puts the file there itself."""

EXIT_STOPPED = 128 + signal.SIGTERM

_LONGEST_MESSAGE = 4000

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    termination_message: Path | None = None
    try:
        options = _parser().parse_args(arguments)
        termination_message = options.termination_message
        with _stopped_by_sigterm(termination_message):
            code, last_line = _run(options)
    except FinelineError as error:
        code, last_line = error.exit_code, str(error)
    except MemoryError:
        code, last_line = 1, "out of memory: give the pod more"
    except Exception as error:
        log.exception("not foreseen")
        code, last_line = 1, f"{type(error).__name__}: {error}"
    _tell(last_line, termination_message)
    return code


def _run(options: argparse.Namespace) -> tuple[int, str]:
    analysis = analyse_store(
        options.results,
        options.output,
        runs=options.run or None,
        families=options.family or None,
        horizons=dict(horizon_of(text) for text in options.horizon),
        references=options.reference,
        name=options.name,
        compact=True,
        may_wait=options.name is not None,
    )
    for verdict in analysis.verdicts:
        sys.stdout.write(f"{verdict.series}: {verdict.state}. {verdict.facts[0]}\n")
    for notice in analysis.notices:
        sys.stdout.write(f"note: {notice.message}\n")
    sys.stdout.write(f"{analysis.report}\n")
    sys.stdout.flush()
    return 0, _summary(analysis)


@contextmanager
def _stopped_by_sigterm(termination_message: Path | None) -> Iterator[None]:
    """A container's first process is deaf to a signal that it does not listen for. Whatever is written then is whole,
    and the next analysis makes the rest: it ends at once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        _tell("stopped before its end: the next one makes the same", termination_message)
        sys.stderr.flush()
        os._exit(EXIT_STOPPED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _summary(analysis: Analysis) -> str:
    """How many of the runs are in which state, the worst first."""
    states = Counter(verdict.state for verdict in analysis.verdicts)
    counted = ", ".join(f"{states[state]} {state}" for state in sorted(states, key=severity))
    return f"done: {counted or 'its runs have no results that could be judged'}; {analysis.report}"


def _tell(last_line: str, termination_message: Path | None) -> None:
    """The last words, in one line. Where nobody is there to be told, the exit code remains."""
    last_line = " ".join(last_line.split())
    if termination_message is None and TERMINATION_LOG.is_file():
        termination_message = TERMINATION_LOG
    try:
        if termination_message is not None:
            termination_message.write_text(last_line[:_LONGEST_MESSAGE], encoding="utf-8")
    except OSError as error:
        log.warning("%s: the termination message can't be written: %s", termination_message, error.strerror)
    sys.stderr.write(f"fineline-analysis: {last_line}\n")


class _Parser(argparse.ArgumentParser):
    """A wrong command line is an error like any other: one line, and the exit code for what a person must mend."""

    def error(self, message: str) -> NoReturn:
        raise SpecError(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fineline-analysis",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: fineline-analysis --results s3://evals/results/ --output analysis --horizon amber-7b=1.26e12",
    )
    parser.add_argument("--results", required=True, metavar="URI", help="where the results are: s3://… or a folder")
    parser.add_argument("--output", required=True, metavar="URI", help="where to write: s3://… or a folder")
    parser.add_argument("--name", help="lay the output out as analyses/NAME/DIGEST/, with latest.json pointing at it")
    which = parser.add_mutually_exclusive_group()
    _several(which, "--run", "RUN", "only this run")
    _several(which, "--family", "FAMILY", "only the runs of this family, as their newest results say")
    _several(parser, "--horizon", "RUN=TOKENS", "forecast to here; default: twice the newest")
    _several(parser, "--reference", "URI", "further results to judge against: recorded, and not judged against yet")
    parser.add_argument(
        "--termination-message", type=Path, help=f"file for the last words (default: {TERMINATION_LOG} where it is)"
    )
    return parser


def _several(parser: argparse._ActionsContainer, option: str, metavar: str, text: str) -> None:
    parser.add_argument(option, action="append", default=[], metavar=metavar, help=f"{text}; may be repeated")


def horizon_of(text: str) -> tuple[str, float]:
    """`RUN=TOKENS` as the run and the tokens; they may be written as 1.26e12. SpecError for anything else."""
    run, _, tokens = text.rpartition("=")
    try:
        value = float(tokens)
    except ValueError:
        value = math.nan
    if not run or not math.isfinite(value) or value <= 0:
        raise SpecError(f"--horizon: {text!r} is not RUN=TOKENS with a positive number of tokens")
    return run, value


if __name__ == "__main__":
    sys.exit(main())
