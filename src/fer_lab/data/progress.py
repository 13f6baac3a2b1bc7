"""A bar with the time left, on standard error, for what takes more than a moment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from fer_lab.processes import is_first

if TYPE_CHECKING:
    from rich.progress import Progress

Item = TypeVar("Item")

_PATIENCE = 1.0


def track(items: Iterable[Item], *, total: int, description: str) -> Iterator[Item]:
    """Pass ``items`` on, showing how far it got once it has taken a second.

    Args:
        items: what is worked through, one step each.
        total: number of steps.
        description: what is being done, shown before the bar.
    """
    if not is_first():  # of several processes one bar is enough
        yield from items
        return
    started = time.monotonic()
    iterator = iter(items)
    done = 0
    for item in iterator:
        yield item
        done += 1
        if time.monotonic() - started > _PATIENCE:
            break
    else:
        return
    with bar() as shown:
        task = shown.add_task(description, total=total, completed=done)
        for item in iterator:
            yield item
            shown.advance(task)


def bar(*, transient: bool = False) -> Progress:
    """A bar on standard error with steps done, time passed and time left.

    Args:
        transient: whether it goes away when it is done.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=transient,
    )
