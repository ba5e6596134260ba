"""TrajectoryAnalysis: what the runs are learning, kept fresh."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fineline.resources.checkpoint_eval import Metadata
from fineline.resources.checkpoint_source import DAY
from fineline.resources.fields import ObjectName, ResourceModel, Rule, SeriesName, StoreUri
from fineline.resources.pod_template import PodTemplateValues

MAX_RUNS = 256
PositiveTokens = Annotated[int, Field(ge=1, le=10**18)]


class Runs(ResourceModel):
    """Which runs: their names, the families they belong to, or all."""

    rules = (
        Rule(
            "[has(self.names), has(self.families), has(self.all)].filter(given, given).size() == 1",
            "needs one of names, families and all",
            lambda runs: [runs.names, runs.families, runs.all].count(None) == 2,
        ),
        Rule("!has(self.all) || self.all", "all must be true, or left out", lambda runs: runs.all in (None, True)),
    )

    names: Annotated[tuple[SeriesName, ...], Field(min_length=1, max_length=MAX_RUNS, strict=False)] | None = Field(
        None, description="Runs by their names (run.name of evaluations). Default: families or all instead."
    )
    families: Annotated[tuple[SeriesName, ...], Field(min_length=1, max_length=MAX_RUNS, strict=False)] | None = Field(
        None, description="Every run of these families (run.family of evaluations). Default: names or all instead."
    )
    all: bool | None = Field(None, description="Every run that has results. Default: names or families instead.")


class AnalysisPods(ResourceModel):
    """The pod that computes the analysis."""

    service_account_name: ObjectName | None = Field(
        None, description="Its service account, for workload identity. Default: the namespace's default one."
    )
    secret_name: ObjectName | None = Field(
        None,
        description="A Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as environment of the pod only. "
        "Default: the service account's identity.",
    )
    template: PodTemplateValues = Field(
        default_factory=dict,
        description="A partial PodTemplateSpec, merged over the operator's; its container is called analysis. Default: "
        "the operator's as it is.",
    )


class TrajectoryAnalysisSpec(ResourceModel):
    """Which results are analysed, and when."""

    rules = (
        Rule(
            "self.maxWaitSeconds >= self.debounceSeconds",
            "maxWaitSeconds is shorter than debounceSeconds",
            lambda spec: spec.max_wait_seconds >= spec.debounce_seconds,
        ),
    )

    runs: Runs = Field(description="Which runs are analysed together.")
    results: StoreUri | None = Field(
        None,
        description="Where their results are, and where the analysis goes (analyses/<namespace>.<name>/): "
        "s3://bucket/prefix/. Default: the chart's results.",
    )
    horizon: dict[SeriesName, PositiveTokens] = Field(
        default_factory=dict,
        max_length=MAX_RUNS,
        description="Tokens to forecast to, by run. Default: twice the tokens seen.",
    )
    references: Annotated[tuple[StoreUri, ...], Field(max_length=16, strict=False)] = Field(
        (), description="Further results to judge against, each an URI as `results`. Default: none."
    )
    debounce_seconds: Annotated[int, Field(ge=0, le=DAY)] = Field(
        120, description="It runs so long after the last new result."
    )
    max_wait_seconds: Annotated[int, Field(ge=0, le=7 * DAY)] = Field(
        1800, description="But never later than so long after the first new result."
    )
    pods: AnalysisPods = Field(
        default_factory=AnalysisPods, description="The pod that computes it. Default: the operator's as it is."
    )
    history: Annotated[int, Field(ge=1, le=100)] = Field(
        5, description="So many of its finished Jobs are kept; tables and reports all stay in the store."
    )
    suspend: bool = Field(False, description="Start no analysis; one that runs ends by itself.")


class TrajectoryAnalysis(ResourceModel):
    """What the runs are learning: trajectories, forecasts and verdicts, made again when there are new results."""

    api_version: Literal["fineline.dev/v1alpha1"]
    kind: Literal["TrajectoryAnalysis"]
    metadata: Metadata
    spec: TrajectoryAnalysisSpec
    status: dict[str, Any] | None = Field(None, exclude=True)
