"""Ends that are asked for: what stops a process politely is one exception, whatever sent it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def terminations_as_interrupts() -> Iterator[None]:
    """While the block lasts SIGTERM raises ``KeyboardInterrupt``, as Ctrl-C does.

    Outside the main thread, which alone may set this, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (as signal wants)
        raise KeyboardInterrupt("stopped by SIGTERM")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
