"""Makes the CheckpointEvals of a source and takes ended ones away. Every write may come twice."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from fineline.resources.source_reasons import SourceReason
from fineline.sources.batches import evaluation_body
from fineline.sources.deciding import MadeEvaluation, NewEvaluation, SourceIdentity
from fineline_operator.api import (
    AlreadyExists,
    Api,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooMany,
    Unavailable,
    path_of,
)
from fineline_operator.sources.observed import Source, SourceSeen
from fineline_operator.sources.reading import SourceReader
from fineline_operator.telling.problems import Problem


class Created(Enum):
    """What came of making a CheckpointEval. BEFORE: one of this source has its name, made by whoever was first: perhaps
    of other checkpoints, so that it is to be looked at anew."""

    NOW = auto()
    BEFORE = auto()


class Actor:
    """Writes through the API."""

    def __init__(self, api: Api, reader: SourceReader) -> None:
        self._api = api
        self._reader = reader

    async def create(self, source: Source, template: str, new: NewEvaluation) -> Created | Problem:
        """Whether it was made now; or why there can be none."""
        seen = source.seen
        body = evaluation_body(SourceIdentity(seen.name, seen.namespace, seen.uid), source.spec, template, new)
        try:
            # The CRDs may be an older release's, and not know `pinned[].folder`: a hint, without which all is listed.
            evaluations = path_of("checkpointevals", seen.namespace)
            await self._api.create(evaluations, body, metadata_only=True, strict=False)
        except AlreadyExists:
            if await self._reader.is_own(seen, new.name):
                return Created.BEFORE
            message = f"a CheckpointEval {new.name} is there and was not made by this source: delete or rename it"
            return Problem(SourceReason.EVALUATION_REFUSED, message)
        except (Forbidden, Invalid) as error:
            return Problem(SourceReason.EVALUATION_REFUSED, f"spec.template: {error}")
        except (TooMany, Unavailable) as error:
            if not error.status:
                raise  # nobody is there to write a status to either
            message = f"a CheckpointEval can't be made: {error}"
            return Problem(SourceReason.CLUSTER_UNAVAILABLE, message, lasting=False)
        return Created.NOW

    async def delete(self, seen: SourceSeen, evaluations: Iterable[MadeEvaluation]) -> None:
        """Takes ended CheckpointEvals away. Nothing where they are gone, or another has the name by now."""
        for one in evaluations:
            try:
                await self._api.delete(path_of("checkpointevals", seen.namespace, one.name), uid=one.uid)
            except (NotFound, Conflict):
                continue
