"""Every reason that the operator gives in a CheckpointEval's conditions, and every event: one place for code and page.

A member is its own word (`Reason.QUEUED == "Queued"`) and carries what a person needs: where it shows, what it means,
how to mend it. The headline is the reason of `Succeeded`, which `kubectl get` prints; `Reconciling` and `Stalled` carry
the same one. What fails a single checkpoint or task stands in `failure_reasons`.
"""

from __future__ import annotations

from fineline.resources.words import ConditionReason, EventWord, Where

CONDITION_TYPES = ("Planned", "Admitted", "Succeeded", "Reconciling", "Stalled")
"""All five stand in the status once the operator has looked."""


_GOES_ON = ("Succeeded=Unknown", "Reconciling=True", "Stalled=False")
_MUST_ACT = ("Succeeded=Unknown", "Reconciling=False", "Stalled=True")

_ON_ITS_WAY = Where("On its way", _GOES_ON)
_TO_BE_PLANNED = Where("On its way", ("Planned=Unknown", "Admitted=Unknown", *_GOES_ON))
_PLANNED = Where("On its way", ("Planned=True",))
_ADMITTED = Where("On its way", ("Admitted=True",))
_HELD = Where("Held for a good reason", ("Admitted=False", *_GOES_ON))
_NO_PLAN = Where("A person must act first", ("Planned=False", *_MUST_ACT))
_NO_JOB = Where("A person must act first", ("Admitted=False", *_MUST_ACT))
_IN_THE_WAY = Where("A person must act first", _MUST_ACT)
_PASSING_FOR_A_PLAN = Where("It may pass", ("Planned=Unknown", *_GOES_ON))
_PASSING = Where("It may pass", _GOES_ON)
_PODS = Where("Pods in trouble", _GOES_ON)
_SUCCEEDED = Where("The end", ("Succeeded=True", "Reconciling=False", "Stalled=False"))
_FAILED = Where("The end", ("Succeeded=False", "Reconciling=False", "Stalled=True"))


class Reason(ConditionReason):
    """A reason in a condition of a CheckpointEval."""

    # On its way
    PLANNING = (
        "Planning",
        _TO_BE_PLANNED,
        "Checkpoints and results are being listed.",
    )
    PLANNED = ("Planned", _PLANNED, "The plan is written; `status.plan` counts it.")
    PROGRESSING = ("Progressing", _ON_ITS_WAY, "The Job is there and its pods start.")
    RUNNING = ("Running", _ON_ITS_WAY, "Pods work; `status.progress` counts their results.")
    ADMITTED = ("Admitted", _ADMITTED, "The Job may run its pods.")
    NOT_NEEDED = (
        "NotNeeded",
        _ADMITTED,
        "There is no Job to admit: every unit has a result already, or the evaluation has ended.",
    )
    RETRYING = (
        "Retrying",
        _TO_BE_PLANNED,
        "The annotation fineline.dev/retry opened it again: what is not published is planned anew.",
    )

    # Not started, for a good reason
    SUSPENDED = ("Suspended", _HELD, "`spec.suspend` is true: no pod runs.", "Set `spec.suspend` to false.")
    WAITING = (
        "Waiting",
        _HELD,
        "As many evaluations run as the operator's `maxActive` allows; the oldest is next.",
        "Wait, raise the chart's `maxActive`, or suspend or delete others.",
    )
    QUEUED = (
        "Queued",
        _HELD,
        "Kueue has not admitted the Job yet; the message is Kueue's.",
        "Wait, or see `kubectl describe workload`: the quota may be full, too small, or leave a resource out.",
    )
    PREEMPTED = (
        "Preempted",
        _HELD,
        "Kueue took the quota back for another workload; units that are published stay.",
        "Wait: the Job is queued again. A higher `priorityClassName` avoids it.",
    )
    EVICTED = (
        "Evicted",
        _HELD,
        "Kueue stopped the Job for another cause; the message is Kueue's.",
        "See the message: the queue may be stopped, its Workload switched off, or pods were not ready in time.",
    )

    # A person must act: nothing is lost, and it is looked at again every 5 min and when the spec changes
    SPEC_INVALID = (
        "SpecInvalid",
        _NO_PLAN,
        "The spec, its suite or a ConfigMap that it names says something that can't be; the message names the field.",
        "Mend the ConfigMap; for `checkpoints`, `suite` or `engine` make a new CheckpointEval.",
    )
    CONFIG_MAP_NOT_FOUND = (
        "ConfigMapNotFound",
        _NO_PLAN,
        "The ConfigMap of `suite.configMap` or `checkpoints.positionsFrom` is not in the namespace.",
        "Create it: it is looked for again within 5 min.",
    )
    RESULTS_NOT_SET = (
        "ResultsNotSet",
        _NO_PLAN,
        "Neither `spec.results` nor the chart's `results` says where results go.",
        "Set the chart's value, or make a new CheckpointEval with `results`.",
    )
    STORE_NOT_ALLOWED = (
        "StoreNotAllowed",
        _NO_PLAN,
        "A URI belongs to none of the chart's stores, or to one that this namespace may not use.",
        "Add the store, or the namespace to it, in the chart's `stores`.",
    )
    STORE_NOT_FOUND = (
        "StoreNotFound",
        _NO_PLAN,
        "The bucket or folder of a URI is not there.",
        "Create it, or make a new CheckpointEval with the right URI.",
    )
    STORE_DENIED = (
        "StoreDenied",
        _NO_PLAN,
        "The operator's credentials for the store are missing, wrong or not enough (it lists and reads small files).",
        "Mend the chart's `stores[].credentials` or the bucket's policy.",
    )
    RESULT_UNREADABLE = (
        "ResultUnreadable",
        _NO_PLAN,
        "A file among the results can't be read: truncated, foreign, or of a newer Fineline.",
        "See the message for its name; upgrade the operator, or move the file away.",
    )
    NO_CHECKPOINT = (
        "NoCheckpoint",
        _NO_PLAN,
        "There is no checkpoint under `checkpoints.uri`, or `select` chooses none; the message says what is there.",
        "Upload some, or make a new CheckpointEval. Where all have the same fault, that fault is the reason.",
    )
    PLAN_TOO_LARGE = (
        "PlanTooLarge",
        _NO_PLAN,
        "The plan does not fit into its ConfigMaps or one pod's volume.",
        "Make several CheckpointEvals with fewer checkpoints each (`select` with `from` and `to`).",
    )
    PLAN_REFUSED = (
        "PlanRefused",
        _NO_PLAN,
        "The API server refused the plan's ConfigMaps: a quota or an admission policy; the message is its own.",
        "Raise the namespace's quota of ConfigMaps, or mend the policy.",
    )
    TEMPLATE_INVALID = (
        "TemplateInvalid",
        _NO_JOB,
        "`pods.template` can't be merged over the operator's: a field of the wrong kind, or no evaluator container.",
        "Mend `pods.template`.",
    )
    JOB_REFUSED = (
        "JobRefused",
        _NO_JOB,
        "The API server refused the Job: a quota, an admission policy or a field; the message is its own.",
        "Mend `pods`, the namespace's quota or the policy.",
    )
    NAME_TAKEN = (
        "NameTaken",
        _IN_THE_WAY,
        "A Job or ConfigMap with the name that this evaluation needs belongs to someone else.",
        "Delete or rename that object.",
    )
    QUEUE_NOT_FOUND = (
        "QueueNotFound",
        _NO_JOB,
        "The namespace has no Kueue LocalQueue called `queueName`.",
        "Create it, or change `queueName`.",
    )
    KUEUE_NOT_INSTALLED = (
        "KueueNotInstalled",
        _NO_JOB,
        "`queueName` is set, and the cluster has no Kueue.",
        "Install Kueue, or remove `queueName`.",
    )

    # Passing: tried again by itself
    STORE_UNAVAILABLE = (
        "StoreUnavailable",
        _PASSING_FOR_A_PLAN,
        "The store does not answer, or answers with 5xx or 429.",
        "Wait: it is tried again with growing pauses.",
    )
    STORE_FAILED = (
        "StoreFailed",
        _PASSING_FOR_A_PLAN,
        "The store did something unexpected; the message names the URI.",
        "Wait: it is tried again with growing pauses. If it stays, see the operator's log.",
    )
    STORE_FULL = (
        "StoreFull",
        _PASSING_FOR_A_PLAN,
        "The store has no space left.",
        "Make room: it is tried again with growing pauses.",
    )
    OBJECT_CHANGED = (
        "ObjectChanged",
        _PASSING_FOR_A_PLAN,
        "A file was overwritten between listing and reading it.",
        "Wait: it is tried again.",
    )
    OBJECT_NOT_FOUND = (
        "ObjectNotFound",
        _PASSING_FOR_A_PLAN,
        "A file was deleted between listing and reading it.",
        "Wait: it is tried again.",
    )
    CLUSTER_UNAVAILABLE = (
        "ClusterUnavailable",
        _PASSING,
        "The API server, or an admission webhook that it asks, did not answer.",
        "Wait: it is tried again with growing pauses.",
    )

    # Pods that do not start or do not last: told when it lasts; the Job goes on trying
    UNSCHEDULABLE = (
        "Unschedulable",
        _PODS,
        "No node takes a pod; the message is the scheduler's.",
        "Make room, or mend `pods.template` (nodeSelector, tolerations, resources).",
    )
    PODS_NOT_CREATED = (
        "PodsNotCreated",
        _PODS,
        "The Job exists and has no pods: a quota, Pod Security or a missing service account refuses them.",
        "See `kubectl describe job`.",
    )
    IMAGE_PULL_BACK_OFF = (
        "ImagePullBackOff",
        _PODS,
        "The image can't be pulled, and kubelet pauses between tries.",
        "Mend the chart's evaluator image or `imagePullSecrets` in `pods.template`.",
    )
    ERR_IMAGE_PULL = ("ErrImagePull", _PODS, "The image can't be pulled.", "As for ImagePullBackOff.")
    INVALID_IMAGE_NAME = (
        "InvalidImageName",
        _PODS,
        "The image's name can't be read.",
        "Mend the chart's evaluator image, or the image in `pods.template`.",
    )
    ERR_IMAGE_NEVER_PULL = (
        "ErrImageNeverPull",
        _PODS,
        "The image is not on the node and may not be pulled.",
        "Load it onto the node, or set imagePullPolicy.",
    )
    CREATE_CONTAINER_CONFIG_ERROR = (
        "CreateContainerConfigError",
        _PODS,
        "A Secret or ConfigMap that the container takes its environment from is missing, or the image runs as root.",
        "Create the Secret that `pods.secretName` names; the message says which one is missing.",
    )
    CREATE_CONTAINER_ERROR = (
        "CreateContainerError",
        _PODS,
        "The runtime can't make the container; the message is its own.",
        "See `kubectl describe pod`.",
    )
    RUN_CONTAINER_ERROR = (
        "RunContainerError",
        _PODS,
        "The runtime can't start the container; the message is its own.",
        "The command or a device may be missing: see `kubectl describe pod`.",
    )
    CONTAINER_CREATING = (
        "ContainerCreating",
        _PODS,
        "A pod has a node and its container does not start: a volume, the network or a slow image.",
        "See `kubectl describe pod`.",
    )
    FAILED_MOUNT = (
        "FailedMount",
        _PODS,
        "A volume of the pod can't be mounted; the message says which.",
        "Create what the volume names, or mend `pods.template`.",
    )
    OOM_KILLED = (
        "OOMKilled",
        _PODS,
        "The container used more memory than its limit and was killed; its slice is tried again.",
        "Raise the memory limit of the container evaluator in `pods.template`.",
    )
    POD_EVICTED = (
        "PodEvicted",
        _PODS,
        "kubelet evicted a pod, most often for disk; its slice is tried again.",
        "Raise ephemeral-storage of the container evaluator in `pods.template`, or choose nodes with more disk.",
    )
    NODE_LOST = (
        "NodeLost",
        _PODS,
        "A pod's node does not answer, and the pod hangs in Terminating; its slice waits for the node.",
        "`kubectl delete pod --force` after the grace time: commits are conditional, so no unit is done twice.",
    )
    POD_FAILED = (
        "PodFailed",
        _PODS,
        "A pod ended with an error and its slice is tried again; the message is the evaluator's last line.",
        "See `kubectl logs`.",
    )
    RESTARTED_OFTEN = (
        "RestartedOften",
        _PODS,
        "Pods were evicted or disrupted more than 50 times, which counts for no attempt.",
        "Look for what drains the nodes; set `pods.deadlineSeconds` to bound it.",
    )

    # The end
    SUCCEEDED = (
        "Succeeded",
        _SUCCEEDED,
        "Every unit has a result.",
    )
    ALL_REUSED = (
        "AllReused",
        _SUCCEEDED,
        "Every unit had a result before: no Job was made.",
    )
    SOME_UNITS_FAILED = (
        "SomeUnitsFailed",
        _FAILED,
        "All was tried; units failed for good, or checkpoints can't be evaluated: `status.failures` lists the first.",
        "Mend what the failures name, then retry. What succeeded stays.",
    )
    PODS_FAILED = (
        "PodsFailed",
        _FAILED,
        "The Job gave up: a pod failed more often than allowed, and units are neither published nor failed.",
        "See `kubectl logs` of its pods and the message, then retry.",
    )
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        _FAILED,
        "The Job took longer than `pods.deadlineSeconds`.",
        "Raise it and retry: what is published stays.",
    )
    RESULTS_MISSING = (
        "ResultsMissing",
        _FAILED,
        "The Job completed, and units have neither result nor failure record: someone deletes or writes elsewhere.",
        "See that pods and operator mean the same store (the chart's `stores`), then retry.",
    )


class EventReason(EventWord):
    """The reason of an event on a CheckpointEval."""

    PLANNED = ("Planned", "Normal", "The plan is written: how many checkpoints, units, and reused results.")
    CHECKPOINTS_PUT_ASIDE = (
        "CheckpointsPutAside",
        "Warning",
        "Some checkpoints were found and are not evaluated, with one example: incomplete, unreadable, no position.",
    )
    JOB_CREATED = ("JobCreated", "Normal", "The Job was made.")
    JOB_REPLACED = (
        "JobReplaced",
        "Normal",
        "A Job that had not started was deleted, to be made again from the edited `pods`, queue or priority.",
    )
    JOB_GONE = ("JobGone", "Warning", "Someone deleted the Job or the plan before the end: it is made again.")
    NOT_APPLIED = (
        "NotApplied",
        "Warning",
        "`pods`, `queueName` or `priorityClassName` was edited while the Job runs or after the end: it stays as it is.",
    )
    SUSPENDED = ("Suspended", "Normal", "`spec.suspend` stopped it.")
    RESUMED = ("Resumed", "Normal", "`spec.suspend` let it go on.")
    RETRIED = ("Retried", "Normal", "The annotation fineline.dev/retry opened it again.")
    CHECKPOINT_FAILED = (
        "CheckpointFailed",
        "Warning",
        "A checkpoint, or some of its tasks, failed for good; the message has the reason. The others go on.",
    )
    SUCCEEDED = ("Succeeded", "Normal", "It ended well: how many units were published and reused.")
    FAILED = ("Failed", "Warning", "It ended, and not all units have a result; the message says which and why.")
