"""Many small files at once: work that waits for disks or decodes outside the interpreter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fer_lab.data.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 64


def map_in_threads(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    description: str,
    threads: int | None = None,
) -> Iterator[Result]:
    """Apply ``function`` to every item and give the results in order, with a progress bar.

    Leaving early (an error, an interruption) drops what has not begun.

    Args:
        function: safe to run in several threads.
        items: what to apply it to.
        description: what is being done, for the bar.
        threads: how many; by default twice the processors, at most 16.
    """
    starts = range(0, len(items), _AT_ONCE)

    def several(start: int) -> list[Result]:
        return [function(item) for item in items[start : start + _AT_ONCE]]

    def one_by_one() -> Iterator[Result]:
        for part in pool.map(several, starts):
            yield from part

    pool = ThreadPoolExecutor(threads or min(16, 2 * (os.cpu_count() or 1)))
    try:
        yield from track(one_by_one(), total=len(items), description=description)
    finally:
        pool.shutdown(cancel_futures=True)
