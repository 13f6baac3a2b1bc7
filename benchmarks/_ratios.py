"""One line for a ratio measured in pairs: its median, its spread, its target."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def print_ratio(
    name: str, pairs: Sequence[tuple[float, float]], target: float, beside: str
) -> None:
    """Print the ratio of each pair's first time to its second.

    Args:
        name: what was measured.
        pairs: seconds of ours and of what it is compared with, taken side by side.
        target: the largest median that is wanted.
        beside: a figure to print before the ratio.
    """
    ratios = sorted(ours / other for ours, other in pairs)
    median = statistics.median(ratios)
    print(
        f"{name:<28} {beside}   ratio {median:.3f} "
        f"({ratios[0]:.3f} to {ratios[-1]:.3f}, {len(ratios)} pairs)   "
        f"target {target}: {'ok' if median <= target else 'ABOVE TARGET'}",
        flush=True,
    )
