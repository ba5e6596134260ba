"""An evaluation that has a plan: what every decision about it needs, and the status around its conditions."""

from __future__ import annotations

from dataclasses import dataclass

from fineline.resources import CheckpointEvalSpec
from fineline.resources.reasons import EventReason, Reason
from fineline.resources.status import MAX_FAILURES, CheckpointEvalStatus, Failure, PlanStatus, ProgressStatus
from fineline_operator.evaluations import wording
from fineline_operator.evaluations.conditions import Conditions
from fineline_operator.evaluations.decision import StatusWanted
from fineline_operator.evaluations.observed import CommitsSeen, EvaluationSeen, JobSeen, Observed, PlanSeen
from fineline_operator.telling.conditions import ConditionWanted, condition
from fineline_operator.telling.events import EventWanted, event
from fineline_operator.telling.words import counted


@dataclass(frozen=True, slots=True)
class Work:
    """What was observed, with the spec that can be read and the plan that is there."""

    observed: Observed
    spec: CheckpointEvalSpec
    plan: PlanSeen

    @property
    def evaluation(self) -> EvaluationSeen:
        return self.observed.evaluation

    @property
    def status(self) -> CheckpointEvalStatus:
        return self.observed.evaluation.status

    @property
    def planned(self) -> ConditionWanted:
        return condition("Planned", "True", Reason.PLANNED, wording.planned(self.plan))

    @property
    def had_job(self) -> bool:
        """Whether a Job was made in this attempt: that it is gone means that it went, not that it never was."""
        return self.status.job_name is not None or self.status.start_time is not None

    @property
    def commits(self) -> CommitsSeen | None:
        """The newest listing of this plan's units, if any: one from before it was made counted another plan's."""
        seen, last = self.observed.commits, self.observed.last_commits
        if isinstance(seen, CommitsSeen):
            return seen
        return last if last is not None and last.at >= self.plan.made else None

    @property
    def planned_events(self) -> tuple[EventWanted, ...]:
        """Told until the status shows the plan."""
        if self._is_told:
            return ()
        events = [event(EventReason.PLANNED, wording.planned(self.plan))]
        if self.plan.put_aside:
            events.append(event(EventReason.CHECKPOINTS_PUT_ASIDE, wording.put_aside(self.plan)))
        return tuple(events)

    def job_events(self, job: JobSeen) -> tuple[EventWanted, ...]:
        """That the Job was made. Told until the status shows it: it may end before, while no operator runs."""
        before = self.status.job_name
        if before == job.name and not self.observed.job_created:
            return ()
        events = []
        if before is not None:
            message = (
                f"The Job {before} or its plan was gone before the end: {job.name} does what is left. What is "
                "published is not done again."
            )
            events.append(event(EventReason.JOB_GONE, message))
        message = f"The Job {job.name} does {counted(self.plan.todo, 'unit')} in {counted(self.plan.slices, 'slice')}."
        events.append(event(EventReason.JOB_CREATED, message))
        return tuple(events)

    @property
    def failure_events(self) -> tuple[EventWanted, ...]:
        """The failures that the status does not show yet, as far as the listing names them."""
        commits = self.observed.commits
        if not isinstance(commits, CommitsSeen):
            return ()
        return tuple(
            event(
                EventReason.CHECKPOINT_FAILED,
                f"{wording.unit_name(failure.checkpoint, failure.task)}: {failure.reason}: {failure.message}",
            )
            for failure in commits.failures[:MAX_FAILURES]
            if failure not in self.status.failures
        )

    @property
    def failures(self) -> tuple[Failure, ...] | None:
        """Those that the plan knew of, then those of the listing; None where nothing new is known of either."""
        commits = self.observed.commits
        if isinstance(commits, CommitsSeen):
            return (*self.plan.failures, *commits.failures)[:MAX_FAILURES]
        return None if self._is_told else self.plan.failures[:MAX_FAILURES]

    @property
    def _is_told(self) -> bool:
        """Whether the status is about this plan."""
        return self.status.plan is not None and self.status.plan.digest == self.plan.digest

    def all_ended(self, commits: CommitsSeen) -> bool:
        """Whether nothing of the plan is left to do."""
        return commits.published + commits.failed >= self.plan.todo

    def status_with(
        self,
        conditions: Conditions,
        *,
        job: JobSeen | None = None,
        job_name: str | None = None,
        retry: str | None = None,
        finished: bool = False,
    ) -> StatusWanted:
        """The whole status. `job_name` and `retry` stand for what follows from the Job and the attempt."""
        return StatusWanted(
            conditions=conditions,
            plan=PlanStatus(
                digest=self.plan.digest,
                checkpoints=self.plan.checkpoints,
                units=self.plan.units,
                reused=self.plan.reused,
                put_aside=self.plan.put_aside,
                slices=self.plan.slices,
            ),
            progress=self._progress(),
            failures=self.failures,
            results=self.plan.run_results_uri or None,
            job_name=job.name if job is not None and job_name is None else job_name,
            retry=retry or self.evaluation.attempt or None,
            started=job is not None,
            finished=finished,
        )

    def _progress(self) -> ProgressStatus | None:
        """From the newest listing; without one, what stands there, if it is about this plan."""
        commits = self.commits
        if commits is None and self.status.progress is not None and self._is_told:
            return None
        published = min(commits.published, self.plan.todo) if commits is not None else 0
        failed = min(commits.failed, self.plan.todo - published) if commits is not None else 0
        failed += self.plan.failed_before
        of = self.plan.todo + self.plan.failed_before
        return ProgressStatus(published=published, failed=failed, of=of, text=f"{published + failed}/{of}")
