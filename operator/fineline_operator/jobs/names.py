"""Names of what a resource owns: readable in front, unique by a digest behind, short enough for all that Kubernetes
makes of them.

They follow from the resource and what is to be done alone, so whoever looks again finds what is there already.
"""

from __future__ import annotations

import hashlib

MAX_LABEL = 63
"""Characters of a DNS label, which a host name is."""

RANDOM_SUFFIX = 5
"""Characters that the Job controller puts behind `<job>-<index>-`."""


def index_name(name: str, uid: str, retry: str) -> str:
    """The ConfigMap that makes a plan exist. It is known before there is a plan, so two planners meet at it."""
    return _name(name, _digest(uid, retry), "-plan", MAX_LABEL)


def chunk_name(name: str, uid: str, retry: str, plan_digest: str, number: int) -> str:
    """A further ConfigMap of a plan."""
    return _name(name, _digest(uid, retry, plan_digest), f"-plan-{number}", MAX_LABEL)


def plan_names(name: str, uid: str, retry: str, plan_digest: str, chunks: int) -> tuple[str, ...]:
    """All ConfigMaps of a plan with so many chunks besides its index, which comes last."""
    numbered = (chunk_name(name, uid, retry, plan_digest, number) for number in range(chunks))
    return (*numbered, index_name(name, uid, retry))


def job_name(name: str, uid: str, retry: str, plan_digest: str, slices: int) -> str:
    """The Job of a plan. Its pods are called `<job>-<index>-<5 characters>` and fit a DNS label to the largest index:
    otherwise the Job controller would cut them, and two Jobs' pods could look alike."""
    largest = f"-{max(slices - 1, 0)}-"
    return _name(name, _digest(uid, retry, plan_digest), "", MAX_LABEL - RANDOM_SUFFIX - len(largest))


def analysis_job_name(
    name: str, uid: str, commits_digest: str, settings_digest: str, template_digest: str, occasion: str
) -> str:
    """The Job of an analysis of these results with these settings, its pods made in this way, on this occasion: what
    was published before it. Its pods are called `<job>-<5 characters>`."""
    digest = _digest(uid, commits_digest, settings_digest, template_digest, occasion)
    return _name(name, digest, "", MAX_LABEL - RANDOM_SUFFIX - 1)


def _digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:8]


def _name(name: str, digest: str, ending: str, room: int) -> str:
    # A resource's name may have dots, a label may not; and no label may start or end with a dash.
    front = name.replace(".", "-")[: room - len(digest) - len(ending) - 1].strip("-")
    return f"{front}-{digest}{ending}" if front else f"{digest}{ending}"
