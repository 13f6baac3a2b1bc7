"""The largest of the sizes that fit, and what counts as not fitting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fer_lab.finding.batch_size import (
    Memory,
    is_out_of_memory,
    largest_fitting,
    peak_of_process,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("search", ["power", "exact"])
def test_the_largest_size_is_found_for_every_capacity_and_every_limit(search):
    for most in range(1, 40):
        for capacity in range(45):
            asked: list[int] = []

            def fits(size, capacity=capacity, asked=asked):
                asked.append(size)
                return size <= capacity

            found = largest_fitting(fits, most, search)
            sizes = range(1, most + 1)
            if search == "power":
                sizes = {2**power for power in range(1, 6) if 2**power < most} | {most}
            elif most > 1:
                sizes = range(2, most + 1)  # a single image is never tried
            assert found == max((size for size in sizes if size <= capacity), default=None)
            assert len(asked) == len(set(asked))
            assert max(asked) <= most


def test_allocations_that_cannot_be_are_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory"))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_the_peak_holds_what_was_freed_again():
    memory = Memory(CPU, None)
    memory.begin()
    before = peak_of_process()
    taken = np.ones(200_000_000, dtype=np.uint8)
    del taken
    assert memory.end(2)
    assert 150e6 < memory.peaks[2] - before < 400e6


def test_a_size_is_not_tried_when_those_before_say_that_it_takes_too_much():
    memory = Memory(CPU, 100.0)
    memory.peaks = {2: 30}
    assert memory.allows(1000)
    memory.peaks = {2: 30, 4: 40}
    assert memory.allows(16)  # 40 + 5 · 12
    assert not memory.allows(17)
    memory.peaks = {2: 60, 4: 30}  # what else the process does
    assert memory.allows(1000)


def test_a_trial_over_the_limit_does_not_fit():
    memory = Memory(CPU, 1.0)
    memory.begin()
    assert not memory.end(2)
