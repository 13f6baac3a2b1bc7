"""What has been spent and what may still be: nothing is sent that could pass a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer_lab.asking.options import Limits

_MARGIN = 1.1  # over the largest question seen, for the next one


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

    Before a request its dearest outcome is reserved: the largest question so far and an answer
    of full length. A request whose outcome nobody knows (a timeout) counts with all of that.

    Args:
        limits: what may be spent.
        max_tokens: longest answer.

    Attributes:
        requests: sent so far.
        tokens: spent.
        dollars: spent.
    """

    def __init__(self, limits: Limits, max_tokens: int) -> None:
        self.limits = limits
        self.max_tokens = max_tokens
        self.requests, self.tokens, self.dollars = 0, 0, 0.0
        self.under_way = 0
        self._reserved_tokens, self._reserved_dollars = 0, 0.0
        self._largest = 0

    def price(self, input_tokens: int, output_tokens: int) -> Charge:
        """What so many tokens cost."""
        inward, outward = self.limits.input_price or 0.0, self.limits.output_price or 0.0
        dollars = (input_tokens * inward + output_tokens * outward) / 1e6
        return Charge(input_tokens + output_tokens, dollars)

    def dearest(self) -> Charge:
        """The most that the next request may cost."""
        seen = round(self._largest * _MARGIN) if self._largest else self.limits.input_tokens
        return self.price(seen, self.max_tokens)

    def reached(self) -> str | None:
        """The limit that the next request could pass, in words; None if there is none."""
        charge, limits = self.dearest(), self.limits
        if limits.requests is not None and self.requests + 1 > limits.requests:
            return f"budget.requests={limits.requests}"
        tokens = self.tokens + self._reserved_tokens + charge.tokens
        if limits.tokens is not None and tokens > limits.tokens:
            return f"budget.tokens={limits.tokens}"
        dollars = self.dollars + self._reserved_dollars + charge.dollars
        if limits.dollars is not None and dollars > limits.dollars * (1 + 1e-9):
            return f"budget.dollars={limits.dollars}"
        return None

    def reserve(self) -> Charge:
        """Set the dearest outcome of one request aside."""
        charge = self.dearest()
        self.requests += 1
        self.under_way += 1
        self._reserved_tokens += charge.tokens
        self._reserved_dollars += charge.dollars
        return charge

    def settle(self, reserved: Charge, spent: Charge, input_tokens: int = 0) -> None:
        """Replace a reservation by what was spent.

        Args:
            reserved: what :meth:`reserve` gave.
            spent: what the request cost.
            input_tokens: of the question, where they are known.
        """
        self.under_way -= 1
        self._reserved_tokens -= reserved.tokens
        self._reserved_dollars -= reserved.dollars
        self.tokens += spent.tokens
        self.dollars += spent.dollars
        self._largest = max(self._largest, input_tokens)

    def take_in(self, line: Mapping[str, Any]) -> None:
        """Count what an earlier process spent, by a line of its journal."""
        self.requests += 1
        self.tokens += int(line.get("tokens") or 0)
        self.dollars += float(line.get("dollars") or 0.0)
        self._largest = max(self._largest, int(line.get("input_tokens") or 0))
