"""Asking many images at once: workers, rate, retries, budget, each answer kept as it comes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from fer_lab.asking.budget import Budget, Charge
from fer_lab.asking.journal import Journal
from fer_lab.asking.options import Question, Server
from fer_lab.asking.protocol import (
    Failure,
    Reply,
    image_url,
    question_key,
    read_response,
    request_body,
)
from fer_lab.errors import ConfigError, FerLabError

_LARGEST = 4_000_000  # bytes of a response
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
        stopped: why not all images were asked, None where they were.
    """

    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    earlier: int = 0
    sent: int = 0
    waits: int = 0
    stopped: FerLabError | None = None


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
        for line in (*journal.answers.values(), *journal.failed, *journal.open):
            budget.take_in(line)

    def ask(self, faces: Iterator[Face], step: Callable[[], None]) -> Asked:
        """Ask about every face that the journal has no answer for.

        Args:
            faces: read as they are needed.
            step: called after each.

        Raises:
            ConfigError: when the key is not there.
            DataError: when a face cannot be read.
        """
        try:
            asyncio.run(self._all(faces, step))
        except BaseExceptionGroup as several:  # one worker's mistake ends all: an unreadable image
            raise several.exceptions[0] from several
        return self.asked

    async def _all(self, faces: Iterator[Face], step: Callable[[], None]) -> None:
        key = self.server.key()
        self._secret = key
        self._pace = Pace(self.server.requests_per_minute)
        self._settled = asyncio.Condition()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        count = self.server.concurrency
        limits = httpx.Limits(max_connections=count, max_keepalive_connections=count)
        client = httpx.AsyncClient(headers=headers, timeout=self.server.timeout, limits=limits)
        async with client as self._http, asyncio.TaskGroup() as group:
            for _ in range(count):
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
        failure = Failure("")
        for attempt in range(self.server.retries + 1):
            if attempt:
                await self._wait(failure, attempt)
            reserved = await self._may_send()
            if reserved is None:
                break
            found = await self._send(face, key, body, reserved)
            if isinstance(found, dict):
                self.asked.answers[face.row] = found
                self._in_a_row = 0
                return True
            failure = found
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

    async def _may_send(self) -> Charge | None:
        """Wait for the turn and reserve; None when nothing is to be sent any more."""
        await self._pace.turn()
        async with self._settled:
            while not self._ended() and (limit := self.budget.reached()):
                if self.budget.under_way == 0:
                    self.asked.stopped = FerLabError(
                        "the budget is used up: the next request could pass it",
                        where=f"{limit}; spent {self.spent()}",
                        hint="raise it and go on where this ended: "
                        f"journal='{self.journal.path.absolute()}'",
                    )
                    break
                await self._settled.wait()  # what is under way may cost less than is set aside
            return None if self._ended() else self.budget.reserve()

    async def _send(
        self, face: Face, key: str, body: dict[str, Any], reserved: Charge
    ) -> dict[str, Any] | Failure:
        """Send one request; the line of its answer, or why there is none."""
        facts = {"tokens": reserved.tokens, "dollars": reserved.dollars}
        self.journal.append("sent", face.identity, key, **facts)
        self.asked.sent += 1
        found = await self._exchange(body)
        if isinstance(found, Failure):
            spent = reserved if found.billed else Charge()
            facts = {"tokens": spent.tokens, "dollars": spent.dollars}
            self.journal.append("failed", face.identity, key, reason=found.reason, **facts)
            await self._settle(reserved, spent, 0)
            return found
        counted = found.input_tokens is not None and found.output_tokens is not None
        spent = (
            self.budget.price(found.input_tokens or 0, found.output_tokens or 0)
            if counted
            else reserved
        )
        line = self.journal.append(
            "answered",
            face.identity,
            key,
            text=found.text,
            refused=found.refused,
            whole=found.whole,
            model=found.model,
            input_tokens=found.input_tokens,
            output_tokens=found.output_tokens,
            tokens=spent.tokens,
            dollars=spent.dollars,
        )
        await self._settle(reserved, spent, found.input_tokens or 0)
        return line

    async def _settle(self, reserved: Charge, spent: Charge, input_tokens: int) -> None:
        async with self._settled:
            self.budget.settle(reserved, spent, input_tokens)
            self._settled.notify_all()

    async def _exchange(self, body: dict[str, Any]) -> Reply | Failure:
        """One request and its response."""
        content = bytearray()
        try:
            async with (
                asyncio.timeout(self.server.timeout),
                self._http.stream("POST", self.server.address, json=body) as response,
            ):
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > _LARGEST:
                        return Failure("a response of more than 4 MB", billed=True)
            found = read_response(response.status_code, response.headers, bytes(content))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Failure(self._clean(f"no connection: {error}"), again=True, unreachable=True)
        except (TimeoutError, httpx.TimeoutException):
            reason = f"no answer within {self.server.timeout:g} s"
            return Failure(reason, again=True, billed=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Failure(self._clean(f"connection broken: {error}"), again=True, billed=True)
        if isinstance(found, Failure):
            return replace(found, reason=self._clean(found.reason))
        return found

    def _ended(self) -> bool:
        return self.asked.stopped is not None

    def _clean(self, text: str) -> str:
        """What a server said, without the key."""
        return text.replace(self._secret, "[key]") if self._secret else text

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
        priced = self.budget.limits.input_price is not None
        return f"{tokens}, ${self.budget.dollars:.4f}" if priced else tokens
