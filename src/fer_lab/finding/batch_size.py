"""The largest batch that a training fits into memory with, found by trying."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import torch
from pytorch_lightning.utilities.memory import is_oom_error

# One image is none for batch norm, and no size to begin doubling with.
SMALLEST = 2

_STATUS = Path("/proc/self/status")
_REFERENCES = Path("/proc/self/clear_refs")


def largest_fitting(
    fits: Callable[[int], bool], most: int, search: Literal["power", "exact"] = "power"
) -> int | None:
    """The largest size that fits, when all sizes below one that fits fit.

    Sizes are doubled from 2 on, and ``most`` is tried when the doubling passes it. An exact search
    then halves the distance between the largest that fits and the smallest that does not.

    Args:
        fits: whether a size does; it is asked once for each size.
        most: no larger size is tried.
        search: ``power`` for powers of two (and ``most``), ``exact`` for any size.

    Returns:
        The size; None when not even the first fits.
    """
    good, size = 0, min(SMALLEST, most)
    while fits(size):
        good = size
        if size == most:
            return good
        size = min(2 * size, most)
    too_large = size
    while search == "exact" and good and too_large - good > 1:
        middle = (good + too_large) // 2
        if fits(middle):
            good = middle
        else:
            too_large = middle
    return good or None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or this machine had no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or is_oom_error(error):
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error).lower()


class Memory:
    """The most memory that trials take, and what the next may take.

    On CUDA it is what torch has reserved on the device, elsewhere what is resident of this process.

    Args:
        device: that is computed on.
        limit: bytes that may be taken; None for all there is.

    Attributes:
        peaks: bytes by batch size.
    """

    def __init__(self, device: torch.device, limit: float | None) -> None:
        self.device = device
        self.limit = limit
        self.peaks: dict[int, int] = {}

    def begin(self) -> None:
        """Forget earlier peaks, where the system can."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif _REFERENCES.exists():
            with suppress(OSError):  # a container may forbid it: peaks then only grow
                _REFERENCES.write_text("5")

    def end(self, size: int) -> bool:
        """Keep the peak of a trial; whether it stayed below the limit."""
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_reserved(self.device)
        else:
            peak = peak_of_process()
        self.peaks[size] = peak
        return self.limit is None or peak <= self.limit

    def allows(self, size: int) -> bool:
        """Whether a trial may begin: what it will take, by the two largest below, is allowed."""
        below = sorted(each for each in self.peaks if each < size)[-2:]
        if self.limit is None or len(below) < 2:
            return True
        first, second = (self.peaks[each] for each in below)
        slope = max(second - first, 0) / (below[1] - below[0])
        return second + slope * (size - below[1]) <= self.limit


def peak_of_process() -> int:
    """The most bytes of this process that were resident at once, since ``Memory.begin`` on Linux.

    Elsewhere, and where the system does not let go of the peak, since the process began.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
