"""What the range test of a learning rate says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fer_lab.callbacks.range_test import smoothed
from fer_lab.finding import FEWEST_STEPS

# A smaller fall, as a share of the loss at the beginning, cannot be told from chance.
_SMALLEST_FALL = 0.02


@dataclass(frozen=True)
class Suggestion:
    """What a range test says.

    Attributes:
        rate: the learning rate to use; None where none can be suggested.
        why: how it was chosen, or why none is.
    """

    rate: float | None
    why: str


def rising_rates(lowest: float, highest: float, steps: int) -> list[float]:
    """Rates from ``lowest`` to ``highest``, each the same factor above the one before."""
    return [float(rate) for rate in np.geomspace(lowest, highest, steps)]


def suggest(rates: Sequence[float], losses: Sequence[float]) -> Suggestion:
    """A tenth of the rate at which the smoothed loss is lowest.

    At the lowest point the rate is already so high that the loss is about to rise; a tenth of it
    is still in the part where the loss falls.

    Args:
        rates: of the steps, rising.
        losses: of the steps that were made, no more than there are rates.

    Source: Smith 2017 (range test); the tenth is the rule of thumb of fastai's ``lr_find``.
    """
    level = smoothed(losses)
    level = level[: int(np.isfinite(level).sum())]
    if len(level) < FEWEST_STEPS:
        broke = "the loss broke" if len(level) < len(rates) else "the test ended"
        return Suggestion(None, f"{broke} after {len(level)} steps; {FEWEST_STEPS} are needed")
    begin = float(np.mean(losses[: max(10, len(level) // 10)]))
    lowest = int(level.argmin())
    fall = (begin - float(level[lowest])) / abs(begin)
    if not fall >= _SMALLEST_FALL:
        return Suggestion(
            None,
            f"the loss fell by {max(fall, 0):.1%}, which may be chance "
            f"({_SMALLEST_FALL:.0%} are needed): more find.lr_steps may show a fall",
        )
    rate = rates[lowest] / 10
    if rate < rates[0]:
        return Suggestion(
            None, "the loss rose almost from the beginning: lower find.lowest_lr shows more"
        )
    why = f"a tenth of {rates[lowest]:.3g}, where the loss was lowest"
    if lowest == len(rates) - 1:
        why += "; it was still falling, a higher find.highest_lr may find a higher one"
    return Suggestion(rate, why)


def range_table(rates: Sequence[float], losses: Sequence[float]) -> pd.DataFrame:
    """A row a step: ``learning_rate``, ``loss`` and ``smoothed_loss``."""
    columns: Mapping[str, Any] = {
        "learning_rate": list(rates[: len(losses)]),
        "loss": list(losses),
        "smoothed_loss": smoothed(losses),
    }
    return pd.DataFrame(columns)
