"""CheckpointEval: evaluate these checkpoints on this suite.

The one definition: the CRD, the command's validation, the chart's schema and the reference page are made from it. A
description ends with the default where it is no plain value; plain ones are added from the declaration.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from fineline.engine_arguments import refusal
from fineline.resources.fields import (
    BranchName,
    DomainName,
    FolderName,
    LabelledName,
    LabelValue,
    MapKey,
    ObjectName,
    ResourceModel,
    Rule,
    SeriesName,
    Step,
    StoreUri,
    TaskName,
    Tokens,
)
from fineline.resources.pod_template import PodTemplateValues

MAX_TASKS = 256
MAX_PINNED = 1024
MAX_POSITIONS = 512
YEAR = 365 * 86_400
"""In seconds."""


Count = Annotated[int, Field(ge=1, le=10**6)]
Large = Annotated[int, Field(ge=1, le=10**15)]


class Run(ResourceModel):
    """The pretraining run that the checkpoints belong to."""

    name: SeriesName = Field(
        description="The series' key in every result: evaluations with the same name continue one trajectory."
    )
    family: SeriesName | None = Field(
        None, description="Runs of one family (sizes of one recipe) are compared. Default: the run stands alone."
    )
    parameters: Large | None = Field(None, description="Number of parameters. Default: counted from the weights.")
    tokens_per_step: Large | None = Field(
        None,
        description="Tokens that one optimizer step sees: places steps on the token axis. Default: tokens are known "
        "only where names or metadata say them.",
    )
    strategy: dict[MapKey, LabelValue] = Field(
        default_factory=dict,
        max_length=64,
        description="Labels that analyses compare, such as architecture, data, learningRate, batchTokens, schedule. "
        "Values are text: write numbers in quotes. Default: none.",
    )


class Select(ResourceModel):
    """Which of the complete checkpoints: at most one of `steps`, `every`, `last`; `from` and `to` narrow the rest."""

    rules = (
        Rule(
            "[has(self.steps), has(self.every), has(self.last)].filter(given, given).size() <= 1",
            "choose one of steps, every and last",
            lambda select: [select.steps, select.every, select.last].count(None) >= 2,
        ),
        Rule(
            "!(has(self.steps) && (has(self.from) || has(self.to)))",
            "has steps and from/to: steps are exact, leave from and to out",
            lambda select: select.steps is None or (select.from_ is None and select.to is None),
        ),
        Rule(
            "!(has(self.from) && has(self.to)) || self.from <= self.to",
            "from is after to",
            lambda select: select.from_ is None or select.to is None or select.from_ <= select.to,
            detail=lambda select: f"{select.from_:,} > {select.to:,}",
        ),
    )

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_PINNED, strict=False)] | None = Field(
        None, description="Exactly these optimizer steps, in every branch that has them. Default: not chosen by step."
    )
    every: Count | None = Field(
        None, description="Every N-th checkpoint in the order of steps, the first included. Default: each one."
    )
    last: Count | None = Field(None, description="The newest N complete checkpoints. Default: all of them.")
    from_: Step | None = Field(
        None,
        alias="from",
        description="Only optimizer steps from this one on, before every and last. Default: the first.",
    )
    to: Step | None = Field(
        None, description="Only optimizer steps up to this one, before every and last. Default: the newest."
    )


class Pinned(ResourceModel):
    """One checkpoint, exactly: as it was when its digest was taken."""

    branch: BranchName = Field("main", description="The branch of the run.")
    step: Step = Field(description="The optimizer step.")
    digest: Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None,
        description="The checkpoint's digest in 64 hexadecimal digits: if the checkpoint changed since, it fails with "
        "CheckpointChanged. Default: whatever lies there.",
    )
    folder: FolderName | None = Field(
        None,
        description="The checkpoint's folder below the URI, such as main/step1000: it says where to look. Where all "
        "that are pinned have one, nothing else is listed, unless one of them is not there as it was pinned. Default: "
        "looked for below the whole URI.",
    )


class NamedPosition(ResourceModel):
    """Where a checkpoint stands whose name can't be read."""

    branch: BranchName = Field("main", description="The branch of the run.")
    step: Step = Field(description="The optimizer step.")
    tokens: Tokens | None = Field(
        None, description="Tokens seen by then. Default: step times run.tokensPerStep, where that is given."
    )


class PositionsFrom(ResourceModel):
    """A ConfigMap with positions."""

    config_map: ObjectName = Field(description="Name of a ConfigMap whose key positions.yaml holds the mapping.")


class CheckpointFiles(ResourceModel):
    """How checkpoints are read, and what of them lies elsewhere."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.positions) && has(self.positionsFrom))",
            "has positions and positionsFrom: choose one of them",
            lambda checkpoints: "positions" not in checkpoints.model_fields_set or checkpoints.positions_from is None,
        ),
    )

    positions: dict[MapKey, NamedPosition] = Field(
        default_factory=dict,
        max_length=MAX_POSITIONS,
        description="Positions of checkpoints by folder name, where it can't be read. Default: names are read.",
    )
    positions_from: PositionsFrom | None = Field(
        None, description=f"The same in a ConfigMap, for more than {MAX_POSITIONS}. Default: names are read."
    )
    tokenizer: StoreUri | None = Field(
        None, description="Folder of the tokenizer, when checkpoints carry none. Default: each checkpoint's own."
    )
    config: StoreUri | None = Field(
        None, description="The config.json, when checkpoints carry none. Default: each checkpoint's own."
    )
    allow_pickle: bool = Field(False, description="Read pytorch_model*.bin (with weights_only) as well.")
    requester_pays: bool = Field(False, description="Pay for requests to a requester-pays bucket.")


class Checkpoints(CheckpointFiles):
    """Where the checkpoints are and how to read them."""

    rules = (
        Rule(
            "!(has(self.select) && has(self.pinned))",
            "has select and pinned: choose one of them",
            lambda checkpoints: checkpoints.select is None or checkpoints.pinned is None,
        ),
        *CheckpointFiles.rules,
    )

    uri: StoreUri = Field(
        description="One checkpoint, or a prefix that holds many: s3://bucket/prefix/. It must belong to one of the "
        "chart's stores."
    )
    select: Select | None = Field(None, description="Which of them to evaluate. Default: all complete ones.")
    pinned: Annotated[tuple[Pinned, ...], Field(min_length=1, max_length=MAX_PINNED, strict=False)] | None = Field(
        None, description="Instead of select: exactly these (what a CheckpointSource writes). Default: not pinned."
    )


class SuiteTaskSpec(ResourceModel):
    """One task of the suite."""

    task: TaskName = Field(description="An lm-evaluation-harness task or group.")
    # Null is written here (`limit: null`), and server-side apply refuses it where a field is not nullable.
    shots: Annotated[int, Field(ge=0, le=64)] | None = Field(
        None,
        description="Examples before each question. Default: the task's own.",
        json_schema_extra={"nullable": True},
    )
    limit: Annotated[int, Field(ge=1, le=10**9)] | None = Field(
        None,
        description="A fixed random sample of this many documents. Default: all of them.",
        json_schema_extra={"nullable": True},
    )
    domain: DomainName = Field(
        description="The ability that the task measures: exam, language, knowledge, understanding, reasoning, or more."
    )


def _repeated(suite: SuiteSpec) -> list[str]:
    counts = Counter(task.task for task in suite.tasks or ())
    return sorted(name for name, count in counts.items() if count > 1)


class SuiteSpec(ResourceModel):
    """What to evaluate on: a built-in suite, or one of your own."""

    rules = (
        Rule(
            "!(has(self.name) && has(self.configMap))",
            "has name and configMap: choose one of them",
            lambda suite: suite.name is None or suite.config_map is None,
        ),
        Rule(
            "has(self.name) || has(self.configMap) || has(self.tasks)",
            "needs name, configMap or tasks",
            lambda suite: (suite.name, suite.config_map, suite.tasks) != (None, None, None),
        ),
        Rule(
            "",  # the list's map key: CEL, which compares each with each, gives up at 200 tasks
            "tasks lists a task more than once",
            lambda suite: not _repeated(suite),
            field="tasks",
            detail=lambda suite: ", ".join(_repeated(suite)),
        ),
    )

    name: SeriesName | None = Field(
        None, description="A built-in suite: fine-line, fine-line-mini or loss. Default: configMap or tasks instead."
    )
    config_map: ObjectName | None = Field(
        None,
        description="A ConfigMap with suite.yaml and task YAMLs (without a cluster: a folder of that name). Default: "
        "name or tasks instead.",
    )
    tasks: Annotated[tuple[SuiteTaskSpec, ...], Field(min_length=1, max_length=MAX_TASKS, strict=False)] | None = Field(
        None,
        description="Replaces the suite's list of tasks; each once. Default: the suite's own.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["task"]},
    )
    datasets: StoreUri | None = Field(
        None, description="A data-set mirror, for clusters without a way out. Default: the chart's; else the hub."
    )
    allow_code_execution: bool = Field(False, description="Let tasks run programs that the model wrote.")


class Engine(ResourceModel):
    """The engine that scores."""

    backend: Literal["vllm", "transformers"] = Field(
        "vllm", description="vllm, or transformers where vLLM lacks the architecture."
    )
    dtype: Literal["bfloat16", "float16", "float32"] = Field("bfloat16", description="The type to compute in.")
    max_model_len: Annotated[int, Field(ge=16, le=10_000_000)] | None = Field(
        None, description="The window in tokens. Default: the model's own."
    )
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="GPUs that share one model; each pod asks for as many."
    )
    add_bos: bool | None = Field(
        None, description="Put the beginning-of-sequence token before prompts. Default: as the tokenizer does."
    )
    args: dict[MapKey, Any] = Field(
        default_factory=dict,
        max_length=64,
        description="Further vLLM engine arguments, by their vLLM names, such as max_num_seqs. Those that would break "
        "the seal of a unit or run foreign code are refused. Default: none.",
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

    parallelism: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="Pods at once. Can be changed while they run."
    )
    attempts: Annotated[int, Field(ge=1, le=20)] = Field(
        3, description="Tries per unit before its failure is recorded; evictions don't count."
    )
    deadline_seconds: Annotated[int, Field(ge=60, le=YEAR)] | None = Field(
        None, description="Seconds that the Job may take, from its start. Default: as long as it takes."
    )
    service_account_name: ObjectName | None = Field(
        None, description="The pods' service account, for workload identity. Default: the namespace's default one."
    )
    secret_name: ObjectName | None = Field(
        None,
        description="A Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as environment of the pods only. "
        "Default: the service account's identity.",
    )
    template: PodTemplateValues = Field(
        default_factory=dict,
        description="A partial PodTemplateSpec, merged over the operator's: nodeSelector, tolerations, resources, "
        "volumes and so on. Default: the operator's as it is.",
    )


class EvaluationTemplate(ResourceModel):
    """What is evaluated on, with what, and where to: all of an evaluation but its checkpoints."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.priorityClassName) || has(self.queueName)",
            "priorityClassName needs queueName: it orders the workloads of a Kueue queue",
            lambda spec: spec.priority_class_name is None or spec.queue_name is not None,
        ),
    )

    run: Run = Field(description="The pretraining run that the checkpoints belong to.")
    suite: SuiteSpec = Field(description="What to evaluate on: a built-in suite, or one of your own.")
    engine: Engine = Field(
        default_factory=Engine,
        description="The engine that scores. Default: vLLM in bfloat16, with the model's own window.",
    )
    pods: Pods = Field(
        default_factory=Pods,
        description="The pods that do the work. Default: one at a time, three tries per unit.",
    )
    queue_name: LabelledName | None = Field(
        None, description="A Kueue LocalQueue of the namespace, which admits the Job. Default: started at once."
    )
    priority_class_name: LabelledName | None = Field(
        None, description="A Kueue WorkloadPriorityClass; needs queueName. Default: Kueue's own priority."
    )
    results: StoreUri | None = Field(
        None, description="Where results go: s3://bucket/prefix/. Default: the chart's results."
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=10 * YEAR)] = Field(
        604_800,
        description="Seconds that the finished Job and its pods are kept (at least 300). The CheckpointEval itself "
        "stays until deleted.",
    )


IMMUTABLE = ("run", "checkpoints", "suite", "engine", "results")
"""What a result depends on: it can't change after creation, nor be added or removed."""


def _immutable(name: str) -> Rule:
    return Rule(
        f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})",
        f"{name} can't change: make a new CheckpointEval; results that still hold are reused",
        field=name,
    )


class CheckpointEvalSpec(EvaluationTemplate):
    """What to evaluate, on what, with what, and where to."""

    rules = (*(_immutable(name) for name in IMMUTABLE), *EvaluationTemplate.rules)
    immutable = IMMUTABLE

    checkpoints: Checkpoints = Field(description="Where the checkpoints are and how to read them.")
    suspend: bool = Field(False, description="Start nothing, and stop what runs; what is published stays.")


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
