"""Asking many images at once: workers, retries, budget, each answer kept as it comes."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_lab.asking.budget import Budget, Charge
from fer_lab.asking.exchange import Exchange
from fer_lab.asking.journal import Journal
from fer_lab.asking.options import Question, Server
from fer_lab.asking.pace import Pace
from fer_lab.asking.protocol import (
    Failure,
    Reply,
    image_url,
    question_key,
    request_body,
    wording_key,
)
from fer_lab.errors import ConfigError, FerLabError

_LONGEST_BACKOFF = 60.0


@dataclass(frozen=True)
class Face:
    """An image to ask about.

    Attributes:
        identity: its id.
        row: of the manifest.
        image: uint8 ``[H, W, 3]``, RGB.
    """

    identity: str
    row: int
    image: NDArray[np.uint8]


@dataclass
class Asked:
    """What asking gave.

    Attributes:
        answers: lines of the journal, by row.
        failures: why there is no answer, by row.
        earlier: how many of the answers an earlier run had paid.
        sent: requests of this run.
        waits: how often the server was waited for.
        lost: requests of this run whose outcome nobody knows, since it was stopped.
        stopped: why not all images were asked, None where they were.
    """

    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    earlier: int = 0
    sent: int = 0
    waits: int = 0
    lost: int = 0
    stopped: FerLabError | None = None


class Asker:
    """Asks a server about faces.

    Args:
        server: whom.
        question: what.
        classes: the expressions that are asked about.
        journal: of what has been answered.
        budget: what may be spent; what the journal holds is counted in.
    """

    def __init__(
        self,
        server: Server,
        question: Question,
        classes: Sequence[str],
        journal: Journal,
        budget: Budget,
    ) -> None:
        self.server, self.question, self.classes = server, question, tuple(classes)
        self.journal, self.budget = journal, budget
        self.asked = Asked()
        self._in_a_row = 0
        self._resumed = bool(journal.answers)
        for line in journal.spent:
            budget.take_in(line)

    def ask(self, faces: Iterator[Face], step: Callable[[], None]) -> Asked:
        """Ask about every face that the journal has no answer for.

        Args:
            faces: read as they are needed.
            step: called after each.

        Raises:
            ConfigError: when the key is not there.
            DataError: when a face cannot be read.
            KeyboardInterrupt: after Ctrl-C or SIGTERM.
        """
        try:
            asyncio.run(self._all(faces, step))
        except asyncio.CancelledError as error:
            raise KeyboardInterrupt("stopped by SIGTERM") from error
        except BaseExceptionGroup as several:  # one worker's mistake ends all: an unreadable image
            raise several.exceptions[0] from several
        finally:
            self.asked.lost = self.budget.forfeit()
        return self.asked

    async def _all(self, faces: Iterator[Face], step: Callable[[], None]) -> None:
        self._pace = Pace(self.server.requests_per_minute)
        self._settled = asyncio.Condition()
        own = asyncio.current_task()
        if own is not None and threading.current_thread() is threading.main_thread():
            # As asyncio treats Ctrl-C: an exception in the midst of a task would be none of it.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
        async with Exchange(self.server) as self._exchange, asyncio.TaskGroup() as group:
            for _ in range(self.server.concurrency):
                group.create_task(self._work(faces, step))

    async def _work(self, faces: Iterator[Face], step: Callable[[], None]) -> None:
        # What an earlier run has paid is gathered even when nothing is to be sent any more.
        while not self._ended() or self._resumed:
            face = next(faces, None)
            if face is None:
                return
            if await self._face(face):
                step()

    async def _face(self, face: Face) -> bool:
        """Ask about one face; whether there is an outcome."""
        name = str(self.server.model)
        key = question_key(name, self.question, self.classes, face.image)
        known = self.journal.answers.get((face.identity, key))
        if known is not None:
            self.asked.answers[face.row] = known
            self.asked.earlier += 1
            return True
        if self._ended():
            return False
        url = image_url(face.image, self.question)
        body = request_body(name, self.question, self.classes, url)
        wording = wording_key(name, self.question, self.classes, face.image)
        failure = Failure("")
        for attempt in range(self.server.retries + 1):
            if attempt:
                await self._wait(failure, attempt)
            reserved = await self._may_send(wording)
            if reserved is None:
                break
            sent = {"identity": face.identity, "key": key, "wording": wording}
            failed = await self._send(face.row, body, reserved, sent)
            if failed is None:
                self._in_a_row = 0
                return True
            failure = failed
            if failure.final:
                self._stop("the server refuses", failure)
            if not failure.again:
                break
        if self._ended() and (failure.again or not failure.reason):
            return False  # it would have been tried again
        self.asked.failures[face.row] = failure.reason
        self._in_a_row += 1
        if failure.unreachable:
            self._stop("the server cannot be reached", failure)
        if self._in_a_row >= self.server.max_failures:
            self._stop(f"{self._in_a_row} images in a row have no answer", failure)
        return True

    async def _wait(self, failure: Failure, attempt: int) -> None:
        """Wait before a request is sent again."""
        self.asked.waits += 1
        if failure.wait is not None:
            if failure.wait > self.server.longest_wait:
                self._stop(f"the server asks to wait {failure.wait:.0f} s", failure)
                return
            self._pace.hold(failure.wait)
        longest = min(self.server.backoff * 2 ** (attempt - 1), _LONGEST_BACKOFF)
        await asyncio.sleep(random.uniform(longest / 2, longest))

    async def _may_send(self, wording: str) -> Charge | None:
        """Reserve and wait for the turn; None when nothing is to be sent any more."""
        async with self._settled:
            while not self._ended() and (limit := self.budget.reached(wording)):
                if self.budget.under_way == 0:
                    self.asked.stopped = FerLabError(
                        "the budget is used up: the next request could pass it",
                        where=f"{limit}; spent {self.spent()}",
                        hint="raise it and go on where this ended: "
                        f"journal='{self.journal.path.absolute()}'",
                    )
                    break
                await self._settled.wait()  # what is under way may cost less than is set aside
            if self._ended():
                return None
            reserved = self.budget.reserve(wording)
        try:
            await self._pace.turn()
        except asyncio.CancelledError:
            self.budget.release(reserved)
            raise
        if not self._ended():
            return reserved
        self.budget.release(reserved)
        await self._tell()
        return None

    async def _send(
        self, row: int, body: dict[str, Any], reserved: Charge, sent: dict[str, str]
    ) -> Failure | None:
        """Send one request and keep its answer; why there is none, if there is none."""
        self.journal.append("sent", **sent, **self._cost(reserved))
        self.asked.sent += 1
        found = await self._exchange.send(body)
        if isinstance(found, Failure):
            spent = reserved if found.billed else Charge()
            self.journal.append("failed", **sent, reason=found.reason, **self._cost(spent))
            self.budget.settle(reserved, spent)
            await self._tell()
            return found
        spent, known = self._spent(found, reserved)
        self.asked.answers[row] = self.journal.append(
            "answered",
            **sent,
            text=found.text,
            refused=found.refused,
            whole=found.whole,
            model=found.model,
            input_tokens=found.input_tokens,
            output_tokens=found.output_tokens,
            **self._cost(spent),
        )
        self.budget.settle(reserved, spent, sent["wording"], known)
        await self._tell()
        return None

    def _spent(self, reply: Reply, reserved: Charge) -> tuple[Charge, int]:
        """What an answer has cost, and the tokens of its question where they are known."""
        if reply.input_tokens is None or reply.output_tokens is None:
            return reserved, reply.input_tokens or 0
        return self.budget.price(reply.input_tokens, reply.output_tokens), reply.input_tokens

    def _cost(self, charge: Charge) -> dict[str, Any]:
        """A charge as a line of the journal says it."""
        dollars = charge.dollars if self.budget.priced else None
        return {"tokens": charge.tokens, "dollars": dollars}

    async def _tell(self) -> None:
        """Have those look again who wait for the budget."""
        async with self._settled:
            self._settled.notify_all()

    def _ended(self) -> bool:
        return self.asked.stopped is not None

    def _stop(self, what: str, failure: Failure) -> None:
        if self.asked.stopped is None:
            self.asked.stopped = ConfigError(
                f"{what}: {failure.reason}",
                where=f"server.base_url={self.server.base_url} server.model={self.server.model}",
                hint="what is answered is kept: "
                f"go on with journal='{self.journal.path.absolute()}'",
            )

    def spent(self) -> str:
        """What all of the journal has cost, in words."""
        tokens = f"{self.budget.tokens:,} tokens in {self.budget.requests:,} requests"
        return f"{tokens}, ${self.budget.dollars:.4f}" if self.budget.priced else tokens
