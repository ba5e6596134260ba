"""Every kind of resource, with all that its CRD and its reference page are made from."""

from __future__ import annotations

from dataclasses import dataclass

from fineline.resources.analysis_reasons import ANALYSIS_CONDITIONS, AnalysisEvent, AnalysisReason
from fineline.resources.analysis_status import TrajectoryAnalysisStatus
from fineline.resources.checkpoint_eval import CheckpointEval, CheckpointEvalSpec
from fineline.resources.checkpoint_source import CheckpointSource, CheckpointSourceSpec
from fineline.resources.fields import ResourceModel
from fineline.resources.reasons import CONDITION_TYPES, EventReason, Reason
from fineline.resources.source_reasons import SOURCE_CONDITIONS, SourceEvent, SourceReason
from fineline.resources.source_status import CheckpointSourceStatus
from fineline.resources.status import CheckpointEvalStatus, StatusModel
from fineline.resources.trajectory_analysis import TrajectoryAnalysis, TrajectoryAnalysisSpec
from fineline.resources.words import ConditionReason, EventWord


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `wide` ones show with `-o wide` alone."""

    name: str
    type: str
    path: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `model` is the whole resource, `spec` and `status` its parts; `conditions` are in order."""

    name: str
    plural: str
    short: str
    model: type[ResourceModel]
    spec: type[ResourceModel]
    status: type[StatusModel]
    columns: tuple[Column, ...]
    conditions: tuple[str, ...]
    reasons: type[ConditionReason]
    events: type[EventWord]

    @property
    def singular(self) -> str:
        return self.name.lower()


def _of_condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


AGE = Column("Age", "date", ".metadata.creationTimestamp")

KINDS = (
    Kind(
        name="CheckpointEval",
        plural="checkpointevals",
        short="ckeval",
        model=CheckpointEval,
        spec=CheckpointEvalSpec,
        status=CheckpointEvalStatus,
        columns=(
            Column("Run", "string", ".spec.run.name"),
            Column("Checkpoints", "integer", ".status.plan.checkpoints"),
            Column("Progress", "string", ".status.progress.text"),
            Column("Succeeded", "string", _of_condition("Succeeded", "status")),
            Column("Reason", "string", _of_condition("Succeeded", "reason")),
            AGE,
            Column("Queue", "string", ".spec.queueName", wide=True),
            Column("Suite", "string", ".spec.suite['name','configMap']", wide=True),
            Column("Results", "string", ".status.results", wide=True),
        ),
        conditions=CONDITION_TYPES,
        reasons=Reason,
        events=EventReason,
    ),
    Kind(
        name="CheckpointSource",
        plural="checkpointsources",
        short="cksrc",
        model=CheckpointSource,
        spec=CheckpointSourceSpec,
        status=CheckpointSourceStatus,
        columns=(
            Column("Run", "string", ".spec.template.run.name"),
            Column("Found", "integer", ".status.checkpoints.found"),
            Column("Evaluated", "integer", ".status.checkpoints.evaluated"),
            Column("Failed", "integer", ".status.checkpoints.failed"),
            Column("Newest", "integer", ".status.newest.step"),
            Column("Ready", "string", _of_condition("Ready", "status")),
            AGE,
            Column("Reason", "string", _of_condition("Ready", "reason"), wide=True),
            Column("Waiting", "integer", ".status.checkpoints.waiting", wide=True),
            Column("URI", "string", ".spec.uri", wide=True),
        ),
        conditions=SOURCE_CONDITIONS,
        reasons=SourceReason,
        events=SourceEvent,
    ),
    Kind(
        name="TrajectoryAnalysis",
        plural="trajectoryanalyses",
        short="traj",
        model=TrajectoryAnalysis,
        spec=TrajectoryAnalysisSpec,
        status=TrajectoryAnalysisStatus,
        columns=(
            Column("Runs", "integer", ".status.runs"),
            Column("State", "string", ".status.worst"),
            Column("Report", "string", ".status.report"),
            Column("Ready", "string", _of_condition("Ready", "status")),
            AGE,
            Column("Reason", "string", _of_condition("Ready", "reason"), wide=True),
            Column("Analysed", "date", ".status.lastRun.completionTime", wide=True),
        ),
        conditions=ANALYSIS_CONDITIONS,
        reasons=AnalysisReason,
        events=AnalysisEvent,
    ),
)
