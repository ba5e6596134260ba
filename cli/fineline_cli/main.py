"""The `fineline` command: one function a command, each thin over a function that can be imported.

Exit codes: 0 done, 1 failed, 2 used wrongly. Errors that a person can cause are one line, without a traceback.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from fineline.errors import FinelineError
from fineline_cli import output
from fineline_cli.output import Format, FormatOption

USED_WRONGLY = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
"""What typer raises for arguments that it can't take; it gives the class no public name."""

app = typer.Typer(
    name="fineline",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Evaluates every checkpoint of a pretraining run and says what the run is learning.",
    epilog="Example: `fineline run examples/tiny-run/eval.yaml --results build/demo/results`",
)
datasets_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Mirrors of data sets.",
    epilog="Example: `fineline datasets mirror fine-line-mini s3://mirror/`",
)
app.add_typer(datasets_app, name="datasets")

EvalFile = Annotated[Path, typer.Argument(metavar="EVAL.yaml", help="A CheckpointEval, as kubectl apply takes it.")]
ResultsOption = Annotated[
    str | None, typer.Option("--results", metavar="URI", help="Where results go, instead of spec.results.")
]
SlicesOption = Annotated[int, typer.Option(min=1, max=1024, help="Cut the work into this many child processes.")]
AnalysisOption = Annotated[
    str | None, typer.Option("--analysis", metavar="DIR", help="Where tables and report go; default: the results.")
]
NoAnalysisOption = Annotated[bool, typer.Option("--no-analysis", help="Evaluate only.")]
ResultsArgument = Annotated[str, typer.Argument(metavar="URI", help="A results URI, or a folder.")]
OutOption = Annotated[
    str | None, typer.Option("--out", "-o", metavar="DIR", help="A folder or a URI for tables and report.")
]
EvaluationArgument = Annotated[
    str | None, typer.Argument(metavar="NAME", help="One CheckpointEval. Default: all of the namespace.")
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The namespace. Default: the context's, as for kubectl.")
]
ContextOption = Annotated[
    str | None, typer.Option("--context", help="A context of the kubeconfig. Default: its current one.")
]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option("--kubeconfig", metavar="FILE", help="Default: KUBECONFIG, ~/.kube/config, or the pod it runs in."),
]
RunOption = Annotated[list[str] | None, typer.Option("--run", help="Only this run; may be given several times.")]


@app.command()
def run(
    evaluation: EvalFile,
    results: ResultsOption = None,
    slices: SlicesOption = 1,
    analysis: AnalysisOption = None,
    no_analysis: NoAnalysisOption = False,
) -> None:
    """Plan, evaluate and publish on this machine; ends with the table, the verdict and the path of the report.

    Example: `fineline run examples/tiny-run/eval.yaml --results build/demo/results`
    """
    from fineline_cli.run_command import run_file

    sys.exit(run_file(evaluation, results=results, slices=slices, analysis=analysis, with_analysis=not no_analysis))


@app.command()
def watch(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE.yaml", help="A CheckpointSource, as kubectl apply takes it.")
    ],
    results: ResultsOption = None,
    once: Annotated[
        bool, typer.Option("--once", help="Evaluate what is complete now, then end: exit 0 if nothing failed.")
    ] = False,
    slices: SlicesOption = 1,
    analysis: AnalysisOption = None,
    no_analysis: NoAnalysisOption = False,
) -> None:
    """Evaluate each checkpoint as it is uploaded, on this machine and without a cluster, until Ctrl-C or SIGTERM.

    It keeps nothing but the results: started again, it goes on where it was.

    Example: `fineline watch amber-7b.yaml --results s3://evals/results/`
    """
    from fineline_cli.watch_command import watch_file

    code = watch_file(
        source, results=results, once=once, slices=slices, analysis=analysis, with_analysis=not no_analysis
    )
    sys.exit(code)


@app.command()
def plan(evaluation: EvalFile, results: ResultsOption = None, output_format: FormatOption = Format.TABLE) -> None:
    """What `run` would do: checkpoints found and not complete (why), units, reused, tokens, estimated time.

    Example: `fineline plan amber-7b.yaml -o json`
    """
    from fineline_cli.plan_command import show_plan

    show_plan(evaluation, results, output_format)


@app.command()
def checkpoints(
    uri: Annotated[str, typer.Argument(metavar="URI", help="A checkpoint, or a prefix that holds many.")],
    tokens_per_step: Annotated[int | None, typer.Option(min=1, help="Tokens that one step sees.")] = None,
    marker: Annotated[str | None, typer.Option(help="A file that every complete checkpoint holds.")] = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Every checkpoint under a prefix: position, format, size, parameters, complete or what is missing.

    Example: `fineline checkpoints s3://pretrain/amber-7b/ --tokens-per-step 3900000`
    """
    from fineline_cli.checkpoints_command import show_checkpoints

    show_checkpoints(uri, tokens_per_step, marker, output_format)


@app.command()
def results(
    uri: ResultsArgument,
    runs: RunOption = None,
    tasks: Annotated[list[str] | None, typer.Option("--task", help="Only this task; may be given again.")] = None,
    samples: Annotated[bool, typer.Option("--samples", help="Documents instead of metrics.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Write a Parquet file instead of printing.")] = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """The metrics, or with --samples the documents, as a table, csv, json or Parquet.

    Example: `fineline results build/demo/results --run tiny-small --task copying -o csv`
    """
    from fineline_cli.results_command import show_results

    show_results(uri, runs, tasks, samples=samples, parquet=parquet, output_format=output_format)


@app.command()
def analyze(
    uri: ResultsArgument,
    out: OutOption = None,
    runs: RunOption = None,
    horizon: Annotated[
        list[str] | None, typer.Option(metavar="RUN=TOKENS", help="Forecast this run to so many tokens.")
    ] = None,
) -> None:
    """Trajectories, order, laws, forecasts and verdicts of the runs, as Arrow tables and one report.

    Example: `fineline analyze s3://evals/results/ -o analysis --horizon amber-7b=1.26e12`
    """
    from fineline_cli.analyze_command import analyze_results

    analyze_results(uri, out, runs, horizon or [])


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where `analyze` wrote its tables.")],
    open_browser: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    png: Annotated[bool, typer.Option("--png", help="Write each plot as a PNG beside the report.")] = False,
) -> None:
    """The path of a report; with --open it opens, with --png its plots become images.

    Example: `fineline report build/demo/analysis --png`
    """
    from fineline_cli.analyze_command import show_report

    show_report(folder, open_browser=open_browser, png=png)


@app.command()
def suites(
    name: Annotated[str | None, typer.Argument(help="One suite, with its tasks.")] = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """What suites there are, or the tasks of one.

    Example: `fineline suites fine-line`
    """
    from fineline_cli.suites_command import show_suites

    show_suites(name, output_format)


@app.command()
def crds() -> None:
    """The CustomResourceDefinitions, as YAML.

    Example: `fineline crds | kubectl apply --server-side -f -`
    """
    import yaml

    from fineline.resources import crd_documents

    yaml.safe_dump_all(crd_documents(), sys.stdout, sort_keys=False, allow_unicode=True, width=120)


@app.command()
def status(
    name: EvaluationArgument = None,
    namespace: NamespaceOption = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces.")] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            "-w",
            help="Show changes as they come: live on a terminal, as lines in a log, with -o json as an object a line. "
            "Ctrl-C ends it. With NAME it ends when that is finished: exit 0 if it succeeded, 1 if it failed.",
        ),
    ] = False,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """How a cluster's CheckpointEvals stand, and which need a person; with NAME one of them in full.

    Exit 0 whenever it could be told, however they stand.

    Example: `fineline status amber-7b -n evals --watch`
    """
    from fineline_cli.status_command import show_status

    code = show_status(
        name,
        namespace,
        everywhere=everywhere,
        watch=watch,
        kubeconfig=kubeconfig,
        context=context,
        output_format=output_format,
    )
    sys.exit(code)


@app.command()
def retry(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A CheckpointEval on the cluster.")],
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Have a finished or stalled CheckpointEval of a cluster tried again: what failed, never what has a result.

    It sets the annotation fineline.dev/retry, which opens it once more.

    Example: `fineline retry amber-7b -n evals`
    """
    from fineline_cli.retry_command import retry_evaluation

    retry_evaluation(name, namespace, kubeconfig=kubeconfig, context=context)


@datasets_app.command()
def mirror(
    suite: Annotated[str, typer.Argument(help="A built-in suite, or a folder with suite.yaml.")],
    destination: Annotated[str, typer.Argument(metavar="DEST", help="A URI or a folder.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="URI", help="Another mirror; default: the Hugging Face hub.")
    ] = None,
) -> None:
    """Fill a data-set mirror with all that a suite reads, and write its mirror.json.

    Example: `fineline datasets mirror fine-line-mini s3://mirror/`
    """
    from fineline_cli.suites_command import mirror_suite

    mirror_suite(suite, destination, source)


def main() -> None:
    """Entry point of `fineline`."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except FinelineError as error:
        for line in str(error).splitlines():
            output.say(f"error: {line}")
        sys.exit(error.exit_code)
    except USED_WRONGLY as error:
        if error.format_message():  # without a command the help was printed, which says it all
            output.say(f"error: {error.format_message()} See `fineline --help`.")
        sys.exit(2)
    except KeyboardInterrupt:
        output.say("stopped")
        sys.exit(1)
    except ModuleNotFoundError as error:
        extra = _extra_with(error.name or "")
        if extra is None:
            raise
        output.say(f"error: {error.name} is not installed. In Fineline's sources: pip install '.[{extra}]'")
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read has gone, as `head` does; at exit Python would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        output.say(f"error: {where}{error.strerror or error}")
        sys.exit(1)


def _extra_with(module: str) -> str | None:
    parts = {
        "evaluator": ("torch", "vllm", "lm_eval", "transformers", "datasets", "safetensors"),
        "analysis": ("scipy", "numpy", "altair", "vl_convert", "jinja2"),
        "cli": ("kubernetes", "urllib3"),
    }
    return next((extra for extra, names in parts.items() if module.partition(".")[0] in names), None)


if __name__ == "__main__":
    main()
