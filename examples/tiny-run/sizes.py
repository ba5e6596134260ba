"""The two models of the demo, and when they are looked at."""

from __future__ import annotations

from dataclasses import dataclass

STEPS = 800
# Dense where everything begins, then even.
CHECKPOINTS = (10, 25, 50, 100, 150, 200, 250, 300, 350, 400, 500, 600, 700, 800)


@dataclass(frozen=True)
class Size:
    """A Llama's shape, and its peak learning rates: for its matrices, and for all the rest."""

    name: str
    width: int
    layers: int
    feed_forward: int
    initial_deviation: float
    learning_rate: float
    matrix_learning_rate: float = 0.02
    head_width: int = 32


SIZES = {
    size.name: size
    for size in (
        Size("tiny-small", width=64, layers=2, feed_forward=192, initial_deviation=0.08, learning_rate=5e-3),
        Size("tiny-large", width=160, layers=3, feed_forward=512, initial_deviation=0.055, learning_rate=4e-3),
    )
}


def checkpoints_until(last: int) -> tuple[int, ...]:
    """The steps to keep of a run that ends with step `last`, which is one of them."""
    return (*(step for step in CHECKPOINTS if step < last), last)
