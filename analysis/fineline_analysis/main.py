"""`fineline-analysis`: the program of the analysis pod.

    fineline-analysis --results s3://evals/results/ --output s3://evals/results/ --name weekly

Exit codes: 0 done, 1 failed, 2 used wrongly. An error is one line on stderr.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from fineline.errors import FinelineError, SpecError
from fineline_analysis.act import analyse_store


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code; argparse itself exits with 2."""
    options = _parser().parse_args(arguments)
    try:
        analysis = analyse_store(
            options.results,
            options.output,
            runs=options.run or None,
            horizons=dict(horizon_of(text) for text in options.horizon),
            name=options.name,
        )
    except FinelineError as error:
        sys.stderr.write(f"fineline-analysis: {error}\n")
        return error.exit_code
    for verdict in analysis.verdicts:
        sys.stdout.write(f"{verdict.series}: {verdict.state}. {verdict.facts[0]}\n")
    for notice in analysis.notices:
        sys.stdout.write(f"note: {notice.message}\n")
    sys.stdout.write(f"{analysis.report}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fineline-analysis",
        description="Reads results, fits, forecasts, judges and writes tables and a report.",
        epilog="example: fineline-analysis --results s3://evals/results/ --output analysis --horizon amber-7b=1.26e12",
    )
    parser.add_argument("--results", required=True, metavar="URI", help="where the results are: s3://… or a folder")
    parser.add_argument("--output", required=True, metavar="URI", help="where to write: s3://… or a folder")
    parser.add_argument("--name", help="lay the output out as analyses/NAME/DIGEST/, with latest.json pointing at it")
    parser.add_argument("--run", action="append", default=[], metavar="RUN", help="only this run; may be repeated")
    parser.add_argument(
        "--horizon",
        action="append",
        default=[],
        metavar="RUN=TOKENS",
        help="forecast to here; default: twice the newest",
    )
    return parser


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
