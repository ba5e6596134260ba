"""`fineline plan`: what a run would do, without doing it."""

from __future__ import annotations

from pathlib import Path

from fineline.plan import Plan
from fineline_cli import output
from fineline_cli.evaluations import Evaluation, read_evaluations
from fineline_cli.output import Format, Row
from fineline_cli.running import plan_evaluation

SUSTAINED_FLOPS = 2e14
"""What a GPU of today sustains while it scores, in FLOP/s: 40% of 500 TFLOP/s. An assumption, and told as one."""

MAX_ROWS = 40


def show_plan(path: Path, results: str | None, output_format: Format) -> None:
    """Prints the plan of every evaluation in a file."""
    rows: list[Row] = []
    for evaluation in read_evaluations(path, results):
        plan = plan_evaluation(evaluation)
        if output_format is Format.TABLE:
            _print_plan(evaluation, plan)
        rows.append(plan_row(evaluation, plan))
    if output_format is not Format.TABLE:
        columns = [name for name in rows[0] if name not in {"put_aside", "checkpoint_list"}]
        output.emit(rows, columns, output_format)


def plan_row(evaluation: Evaluation, plan: Plan) -> Row:
    """The plan as plain values."""
    left = {unit.checkpoint for unit in plan.todo}
    return {
        "evaluation": evaluation.name,
        "run": plan.order.run.name,
        "checkpoints": len(plan.order.checkpoints),
        "checkpoints_to_load": len(left),
        "tasks": len(plan.order.tasks),
        "units": plan.units,
        "reused": len(plan.reused),
        "failed_before": len(plan.failed),
        "to_do": len(plan.todo),
        "estimated_tokens": plan.estimated_tokens,
        "bytes_to_fetch": sum(plan.order.checkpoints[index].size for index in left),
        "estimated_gpu_seconds": round(estimated_seconds(plan), 1),
        "put_aside": [vars(item) for item in plan.put_aside],
        "checkpoint_list": [
            {"uri": item.uri, "branch": item.branch, "step": item.step, "tokens": item.tokens, "bytes": item.size}
            for item in plan.order.checkpoints
        ],
        "results": plan.order.results_uri,
    }


def estimated_seconds(plan: Plan) -> float:
    """Scoring time on one GPU that sustains SUSTAINED_FLOPS, at C = 2ND for a forward pass; parameters are guessed from
    the files' size at two bytes each where the resource does not give them."""
    total = 0.0
    for unit in plan.todo:
        parameters = plan.order.run.parameters or plan.order.checkpoints[unit.checkpoint].size / 2
        tokens = plan.order.tasks[unit.task].estimated_tokens or 0
        total += 2 * parameters * tokens / SUSTAINED_FLOPS
    return total


def _print_plan(evaluation: Evaluation, plan: Plan) -> None:
    row = plan_row(evaluation, plan)
    print_ = output.console().print
    unknown = [task.task for task in plan.order.tasks if task.estimated_tokens is None]
    name, run, results = map(output.cell, (evaluation.name, plan.order.run.name, plan.order.results_uri))
    print_(f"[bold]{name}[/bold]: run {run}, to {results}")
    print_(
        f"  {row['checkpoints']:,} checkpoints x {row['tasks']} tasks = {row['units']:,} units: "
        f"{row['to_do']:,} to do, {row['reused']:,} already there, {row['failed_before']:,} failed before"
    )
    if plan.todo:
        print_(
            f"  loads {row['checkpoints_to_load']:,} checkpoints, {output.size(row['bytes_to_fetch'])}; about "
            f"{output.tokens(row['estimated_tokens'])} tokens, {_duration(row['estimated_gpu_seconds'])} of scoring "
            f"on a GPU that sustains {SUSTAINED_FLOPS / 1e12:.0f} TFLOP/s"
        )
        if unknown:
            print_(f"  of unknown size, so not in the time: {output.cell(', '.join(unknown))}")
    if plan.put_aside:
        shown: list[Row] = [
            {"not evaluated": item.name, "reason": item.reason, "why": item.message}
            for item in plan.put_aside[:MAX_ROWS]
        ]
        print_(output.table(shown, ["not evaluated", "reason", "why"]))
        if len(plan.put_aside) > MAX_ROWS:
            print_(f"  and {len(plan.put_aside) - MAX_ROWS:,} more; -o json has all")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
