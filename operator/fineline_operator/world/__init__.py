"""What is known of the cluster from watching: small values, and who is woken by which change."""

from fineline_operator.world.known import (
    ANALYSIS,
    EVALUATION,
    RETRY_ANNOTATION,
    SOURCE,
    WAKE_ANNOTATION,
    AnalysisKnown,
    EvaluationKnown,
    JobKnown,
    Known,
    SourceKnown,
    analysis_known,
    evaluation_known,
    job_known,
    key_of,
    lane,
    source_known,
)
from fineline_operator.world.world import PROGRESS_DELAY_SECONDS, RESULTS_DELAY_SECONDS, World

__all__ = [
    "ANALYSIS",
    "EVALUATION",
    "PROGRESS_DELAY_SECONDS",
    "RESULTS_DELAY_SECONDS",
    "RETRY_ANNOTATION",
    "SOURCE",
    "WAKE_ANNOTATION",
    "AnalysisKnown",
    "EvaluationKnown",
    "JobKnown",
    "Known",
    "SourceKnown",
    "World",
    "analysis_known",
    "evaluation_known",
    "job_known",
    "key_of",
    "lane",
    "source_known",
]
