"""Every reason in a TrajectoryAnalysis's conditions, and every event on one."""

from __future__ import annotations

from fineline.resources.words import ConditionReason, EventWord, Where

ANALYSIS_CONDITIONS = ("Ready", "Reconciling", "Stalled")
"""All three stand in the status once the operator has looked."""

_WELL = Where("All is well", ("Ready=True", "Reconciling=False", "Stalled=False"))
_ON_ITS_WAY = Where("On its way", ("Ready=False", "Reconciling=True", "Stalled=False"))
_HELD = Where("Held for a good reason", ("Ready=False", "Reconciling=False", "Stalled=False"))
_MUST_ACT = Where("A person must act first", ("Ready=False", "Reconciling=False", "Stalled=True"))
_PASSING = Where("It may pass", ("Ready=False", "Reconciling=True", "Stalled=False"))


class AnalysisReason(ConditionReason):
    """A reason in a condition of a TrajectoryAnalysis."""

    UP_TO_DATE = ("UpToDate", _WELL, "The newest analysis has every result that there is.")
    NO_RESULTS = ("NoResults", _HELD, "There are no results of its runs yet: it runs when there are.")
    DEBOUNCING = (
        "Debouncing",
        _ON_ITS_WAY,
        "There are new results: it runs `debounceSeconds` after the last, at most `maxWaitSeconds` after the first.",
    )
    RUNNING = ("Running", _ON_ITS_WAY, "The Job of an analysis runs.")
    SUSPENDED = ("Suspended", _HELD, "`spec.suspend` is true: no analysis starts.", "Set `spec.suspend` to false.")

    SPEC_INVALID = (
        "SpecInvalid",
        _MUST_ACT,
        "The spec says something that can't be; the message names the field.",
        "Edit it.",
    )
    RESULTS_NOT_SET = (
        "ResultsNotSet",
        _MUST_ACT,
        "Neither `spec.results` nor the chart's `results` says where results are.",
        "Set one of them.",
    )
    IMAGE_NOT_SET = (
        "ImageNotSet",
        _MUST_ACT,
        "The operator's settings name no image for analyses.",
        "Set the chart's `analysis.image`.",
    )
    STORE_NOT_ALLOWED = (
        "StoreNotAllowed",
        _MUST_ACT,
        "A URI belongs to none of the chart's stores, or to one that this namespace may not use.",
        "Add the store, or the namespace to it, in the chart's `stores`.",
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
    TEMPLATE_INVALID = (
        "TemplateInvalid",
        _MUST_ACT,
        "`pods.template` can't be merged, or the API server does not take the Job made with it.",
        "Edit `pods.template` as the message says.",
    )
    JOB_REFUSED = (
        "JobRefused",
        _MUST_ACT,
        "The API server refuses the Job: a quota, an admission policy, a missing right.",
        "Mend what the message names: it is tried again within 5 min.",
    )
    NAME_TAKEN = (
        "NameTaken",
        _MUST_ACT,
        "An object that is not this analysis's has the name of its Job.",
        "Delete or rename that object.",
    )
    ANALYSIS_FAILED = (
        "AnalysisFailed",
        _MUST_ACT,
        "The newest analysis failed; the message is its last line. The next follows new results, or an edit.",
        "See `kubectl logs` of its Job, and mend what it names.",
    )

    STORE_UNAVAILABLE = ("StoreUnavailable", _PASSING, "A store does not answer, or not in time.")
    CLUSTER_UNAVAILABLE = ("ClusterUnavailable", _PASSING, "The API server does not take what is written now.")


class AnalysisEvent(EventWord):
    """The reason of an event on a TrajectoryAnalysis."""

    JOB_CREATED = ("JobCreated", "Normal", "The Job of an analysis was made.")
    REPORT_PUBLISHED = ("ReportPublished", "Normal", "An analysis ended well: where its report is.")
    VERDICT_CHANGED = ("VerdictChanged", "Normal", "A run's state became another; the message has both and the fact.")
    VERDICT_WORSENED = (
        "VerdictWorsened",
        "Warning",
        "A run's state became worse; the message has both and the fact.",
    )
    RESULTS_LEFT_OUT = ("ResultsLeftOut", "Warning", "Results that could not be read, with one example; the rest was.")
    ANALYSIS_FAILED = ("AnalysisFailed", "Warning", "An analysis failed; the message is its last line.")
    SUSPENDED = ("Suspended", "Normal", "`spec.suspend` stopped it.")
    RESUMED = ("Resumed", "Normal", "`spec.suspend` let it go on.")
