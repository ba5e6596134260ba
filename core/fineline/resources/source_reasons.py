"""Every reason in a CheckpointSource's conditions, and every event on one."""

from __future__ import annotations

from fineline.resources.words import ConditionReason, EventWord, Where

SOURCE_CONDITIONS = ("Ready", "Reconciling", "Stalled")
"""All three stand in the status once the operator has looked."""

_WELL = Where("All is well", ("Ready=True", "Reconciling=False", "Stalled=False"))
_FIRST = Where("All is well", ("Ready=Unknown", "Reconciling=True", "Stalled=False"))
_HELD = Where("Held for a good reason", ("Ready=False", "Reconciling=False", "Stalled=False"))
_MUST_ACT = Where("A person must act first", ("Ready=False", "Reconciling=False", "Stalled=True"))
_PASSING = Where("It may pass", ("Ready=False", "Reconciling=True", "Stalled=False"))


class SourceReason(ConditionReason):
    """A reason in a condition of a CheckpointSource."""

    LISTING = ("Listing", _FIRST, "The prefix is listed for the first time, or after an edit of the spec.")
    NO_CHECKPOINT = (
        "NoCheckpoint",
        _WELL,
        "The prefix was listed, and no checkpoint is in it yet. Those that come are evaluated.",
    )
    UP_TO_DATE = ("UpToDate", _WELL, "Every selected, complete checkpoint is evaluated or failed for good.")
    EVALUATING = ("Evaluating", _WELL, "Checkpoints are being evaluated, or wait for their batch to fill.")
    SUSPENDED = (
        "Suspended",
        _HELD,
        "`spec.suspend` is true: no CheckpointEval is made; those that run go on.",
        "Set `spec.suspend` to false: what came meanwhile is evaluated then.",
    )

    SPEC_INVALID = (
        "SpecInvalid",
        _MUST_ACT,
        "The spec, or a ConfigMap that it names, says something that can't be; the message names the field.",
        "Edit the source, or mend the ConfigMap.",
    )
    CONFIG_MAP_NOT_FOUND = (
        "ConfigMapNotFound",
        _MUST_ACT,
        "The ConfigMap of `template.suite.configMap` or `checkpoints.positionsFrom` is not in the namespace.",
        "Create it: it is looked for again within 5 min.",
    )
    RESULTS_NOT_SET = (
        "ResultsNotSet",
        _MUST_ACT,
        "Neither `template.results` nor the chart's `results` says where results go.",
        "Set one of them.",
    )
    STORE_NOT_ALLOWED = (
        "StoreNotAllowed",
        _MUST_ACT,
        "A URI belongs to none of the chart's stores, or to one that this namespace may not use.",
        "Add the store, or the namespace to it, in the chart's `stores`.",
    )
    QUEUE_NOT_ALLOWED = (
        "QueueNotAllowed",
        _MUST_ACT,
        "`spec.sqs` is none of the chart's queues that this namespace may use. The prefix is listed all the same.",
        "Add the queue, or the namespace to it, in the chart's `queues`; or leave `sqs` out.",
    )
    QUEUE_DENIED = (
        "QueueDenied",
        _MUST_ACT,
        "The queue of `spec.sqs` is not there, or the operator may not read it. The prefix is listed all the same.",
        "Create it, or mend the chart's `queues` or its policy: it is tried again with growing pauses, up to 1 min.",
    )
    STORE_NOT_FOUND = (
        "StoreNotFound",
        _MUST_ACT,
        "The bucket or folder of a URI is not there.",
        "Create it, or mend the URI: it is looked for again with growing pauses, up to 5 min.",
    )
    STORE_DENIED = (
        "StoreDenied",
        _MUST_ACT,
        "The operator's credentials for the store are missing, wrong or not enough (it lists and reads small files).",
        "Mend the chart's `stores[].credentials` or the bucket's policy: it is tried again with growing pauses.",
    )
    EVALUATION_REFUSED = (
        "EvaluationRefused",
        _MUST_ACT,
        "The API server does not take a CheckpointEval made from `template`; the message is its own.",
        "Mend what the message names: a field of `template`, a quota, an admission policy.",
    )

    STORE_UNAVAILABLE = (
        "StoreUnavailable",
        _PASSING,
        "A store does not answer, or not in time. What was known stays, and nothing is made from half a listing.",
    )
    QUEUE_UNAVAILABLE = (
        "QueueUnavailable",
        _PASSING,
        "The queue of `spec.sqs` does not answer, or not in time. The prefix is listed all the same.",
    )
    CLUSTER_UNAVAILABLE = (
        "ClusterUnavailable",
        _PASSING,
        "The API server does not take what is written now.",
    )


class SourceEvent(EventWord):
    """The reason of an event on a CheckpointSource."""

    EVALUATION_CREATED = ("EvaluationCreated", "Normal", "A CheckpointEval was made: for which checkpoints.")
    CHECKPOINT_CHANGED = (
        "CheckpointChanged",
        "Normal",
        "A checkpoint that was evaluated has other bytes now: it is evaluated again, and both results stay.",
    )
    SUSPENDED = ("Suspended", "Normal", "`spec.suspend` stopped it.")
    RESUMED = ("Resumed", "Normal", "`spec.suspend` let it go on.")
