"""Amounts: what is set aside, taken back, and taken over from a journal."""

from __future__ import annotations

import pytest

from fer_lab.asking.budget import Budget, Charge
from fer_lab.asking.options import Limits


def test_the_largest_question_is_remembered_by_its_wording():
    budget = Budget(Limits(input_tokens=1000), 10)
    budget.settle(budget.reserve("small"), Charge(105), "small", 100)
    assert budget.dearest("small").tokens == 110 + 10
    assert budget.dearest("large").tokens == 1000 + 10


def test_a_question_of_a_journal_says_nothing_of_another_wording():
    budget = Budget(Limits(input_tokens=1000), 10)
    budget.take_in({"tokens": 105, "input_tokens": 100, "output_tokens": 5, "wording": "small"})
    assert budget.dearest("small").tokens == 120
    assert budget.dearest("large").tokens == 1010


def test_what_is_released_was_never_sent():
    budget = Budget(Limits(requests=1, tokens=2000, input_tokens=1000), 10)
    reserved = budget.reserve("w")
    assert budget.reached("w") == "budget.requests=1"
    budget.release(reserved)
    assert budget.reached("w") is None
    assert (budget.requests, budget.tokens, budget.under_way) == (0, 0, 0)


@pytest.mark.parametrize(
    ("line", "dollars"),
    [
        ({"tokens": 105, "dollars": 7.0, "input_tokens": 100, "output_tokens": 5}, 7.0),
        ({"tokens": 105, "dollars": None, "input_tokens": 100, "output_tokens": 5}, 120e-6),
        ({"tokens": 160, "dollars": None}, 640e-6),  # not told apart: all at the dearer price
    ],
)
def test_what_was_spent_without_a_price_has_one_when_there_is_one(line, dollars):
    budget = Budget(Limits(input_price=1, output_price=4), 10)
    budget.take_in(line)
    assert budget.dollars == pytest.approx(dollars)
    assert budget.tokens == line["tokens"]
