"""Specs of every kind for hypothesis: mostly right, with values at each bound and a hostile one here and there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Values = st.SearchStrategy[Any]

_HOSTILE_NAMES = ("", ".", "..", "../x", "a/b", "a b", "-a", "a-", "A_b", "a\n", "é", "a\0", "%2e", "a..b", "a.-b")
_INTEGERS = (-1, 0, 1, 15, 16, 20, 21, 59, 60, 64, 65, 1024, 1025, 10**6, 10**6 + 1, 10**7, 10**7 + 1, 10**9, 10**9 + 1)
_LARGE = (31_536_000, 31_536_001, 315_360_001, 10**12 - 1, 10**12, 10**15, 10**15 + 1, 10**18, 10**18 + 1, 2**63 - 1)
_WRONG = st.sampled_from(([], {}, "text", "1", True, 1, -0.5, 1e300, [None], {"a": {}}))


def _rarely(rare: Values, else_: Values) -> Values:
    # A number that hypothesis does not favour: one in forty fields, so that about half of all specs are right.
    return st.integers(0, 39).flatmap(lambda roll: rare if roll == 23 else else_)


def _mostly(right: Values, hostile: Values) -> Values:
    return _rarely(hostile | _WRONG, right)


def names(longest: int) -> Values:
    """Names at and past a length, and hostile ones."""
    lengths = st.sampled_from(("x" * longest, "x" * (longest + 1)))
    return _mostly(st.sampled_from(("amber-7b", "a", "llama.2")), lengths | st.sampled_from(_HOSTILE_NAMES) | st.text())


def texts(longest: int) -> Values:
    """Free text at and past a length, in characters of several bytes as well."""
    lengths = st.sampled_from(("", "é" * longest, "é" * (longest + 1), "\U0001f600" * longest, "a\nb"))
    return _mostly(st.sampled_from(("llama", "3e-4")), lengths | st.text())


def integers(*right: int) -> Values:
    return _mostly(st.sampled_from(right), st.sampled_from(_INTEGERS + _LARGE))


def uris() -> Values:
    right = st.sampled_from(("s3://bucket/prefix/", "s3://bucket", "file:///data/"))
    wrong = (
        "s3://",
        "s3:///x",
        "s3://key:word@b/",
        "https://x/y",
        "/data",
        "s3://b/a\nb",
        "S3://b/",
        "file:",
        "s3://" + "b" * 2043,
    )
    return _mostly(right, st.sampled_from((*wrong, "s3://" + "b" * 2044)))


def queues() -> Values:
    right = st.sampled_from(("https://sqs.eu-central-1.amazonaws.com/123456789012/q", "http://localhost:9324/0/q.fifo"))
    wrong = (
        "",
        "sqs.amazonaws.com/1/q",
        "https://host",
        "https://host/",
        "https://key:word@host/1/q",
        "https://host/1/q?Action=DeleteQueue",
        "https://host/1/q#x",
        "https://host/1/a b",
        "https://host/1/a\u00a0b",
        "https://ho\u2028st/1/q",
        "https://host/1/q\n",
        "https://host/1/q\x0b",
        "https://host/1/" + "q" * 1009,
    )
    return _mostly(right, st.sampled_from((*wrong, "https://host/1/" + "q" * 1010)) | st.text())


def file_names() -> Values:
    wrong = ("", "a/b", "/", "../x", "\u00e9" * 255, "\u00e9" * 256, "a\nb", ".", "..", "a\0")
    return _mostly(st.sampled_from(("_SUCCESS", "a b", ".metadata.json")), st.sampled_from(wrong) | st.text())


def booleans() -> Values:
    return _mostly(st.booleans(), st.sampled_from(("yes", 0, 1)))


def one_of(*right: str) -> Values:
    return _mostly(st.sampled_from(right), st.sampled_from(("", "VLLM", "int8")))


def a_map(keys: Values, values: Values, largest: int = 3) -> Values:
    return st.dictionaries(keys.filter(lambda key: isinstance(key, str)), values, max_size=largest)


def block(required: dict[str, Values], optional: dict[str, Values]) -> Values:
    """An object with some of its optional fields, sometimes with one more or one less than it may have."""
    whole = st.fixed_dictionaries(required, optional=optional)
    odd = st.one_of(
        whole.map(lambda value: value | {"unknownField": 1}),
        st.fixed_dictionaries({}, optional={**required, **optional}),
    )
    return _rarely(odd, whole)


def _position(*, pinned: bool) -> Values:
    digest = _mostly(st.just("a" * 64), st.sampled_from(("a" * 63, "a" * 65, "A" * 64, "g" * 64)))
    last = {"digest": digest, "folder": folder_names()} if pinned else {"tokens": integers(0, 10**18)}
    return block({"step": integers(0, 5, 10**12 - 1)}, {"branch": texts(256).filter(lambda text: text != "")} | last)


def folder_names() -> Values:
    parts = st.sampled_from(("a", ".a", "..a", "...", "a.", "a\nb", " ", "", ".", "..", "a\0", "é" * 254, "é" * 256))
    wrong = st.lists(parts, min_size=1, max_size=3).map("/".join)
    return _mostly(st.sampled_from(("step1000", "main/step1000/", ".a/..b/.../c d")), wrong)


def _list(values: Values) -> Values:
    return _mostly(st.lists(values, min_size=1, max_size=3), st.just([]))


def _template() -> Values:
    labels = a_map(names(317), st.none() | names(63))
    part = st.none() | _list(block({"name": names(63)}, {"image": st.text(max_size=3), "resources": st.none()}))
    spec = block(
        {},
        {
            "nodeSelector": st.none() | labels,
            "containers": part,
            "volumes": part,
            "tolerations": st.none() | _list(st.fixed_dictionaries({"key": st.text(max_size=3)})),
            "restartPolicy": st.none(),
            "hostNetwork": st.booleans() | st.none(),
        },
    )
    metadata = st.fixed_dictionaries({}, optional={"labels": st.none() | labels, "name": st.text(max_size=3)})
    return st.fixed_dictionaries({}, optional={"metadata": st.none() | metadata, "spec": st.none() | spec})


def _checkpoint_files() -> dict[str, Values]:
    return {
        "positions": a_map(texts(256), _position(pinned=False)),
        "positionsFrom": block({"configMap": names(253)}, {}),
        "tokenizer": uris(),
        "allowPickle": booleans(),
    }


def _evaluation_template() -> tuple[dict[str, Values], dict[str, Values]]:
    """What is required of an evaluation besides its checkpoints, and what may be there."""
    task = block(
        {"task": names(128), "domain": _mostly(st.sampled_from(("exam", "a-b")), names(64))},
        {"shots": integers(0, 5, 64) | st.none(), "limit": integers(1, 100, 10**9) | st.none()},
    )
    suite = block({"name": names(128)}, {"tasks": _list(task), "configMap": names(253), "datasets": uris()})
    engine = block(
        {},
        {
            "backend": one_of("vllm", "transformers"),
            "dtype": one_of("bfloat16", "float32"),
            "maxModelLen": integers(16, 10**7) | st.none(),
            "tensorParallelSize": integers(1, 64),
            "addBos": booleans() | st.none(),
            "args": st.dictionaries(st.just("threads"), st.none() | st.integers(0, 9) | st.text(max_size=3)),
        },
    )
    pods = block(
        {},
        {
            "parallelism": integers(1, 1024),
            "attempts": integers(1, 20),
            "deadlineSeconds": integers(60, 31_536_000),
            "serviceAccountName": names(253),
            "secretName": names(253),
            "template": _template(),
        },
    )
    run = block(
        {"name": names(128)},
        {"family": names(128), "parameters": integers(1, 10**15), "strategy": a_map(texts(256), texts(256))},
    )
    return {"run": run, "suite": suite}, {
        "engine": engine,
        "pods": pods,
        "queueName": names(63),
        "priorityClassName": names(63),
        "results": uris(),
        "ttlSecondsAfterFinished": integers(0, 604_800),
    }


def evaluation_specs() -> Values:
    """A CheckpointEval's spec as plain values. Nulls stand only where the model and the API server treat them alike;
    engine arguments are such as the command takes, for the API server knows nothing of their names."""
    select = block(
        {},
        {
            "steps": _list(integers(0, 5)),
            "every": integers(1, 10**6),
            "last": integers(1, 7),
            "from": integers(0, 10),
            "to": integers(5, 20),
        },
    )
    checkpoints = block(
        {"uri": uris()}, {"select": select, "pinned": _list(_position(pinned=True)), **_checkpoint_files()}
    )
    required, optional = _evaluation_template()
    return block(required | {"checkpoints": checkpoints}, optional | {"suspend": booleans()})


def source_specs() -> Values:
    """A CheckpointSource's spec as plain values."""
    select = block({}, {"every": integers(1, 10**6), "from": integers(0, 10), "to": integers(5, 20)})
    complete = block({}, {"marker": file_names(), "settleSeconds": integers(0, 60, 86_400)})
    history = block({}, {"succeeded": integers(0, 10, 1000), "failed": integers(0, 1000)})
    return block(
        {"uri": uris(), "template": block(*_evaluation_template())},
        {
            "pollSeconds": integers(5, 60, 86_400),
            "fullWalkSeconds": integers(60, 3600, 2_592_000),
            "sqs": queues(),
            "complete": complete,
            "select": select,
            "checkpoints": block({}, _checkpoint_files()),
            "batch": integers(1, 8, 1024),
            "maxWaitSeconds": integers(0, 600, 86_400),
            "history": history,
            "suspend": booleans(),
        },
    )


def analysis_specs() -> Values:
    """A TrajectoryAnalysis's spec as plain values."""
    named = _list(names(128))
    runs = st.one_of(
        block({"names": named}, {}),
        block({"families": named}, {}),
        block({"all": _mostly(st.just(True), booleans())}, {}),
        _rarely(block({}, {"names": named, "families": named, "all": booleans()}), block({"names": named}, {})),
    )
    pods = block({}, {"serviceAccountName": names(253), "secretName": names(253), "template": _template()})
    return block(
        {"runs": runs},
        {
            "results": uris(),
            "horizon": a_map(names(128), integers(1, 10**12, 10**18)),
            "references": _list(uris()) | st.just([]),
            "debounceSeconds": integers(0, 120, 86_400),
            "maxWaitSeconds": integers(0, 120, 1800, 604_800),
            "pods": pods,
            "history": integers(1, 5, 100),
            "suspend": booleans(),
        },
    )


SPECS: dict[str, Callable[[], Values]] = {
    "CheckpointEval": evaluation_specs,
    "CheckpointSource": source_specs,
    "TrajectoryAnalysis": analysis_specs,
}
