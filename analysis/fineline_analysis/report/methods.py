"""How each section's numbers were computed, in words: what stands folded under it."""

from __future__ import annotations

import inspect

from fineline_analysis import forecasts, laws, sanity
from fineline_analysis.analyse import Analysis
from fineline_analysis.words import points

_TEXTS = {
    "domains": """
        A score is (value - chance) / (best - chance): 0 is chance, 100 is perfect, and below chance is below 0. Tasks
        are averaged only so; a domain's mean weighs its tasks equally, the mean of a run its domains.

        Bands are {level} intervals for the sampling of documents, independent between tasks; they say nothing of other
        seeds. Position 0 can't be drawn on a logarithmic axis; it is in the table that can be downloaded.
        """,
    "tasks": """
        One metric speaks for a task, the same in every run: acc_norm before acc before exact_match, and so on. The
        other metrics are in trajectories.arrow.

        Bands are {level} intervals: Wilson's for proportions, normal with the reported standard error otherwise.
        """,
    "order": """
        A domain's gain is from the lowest to the highest level of its isotonic fit so far. A time lies between two
        checkpoints, and is drawn at their geometric middle; beside it the {level} interval from a parametric bootstrap
        (scores drawn around the isotonic fit with their standard errors, {draws} draws).

        Before the next: the probability that the domain comes to its half before the one that follows it, with each
        time anywhere between its two checkpoints. A gain that noise alone would give in 5% of cases is none.

        Shares of the gain move as a run goes on; times to fixed scores (10, 25, 50, 75) are in the download.
        """,
    "laws": """
        Score = E - A (D / D_newest)^-β, D in tokens (steps where unknown): Hestness et al. 2017, Kaplan et al. 2020,
        Hoffmann et al. 2022. Least squares weighted by 1 / stderr², E within the metric's bounds, the global optimum
        by variable projection over β in {betas}. Fitted from 1/{window} of the newest position on, and of an
        accuracy from where {above} of the gain was made.

        {level} intervals: parametric residual bootstrap, {draws} draws, seed {seed}, the residual's scale drawn from
        its own uncertainty. E, A and the residual's standard deviation are in points of score.

        The laws of all tasks, on their raw headline metric, are in the download. Whether checkpoints were annealed is
        not modelled yet.
        """,
    "returns": """
        The fitted law at twice the newest position, less the law at the newest; and the same for the doubling before.
        The {level} interval and the probability are from the law's bootstrap draws, those of the next doubling
        spread on each side by what the replays under Forecasts ask for there, and cut where the newest score would
        pass what the metric can be. They are of the law, without the noise of one checkpoint, and hold as far as the
        law does, at an unchanged learning rate.

        The gain of the mean of all is the mean of the domains' gains.
        """,
    "forecasts": """
        The fitted law at the horizon that was asked for, else at twice the newest position. The {level} interval is of
        what would be measured there: the law's bootstrap draws and one checkpoint's noise, within what the metric can
        be.

        Replays: each trajectory's newest value is forecast from its checkpoints up to {origins} of its position alone
        (rolling origin). Each side of the intervals is widened so far that it would have been passed in {tail} of the
        replays, pooled over means and over tasks, if there are {replays} or more: where abilities turned out better
        than forecast and never worse, only the side of better values is widened. The schedule is not known.

        The mean of all is the mean of the domains' forecasts, and so are the ends of its interval.
        """,
    "verdicts": """
        Judged on the mean of the domains' scores, in this order: too early (under four checkpoints, nothing above
        chance, or an interval wider than 20 points), unstable (a fall and jitter of over 2 points, and three times
        the documents' noise), regressing (falling, and beyond noise under its best), plateaued (a probability of at
        most 10% that the next doubling gains over {pays} points), slowing (under 50%, or less than half of the last
        doubling's gain), improving.

        No verdict says that a run should be stopped: that takes a known learning-rate schedule.
        """,
    "sanity": """
        Told are log-probabilities that are not finite, one answer to more than {constant} of a task's documents, and a
        fixed plain text that costs more than {worse} times the bits of uniform guessing. A model may have a reason for
        one of them: one that never saw plain text predicts it badly, and a young one answers all alike.

        Nothing is left out for it. All rows are in sanity.arrow.
        """,
    "inputs": """
        Inputs {digest}: a digest of the metrics rows and the settings; the same ones give the same bytes.

        Settings: {settings}

        Rows under the domain sanity take no part in any score.
        """,
}


def method(name: str, analysis: Analysis) -> tuple[str, ...]:
    """The paragraphs of a section's method, with this analysis's settings in them."""
    settings = analysis.settings
    facts = {
        "level": f"{settings.level:.0%}",
        "tail": f"{settings.tail:.0%}",
        "constant": f"{sanity.CONSTANT_ANSWER_LIMIT:.0%}",
        "worse": f"{sanity.WORSE_THAN_UNIFORM:g}",
        "draws": f"{settings.draws:,}",
        "seed": str(settings.seed),
        "window": f"{settings.window:g}",
        "above": f"{laws.ABOVE_CHANCE:.0%}",
        "betas": f"{laws.BETAS[0]:g} to {laws.BETAS[-1]:g}",
        "origins": ", ".join(f"{origin:.0%}" for origin in forecasts.ORIGINS),
        "replays": str(forecasts.FEWEST_REPLAYS),
        "pays": points(settings.smallest_gain).lstrip("+"),
        "digest": analysis.digest,
        "settings": settings.to_json(),
    }
    paragraphs = inspect.cleandoc(_TEXTS[name]).split("\n\n")
    return tuple(" ".join(paragraph.split("\n")).format(**facts) for paragraph in paragraphs)
