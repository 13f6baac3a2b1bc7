"""What has been spent and what may still be: nothing is sent that could pass a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer_lab.asking.options import Limits

_MARGIN = 10  # the next question may be larger than any seen by this part of it


@dataclass(frozen=True)
class Charge:
    """What one request may cost, or has cost.

    Attributes:
        tokens: of input and output.
        dollars: 0 where no price is known.
    """

    tokens: int = 0
    dollars: float = 0.0


class Budget:
    """Spent and reserved amounts against limits.

    Before a request its dearest outcome is reserved: the largest question of its wording so far
    with a tenth more, and an answer of full length. A request whose outcome nobody knows (a
    timeout) counts with all of that.

    Args:
        limits: what may be spent.
        max_tokens: longest answer.

    Attributes:
        requests: sent so far, and those that are about to be.
        tokens: spent.
        dollars: spent.
        under_way: requests whose outcome is awaited.
    """

    def __init__(self, limits: Limits, max_tokens: int) -> None:
        self.limits = limits
        self.max_tokens = max_tokens
        self.requests, self.tokens, self.dollars = 0, 0, 0.0
        self.under_way = 0
        self._reserved_tokens, self._reserved_dollars = 0, 0.0
        self._largest: dict[str, int] = {}  # another wording or image size costs another amount

    @property
    def priced(self) -> bool:
        """Whether it is known what tokens cost."""
        return self.limits.input_price is not None

    def price(self, input_tokens: int, output_tokens: int) -> Charge:
        """What so many tokens cost."""
        inward, outward = self.limits.input_price or 0.0, self.limits.output_price or 0.0
        dollars = (input_tokens * inward + output_tokens * outward) / 1e6
        return Charge(input_tokens + output_tokens, dollars)

    def dearest(self, wording: str) -> Charge:
        """The most that the next request of a wording may cost."""
        seen = self._largest.get(wording, 0)
        question = seen + -(-seen // _MARGIN) if seen else self.limits.input_tokens
        return self.price(question, self.max_tokens)

    def reached(self, wording: str) -> str | None:
        """The limit that the next request could pass, in words; None if there is none."""
        charge, limits = self.dearest(wording), self.limits
        if limits.requests is not None and self.requests + 1 > limits.requests:
            return f"budget.requests={limits.requests}"
        tokens = self.tokens + self._reserved_tokens + charge.tokens
        if limits.tokens is not None and tokens > limits.tokens:
            return f"budget.tokens={limits.tokens}"
        dollars = self.dollars + self._reserved_dollars + charge.dollars
        if limits.dollars is not None and dollars > limits.dollars * (1 + 1e-9):
            return f"budget.dollars={limits.dollars}"
        return None

    def reserve(self, wording: str) -> Charge:
        """Set the dearest outcome of one request aside."""
        charge = self.dearest(wording)
        self.requests += 1
        self.under_way += 1
        self._reserved_tokens += charge.tokens
        self._reserved_dollars += charge.dollars
        return charge

    def release(self, reserved: Charge) -> None:
        """Take back what :meth:`reserve` gave: the request was not sent."""
        self.settle(reserved, Charge())
        self.requests -= 1

    def forfeit(self) -> int:
        """Count what is under way as spent, since asking has ended; the number of requests."""
        reserved = Charge(self._reserved_tokens, self._reserved_dollars)
        lost, self.under_way = self.under_way, 1
        self.settle(reserved, reserved)
        return lost

    def settle(
        self, reserved: Charge, spent: Charge, wording: str = "", input_tokens: int = 0
    ) -> None:
        """Replace a reservation by what was spent.

        Args:
            reserved: what :meth:`reserve` gave.
            spent: what the request cost.
            wording: of the question.
            input_tokens: of the question, where they are known.
        """
        self.under_way -= 1
        self._reserved_tokens -= reserved.tokens
        self._reserved_dollars -= reserved.dollars
        self.tokens += spent.tokens
        self.dollars += spent.dollars
        self._seen(wording, input_tokens)

    def take_in(self, line: Mapping[str, Any]) -> None:
        """Count what an earlier process spent, by a line of its journal.

        What was spent while no price was known has today's: of tokens that are not told apart the
        dearer one.
        """
        tokens, dollars = int(line.get("tokens") or 0), line.get("dollars")
        asked, answered = line.get("input_tokens"), line.get("output_tokens")
        if dollars is None and asked is not None and answered is not None:
            dollars = self.price(asked, answered).dollars
        elif dollars is None:
            dollars = max(self.price(tokens, 0).dollars, self.price(0, tokens).dollars)
        self.requests += 1
        self.tokens += tokens
        self.dollars += float(dollars)
        self._seen(str(line.get("wording") or ""), int(asked or 0))

    def _seen(self, wording: str, input_tokens: int) -> None:
        self._largest[wording] = max(self._largest.get(wording, 0), input_tokens)
