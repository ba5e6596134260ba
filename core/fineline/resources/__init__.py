"""The custom resources: models, reading from YAML, and the CRDs made from them."""

from fineline.resources.checkpoint_eval import CheckpointEval, CheckpointEvalSpec, Engine, Run, SuiteSpec, SuiteTaskSpec
from fineline.resources.crd import crd_documents
from fineline.resources.reading import ResourceFile, checkpoint_eval, read_resources

__all__ = [
    "CheckpointEval",
    "CheckpointEvalSpec",
    "Engine",
    "ResourceFile",
    "Run",
    "SuiteSpec",
    "SuiteTaskSpec",
    "checkpoint_eval",
    "crd_documents",
    "read_resources",
]
