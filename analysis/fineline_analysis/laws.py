"""The power law with an offset, fitted to every trajectory at once: y(D) = E - A (D / D_last)^(-beta).

The form of Hestness et al. (2017, arXiv 1712.00409), Kaplan et al. (2020, arXiv 2001.08361) and, with E, Hoffmann et
al. (2022, arXiv 2203.15556): E + B / D^beta for a loss is the same with B = -A D_last^beta. E is where the curve goes,
A how far it still is from there, beta how fast it closes in. D is in tokens, or in steps where tokens are unknown.

For a given beta the law is linear in E and A, so each is solved exactly, within E's bounds, and only beta is searched
for (variable projection: Golub and Pereyra 1973, doi 10.1137/0710036), on a grid and then by golden section: the
global optimum without starting values, for all trajectories at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import gammaincinv

from fineline_analysis import isotonic
from fineline_analysis.settings import Settings
from fineline_analysis.trajectories import IDENTITY, Flags, Floats, Panel

BETAS: Floats = np.geomspace(0.02, 4.0, 40)
"""Below 0.02 the law is a line in log D, above 4 it has ended: neither can be told from the end of the grid."""

FEWEST = 4
"""Checkpoints a law needs: three parameters, and one to see how well it holds."""

ABOVE_CHANCE = 0.1
"""An accuracy's law begins where 10% of its gain so far is made: before, it sits at chance, which is another regime."""

_CHUNK_ELEMENTS = 4_000_000
_FINE = 0.03
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True)
class PowerLaws:
    """One fitted law a trajectory; NaN where there are too few checkpoints.

    `scale` is the standard deviation of a residual in units of the value's own noise (1: the law holds to within the
    sampling of documents). `used` says which checkpoints the law was fitted to.
    """

    E: Floats
    A: Floats
    beta: Floats
    scale: Floats
    points: Floats
    last: Floats
    used: Flags

    def at(self, position: Floats) -> Floats:
        """The laws' values at one position each."""
        return np.asarray(self.E - self.A * (position / self.last) ** (-self.beta))


@dataclass(frozen=True, slots=True)
class Draws:
    """Laws refitted to data drawn from the fitted law: (K, B) each. `noise` is a draw of the residual's scale."""

    E: Floats
    A: Floats
    beta: Floats
    scale: Floats
    last: Floats

    def at(self, position: Floats) -> Floats:
        """(K, B): every draw's value at one position a trajectory."""
        return np.asarray(self.E - self.A * (position / self.last)[:, None] ** (-self.beta))


def used_checkpoints(panel: Panel, window: float) -> Flags:
    """The checkpoints that a law is fitted to: none at D = 0, which has no logarithm, none before `last / window`, and
    of an accuracy none before it has left chance, unless too few remain: a bump at a flat curve's end is no start."""
    last = _last(panel)
    # The newest checkpoint may be at step 0 alone: then nothing is used.
    recent = panel.present & (panel.position > 0) & (panel.position >= last[:, None] / window)
    bounded = np.isfinite(panel.highest)
    left = isotonic.reached(panel.sign[:, None] * panel.value, panel.noise, ABOVE_CHANCE)
    risen = recent & left
    use_risen = bounded & (risen.sum(axis=1) >= FEWEST)
    return np.where(use_risen[:, None], risen, recent)


def fit(panel: Panel, window: float = 100.0) -> PowerLaws:
    """Least squares weighted by 1 / stderr^2; E within what the metric can be."""
    used = used_checkpoints(panel, window)
    count = used.sum(axis=1)
    enough = count >= FEWEST
    used = used & enough[:, None]
    last = _last(panel)
    result = np.full((4, len(panel)), np.nan)
    for rows in _chunks(len(panel), BETAS.size * panel.value.shape[1]):
        system = _System.of(panel.rows(rows), used[rows], last[rows])
        beta = _search(system, system.value[:, :, None])
        offset, amplitude, sse = system.solve(beta, system.value[:, :, None])
        freedom = np.maximum(count[rows] - 3, 1)
        scale = np.sqrt(np.maximum(sse[:, 0], 0.0) / freedom)
        result[:, rows] = offset[:, 0], amplitude[:, 0], beta[:, 0], scale
    offset, amplitude, beta, scale = np.where(enough, result, np.nan)
    return PowerLaws(offset, amplitude, beta, scale, count.astype(np.float64), last, used)


def bootstrap(panel: Panel, laws: PowerLaws, draws: int, seed: int) -> Draws:
    """Parametric residual bootstrap (Efron and Tibshirani 1993, ch. 9): data drawn from the fitted law, refitted.

    The residual's scale is itself estimated from few points, so each draw takes its own from the scaled inverse
    chi-squared distribution with n - 3 degrees of freedom: that is what widens the intervals at small n as Student's t
    does. All trajectories share the same random numbers, so that comparing two adds no noise of the drawing.
    """
    normal, quantile = _random_numbers(panel.value.shape[1], draws, seed)
    offset, amplitude, beta = (np.full((len(panel), draws), np.nan) for _ in range(3))
    freedom = np.maximum(laws.points - 3, 1)
    scale = laws.scale[:, None] * np.sqrt(freedom[:, None] / _chi_squared(freedom, quantile))
    curve = laws.E[:, None] - laws.A[:, None] * np.where(laws.used, panel.position / laws.last[:, None], 1.0) ** (
        -laws.beta[:, None]
    )
    for rows in _chunks(len(panel), max(BETAS.size, panel.value.shape[1]) * draws):
        system = _System.of(panel.rows(rows), laws.used[rows], laws.last[rows])
        noise = panel.noise[rows][:, :, None] * scale[rows][:, None, :] * normal
        drawn = np.where(laws.used[rows][:, :, None], curve[rows][:, :, None] + noise, 0.0)
        found = _search_coarse(system, drawn)
        offset[rows], amplitude[rows], _ = system.solve(found, drawn)
        beta[rows] = found
    nothing = np.isnan(laws.E)
    for array in (offset, amplitude, beta):
        array[nothing] = np.nan
    return Draws(offset, amplitude, beta, scale, laws.last)


def table(panel: Panel, laws: PowerLaws, draws: Draws, settings: Settings) -> pl.DataFrame:
    """The laws as a table, one row a trajectory, with intervals; `status` is fitted, flat or too few."""
    tail = settings.tail
    columns: dict[str, Floats] = {"points": laws.points, "last_position": laws.last}
    for name in ("E", "A", "beta"):
        low, high = interval(getattr(draws, name), tail)
        value: Floats = getattr(laws, name)
        # At a bound of E all draws lie on one side of the estimate: the interval reaches to it.
        columns |= {name: value, f"{name}_low": np.fmin(low, value), f"{name}_high": np.fmax(high, value)}
    residual = laws.scale * np.nanmedian(np.where(laws.used, panel.noise, np.nan_to_num(panel.noise)), axis=1)
    columns |= {"residual": residual, "residual_over_noise": laws.scale}
    first = np.min(np.where(laws.used, panel.position, laws.last[:, None]), axis=1)
    low, high = interval(draws.at(laws.last) - draws.at(first), tail)
    columns |= {
        "first_position": first,
        "change": laws.at(laws.last) - laws.at(first),
        "change_low": low,
        "change_high": high,
    }
    flat = (low <= 0) & (high >= 0)
    status = np.where(np.isnan(laws.E), "too few", np.where(flat, "flat", "fitted"))
    kept = panel.names.select(
        *IDENTITY,
        "run",
        "branch",
        "axis",
        "higher_is_better",
        "parameters",
        "active_parameters",
        "non_embedding_parameters",
    )
    return kept.with_columns(
        pl.Series("status", status, pl.String),
        *(pl.Series(name, array, pl.Float64).fill_nan(None) for name, array in columns.items()),
    )


def interval(draws: Floats, tail: float) -> tuple[Floats, Floats]:
    """The percentile interval of each row of draws; NaN where a row has none."""
    low, high = np.full(draws.shape[0], np.nan), np.full(draws.shape[0], np.nan)
    known = ~np.isnan(draws).any(axis=1)
    if known.any():
        low[known], high[known] = np.quantile(draws[known], [tail, 1.0 - tail], axis=1)
    return low, high


@dataclass(frozen=True, slots=True)
class _System:
    """The weighted normal equations of a chunk: `log_u` (K, T) is ln(D / D_last), `weight` zero where unused."""

    log_u: Floats
    weight: Floats
    value: Floats
    lowest: Floats
    highest: Floats

    @classmethod
    def of(cls, panel: Panel, used: Flags, last: Floats) -> _System:
        log_u = np.log(np.where(used, panel.position / last[:, None], 1.0))
        weight = np.where(used, 1.0 / np.where(used, panel.noise, 1.0) ** 2, 0.0)
        value = np.where(used, panel.value, 0.0)
        return cls(log_u, weight, value, panel.lowest, panel.highest)

    def solve(self, beta: Floats, drawn: Floats) -> tuple[Floats, Floats, Floats]:
        """E, A and the weighted sum of squares at one beta a (trajectory, draw): beta (K, B), drawn (K, T, B)."""
        g = np.exp(-beta[:, None, :] * self.log_u[:, :, None])
        w = self.weight[:, :, None]
        total = self.weight.sum(axis=1)[:, None]
        centre = (w * drawn).sum(axis=1) / np.maximum(total, 1e-300)
        y = drawn - centre[:, None, :]
        wg = w * g
        return self._bounded(
            total, wg.sum(axis=1), (wg * g).sum(axis=1), (wg * y).sum(axis=1), (w * y * y).sum(axis=1), centre
        )

    def profile(self, drawn: Floats) -> Floats:
        """(K, G, B): the weighted sum of squares at every beta of the grid."""
        g = np.exp(-BETAS[None, :, None] * self.log_u[:, None, :])
        wg = self.weight[:, None, :] * g
        total = self.weight.sum(axis=1)[:, None, None]
        centre = np.einsum("kt,ktb->kb", self.weight, drawn)[:, None, :] / np.maximum(total, 1e-300)
        y = drawn - centre
        sgy = np.matmul(wg, y)
        syy = np.einsum("kt,ktb->kb", self.weight, y * y)[:, None, :]
        sums = (wg.sum(axis=2)[:, :, None], (wg * g).sum(axis=2)[:, :, None])
        return self._bounded(total, *sums, sgy, syy, centre)[2]

    def _bounded(
        self, sw: Floats, sg: Floats, sgg: Floats, sgy: Floats, syy: Floats, centre: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """The exact minimum over E within its bounds and A, of values centred so that their weighted sum is 0."""
        axes = (slice(None),) + (None,) * (sgy.ndim - 1)
        determinant = np.maximum(sw * sgg - sg * sg, 1e-12 * sw * sgg + 1e-300)
        slope = sw * sgy / determinant
        offset = np.clip(-slope * sg / np.maximum(sw, 1e-300), self.lowest[axes] - centre, self.highest[axes] - centre)
        slope = (sgy - offset * sg) / np.maximum(sgg, 1e-300)
        sse = syy - 2 * slope * sgy + offset * offset * sw + 2 * offset * slope * sg + slope * slope * sgg
        return offset + centre, -slope, sse


def _search_coarse(system: _System, drawn: Floats) -> Floats:
    """The best beta of the grid, refined by two parabolas in log beta: through its neighbours, then 3% around it.

    One parabola alone is off by more than beta's own error where the noise is low.
    """
    sse = system.profile(drawn)
    best = np.clip(sse.argmin(axis=1), 1, BETAS.size - 2)
    neighbours = [np.take_along_axis(sse, best[:, None, :] + i, axis=1)[:, 0, :] for i in (-1, 0, 1)]
    log_beta = np.log(BETAS[best]) + _vertex(*neighbours) * np.log(BETAS[1] / BETAS[0])
    around = [system.solve(np.exp(log_beta + shift), drawn)[2] for shift in (-_FINE, 0.0, _FINE)]
    log_beta = log_beta + _vertex(*around) * _FINE
    return np.asarray(np.exp(np.clip(log_beta, np.log(BETAS[0]), np.log(BETAS[-1]))))


def _vertex(left: Floats, middle: Floats, right: Floats) -> Floats:
    """The lowest point of the parabola through (-1, left), (0, middle), (1, right), at most 1 away."""
    curvature = left - 2 * middle + right
    shift = np.where(
        curvature > 0, 0.5 * (left - right) / np.where(curvature > 0, curvature, 1.0), np.sign(left - right)
    )
    return np.asarray(np.clip(shift, -1.0, 1.0))


def _search(system: _System, drawn: Floats, steps: int = 40) -> Floats:
    """The best beta to machine precision's square root: golden section between the grid's neighbours of the best."""
    best = system.profile(drawn).argmin(axis=1)
    low = np.log(BETAS[np.maximum(best - 1, 0)])
    high = np.log(BETAS[np.minimum(best + 1, BETAS.size - 1)])
    inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_inner = system.solve(np.exp(inner), drawn)[2]
    at_outer = system.solve(np.exp(outer), drawn)[2]
    for _ in range(steps):
        left = at_inner < at_outer
        low, high = np.where(left, low, inner), np.where(left, outer, high)
        fresh = np.where(left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        at_fresh = system.solve(np.exp(fresh), drawn)[2]
        inner, outer = np.where(left, fresh, outer), np.where(left, inner, fresh)
        at_inner, at_outer = np.where(left, at_fresh, at_outer), np.where(left, at_inner, at_fresh)
    return np.asarray(np.exp(0.5 * (low + high)))


def _random_numbers(points: int, draws: int, seed: int) -> tuple[Floats, Floats]:
    """Standard normals (points, draws) in antithetic pairs, of unit covariance where there are enough draws for it, and
    stratified uniforms (draws,): with numbers that are this even, few draws give steady quantiles."""
    generator = np.random.default_rng(seed)
    half = draws // 2
    normal = generator.standard_normal((points, half))
    if 4 * points <= half:
        variance, axes = np.linalg.eigh(normal @ normal.T / half)
        normal = (axes / np.sqrt(variance)) @ axes.T @ normal
    quantile = (generator.permutation(half) + 0.5) / half
    return np.concatenate([normal, -normal], axis=1), np.concatenate([quantile, quantile])


def _chi_squared(freedom: Floats, quantile: Floats) -> Floats:
    return np.asarray(2.0 * gammaincinv(freedom[:, None] / 2.0, quantile))


def _last(panel: Panel) -> Floats:
    """The newest position; 1 where it is 0, so that ratios stay finite."""
    last = panel.last
    return np.where(last > 0, last, 1.0)


def _chunks(rows: int, elements_a_row: int) -> Iterator[slice]:
    size = max(1, _CHUNK_ELEMENTS // max(elements_a_row, 1))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
