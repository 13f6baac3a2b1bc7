"""When requests are sent: evenly spaced, and none while a server wants quiet."""

from __future__ import annotations

import asyncio


class Pace:
    """Times of requests: evenly spaced, and none while the server wants quiet.

    Args:
        per_minute: requests at most; None sets no rate.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._quiet = 0.0

    async def turn(self) -> None:
        """Wait until a request may be sent."""
        clock = asyncio.get_running_loop().time
        while True:
            start = max(self._next, self._quiet)
            if start <= clock():
                self._next = clock() + self._gap
                return
            await asyncio.sleep(start - clock())

    def hold(self, seconds: float) -> None:
        """Send nothing for a while."""
        self._quiet = max(self._quiet, asyncio.get_running_loop().time() + seconds)
