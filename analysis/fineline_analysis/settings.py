"""What a person may choose about an analysis, and the few constants that verdicts stand on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one analysis; the same ones on the same metrics give the same bytes.

    `horizons` maps a run to the position (tokens, or steps where tokens are unknown) to forecast to; a run that is not
    in it is forecast to twice what it has seen. `level` is the level of every interval. `smallest_gain` is the gain in
    chance-corrected score that a person would still pay a doubling of tokens for (0.01: one point).
    """

    horizons: Mapping[str, float] = field(default_factory=dict)
    level: float = 0.90
    seed: int = 1234
    draws: int = 400
    """Bootstrap draws a trajectory; even, for they come in pairs."""
    backtest_draws: int = 64
    window: float = 100.0
    """Laws are fitted to checkpoints from `last / window` on: what came earlier is another regime."""
    smallest_gain: float = 0.01
    title: str = "What these runs are learning"

    def to_json(self) -> str:
        """The settings as canonical JSON: part of an analysis's digest."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        values["horizons"] = dict(sorted(self.horizons.items()))
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from the values of `to_json`; what this version doesn't know is left out."""
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    @property
    def tail(self) -> float:
        """The probability beyond each end of an interval."""
        return (1.0 - self.level) / 2.0
