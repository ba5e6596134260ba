"""CheckpointEval: evaluate these checkpoints on this suite.

The one definition: the CRD, the command's validation, the chart's schema and the reference page are made from it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fineline.engine_arguments import refusal
from fineline.resources.fields import (
    BranchName,
    DomainName,
    LabelValue,
    ObjectName,
    ResourceModel,
    SeriesName,
    Step,
    StoreUri,
    TaskName,
    Tokens,
)

MAX_TASKS = 256
MAX_PINNED = 1024
MAX_POSITIONS = 512


class Run(ResourceModel):
    """The pretraining run that the checkpoints belong to."""

    name: SeriesName = Field(description="The series' key in every result.")
    family: SeriesName | None = Field(None, description="Runs of one family (sizes of one recipe) are compared.")
    parameters: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Number of parameters. Default: counted from the weights."
    )
    tokens_per_step: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Tokens that one optimizer step sees. Places steps on the token axis where names don't."
    )
    strategy: dict[LabelValue, LabelValue] = Field(
        default_factory=dict,
        max_length=64,
        description="Labels that analyses compare, such as architecture, data, learningRate, batchTokens, schedule.",
    )


class Select(ResourceModel):
    """Which of the complete checkpoints: at most one of `steps`, `every`, `last`; `from` and `to` narrow the rest."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_PINNED, strict=False)] | None = Field(
        None, description="Exactly these steps."
    )
    every: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Every N-th checkpoint in order, the first included."
    )
    last: Annotated[int, Field(ge=1)] | None = Field(None, description="The newest N checkpoints.")
    from_: Step | None = Field(None, alias="from", description="Only steps from this one on.")
    to: Step | None = Field(None, description="Only steps up to this one.")

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        chosen = [name for name in ("steps", "every", "last") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise ValueError(f"has {' and '.join(chosen)}: choose one of them")
        if self.steps is not None and (self.from_ is not None or self.to is not None):
            raise ValueError("has steps and from/to: steps are exact, leave from and to out")
        if self.from_ is not None and self.to is not None and self.from_ > self.to:
            raise ValueError(f"from ({self.from_}) is after to ({self.to})")
        return self


class Pinned(ResourceModel):
    """One checkpoint, exactly: as it was when its digest was taken."""

    branch: BranchName = Field("main", description="The branch of the run.")
    step: Step = Field(description="The optimizer step.")
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="The checkpoint digest; if the checkpoint changed since, it fails with CheckpointChanged."
    )


class NamedPosition(ResourceModel):
    """Where a checkpoint stands whose name can't be read."""

    branch: BranchName = Field("main", description="The branch of the run.")
    step: Step = Field(description="The optimizer step.")
    tokens: Tokens | None = Field(None, description="Tokens seen by then.")


class PositionsFrom(ResourceModel):
    config_map: ObjectName = Field(description="Name of a ConfigMap whose key positions.yaml holds the mapping.")


class Checkpoints(ResourceModel):
    """Where the checkpoints are and how to read them."""

    uri: StoreUri = Field(description="One checkpoint, or a prefix that holds many.")
    select: Select | None = Field(None, description="Which of them. Default: all complete ones.")
    pinned: Annotated[tuple[Pinned, ...], Field(min_length=1, max_length=MAX_PINNED, strict=False)] | None = Field(
        None, description="Instead of select: exactly these (what a CheckpointSource writes)."
    )
    positions: dict[LabelValue, NamedPosition] = Field(
        default_factory=dict,
        max_length=MAX_POSITIONS,
        description="Positions of checkpoints whose folder names can't be read, by folder name.",
    )
    positions_from: PositionsFrom | None = Field(None, description="The same in a ConfigMap, for more than 512.")
    tokenizer: StoreUri | None = Field(None, description="Folder of the tokenizer, when checkpoints carry none.")
    config: StoreUri | None = Field(None, description="The config.json, when checkpoints carry none.")
    allow_pickle: bool = Field(False, description="Read pytorch_model*.bin (with weights_only) as well.")
    requester_pays: bool = Field(False, description="Pay for requests to a requester-pays bucket.")

    @model_validator(mode="after")
    def _pinned_or_selected(self) -> Self:
        if self.pinned is not None and self.select is not None:
            raise ValueError("has select and pinned: choose one of them")
        return self


class SuiteTaskSpec(ResourceModel):
    """One task of the suite."""

    task: TaskName = Field(description="An lm-evaluation-harness task or group.")
    shots: Annotated[int, Field(ge=0, le=64)] | None = Field(
        None, description="Examples before each question. Default: the task's own."
    )
    limit: Annotated[int, Field(ge=1)] | None = Field(
        None, description="A fixed random sample of this many documents. Default: all."
    )
    domain: DomainName = Field(description="The ability that the task measures.")


class SuiteSpec(ResourceModel):
    """What to evaluate on: a built-in suite, or one of your own."""

    name: SeriesName | None = Field(None, description="A built-in suite: fine-line, fine-line-mini, loss.")
    config_map: ObjectName | None = Field(
        None, description="A ConfigMap with suite.yaml and task YAMLs (without a cluster: a folder of that name)."
    )
    tasks: Annotated[tuple[SuiteTaskSpec, ...], Field(min_length=1, max_length=MAX_TASKS, strict=False)] | None = Field(
        None, description="Replaces the suite's list."
    )
    datasets: StoreUri | None = Field(None, description="A data-set mirror, for machines without a way out.")
    allow_code_execution: bool = Field(False, description="Let tasks run programs that the model wrote.")

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Self:
        if self.name is not None and self.config_map is not None:
            raise ValueError("has name and configMap: choose one of them")
        if self.name is None and self.config_map is None and self.tasks is None:
            raise ValueError("needs name, configMap or tasks")
        return self

    @model_validator(mode="after")
    def _each_task_once(self) -> Self:
        names = [task.task for task in self.tasks or ()]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"tasks lists {', '.join(repeated)} more than once")
        return self


class Engine(ResourceModel):
    """The engine that scores."""

    backend: Literal["vllm", "transformers"] = Field("vllm", description="vllm, or transformers where vLLM can't.")
    dtype: Literal["bfloat16", "float16", "float32"] = Field("bfloat16", description="The type to compute in.")
    max_model_len: Annotated[int, Field(ge=16, le=10_000_000)] | None = Field(
        None, description="The window in tokens. Default: the model's own."
    )
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] = Field(1, description="GPUs that share one model.")
    add_bos: bool | None = Field(
        None, description="Put the beginning-of-sequence token before prompts. Default: as the tokenizer does."
    )
    args: dict[LabelValue, Any] = Field(
        default_factory=dict, max_length=64, description="Further vLLM engine arguments, by their vLLM names."
    )

    @field_validator("args")
    @classmethod
    def _keep_the_seal(cls, args: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        refused = refusal(info.data.get("backend", "vllm"), args)
        if refused is not None:
            raise ValueError(": ".join(refused))
        return args


class Pods(ResourceModel):
    """The pods that do the work."""

    parallelism: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="Pods at once.")
    attempts: Annotated[int, Field(ge=1, le=20)] = Field(3, description="Tries per unit; evictions don't count.")
    deadline_seconds: Annotated[int, Field(ge=60)] | None = Field(None, description="Seconds the Job may take.")
    service_account_name: ObjectName | None = Field(None, description="For workload identity.")
    secret_name: ObjectName | None = Field(None, description="A Secret with AWS_* keys, for the pods only.")
    template: dict[str, Any] = Field(
        default_factory=dict, description="A partial PodTemplateSpec, merged over the operator's."
    )


class CheckpointEvalSpec(ResourceModel):
    """What to evaluate, on what, with what, and where to."""

    run: Run = Field(description="The pretraining run that the checkpoints belong to.")
    checkpoints: Checkpoints = Field(description="Where the checkpoints are and how to read them.")
    suite: SuiteSpec = Field(description="What to evaluate on.")
    engine: Engine = Field(default_factory=Engine, description="The engine that scores.")
    pods: Pods = Field(default_factory=Pods, description="The pods that do the work.")
    queue_name: ObjectName | None = Field(None, description="A Kueue LocalQueue.")
    priority_class_name: ObjectName | None = Field(None, description="A Kueue WorkloadPriorityClass.")
    results: StoreUri | None = Field(None, description="Where results go. Default: the chart's.")
    suspend: bool = Field(False, description="Start nothing, and stop what runs.")
    ttl_seconds_after_finished: Annotated[int, Field(ge=0)] = Field(
        604_800, description="Seconds that the finished Job is kept. The CheckpointEval stays until deleted."
    )


class Metadata(ResourceModel):
    """The part of Kubernetes metadata that Fineline reads; the rest is let through."""

    model_config = ResourceModel.model_config | {"extra": "allow"}

    name: ObjectName = Field(description="The object's name.")
    namespace: ObjectName | None = Field(None, description="The object's namespace.")


class CheckpointEval(ResourceModel):
    """Evaluate these checkpoints on this suite."""

    api_version: Literal["fineline.dev/v1alpha1"]
    kind: Literal["CheckpointEval"]
    metadata: Metadata
    spec: CheckpointEvalSpec
    status: dict[str, Any] | None = Field(None, exclude=True)
