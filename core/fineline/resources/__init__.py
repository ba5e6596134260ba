"""The custom resources: models, reading from YAML, and the CRDs made from them."""

from fineline.resources.checkpoint_eval import CheckpointEval, CheckpointEvalSpec, Engine, Run, SuiteSpec, SuiteTaskSpec
from fineline.resources.checkpoint_source import CheckpointSource, CheckpointSourceSpec
from fineline.resources.crd import crd_documents
from fineline.resources.reading import ResourceFile, read_resources, validated
from fineline.resources.trajectory_analysis import TrajectoryAnalysis, TrajectoryAnalysisSpec

__all__ = [
    "CheckpointEval",
    "CheckpointEvalSpec",
    "CheckpointSource",
    "CheckpointSourceSpec",
    "Engine",
    "ResourceFile",
    "Run",
    "SuiteSpec",
    "SuiteTaskSpec",
    "TrajectoryAnalysis",
    "TrajectoryAnalysisSpec",
    "crd_documents",
    "read_resources",
    "validated",
]
