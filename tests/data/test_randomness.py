from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest

from fer_lab.data.randomness import combine, uniform

MASK = (1 << 64) - 1


class SplitMix64:
    """The generator as published: a counter stepped by the golden ratio, and a finaliser."""

    def __init__(self, state: int) -> None:
        self.state = state & MASK

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)


def slow_uniform(seed: int, epoch: int, index: int, draws: int) -> list[float]:
    # A sample's own generator starts from number `index` of the generator of its epoch.
    outer = SplitMix64(combine(seed, epoch) + (index - 1) * 0x9E3779B97F4A7C15)
    inner = SplitMix64(outer.next())
    return [(inner.next() >> 40) / 2**24 for _ in range(draws)]


def test_the_reference_generator_gives_the_published_sequence() -> None:
    generator = SplitMix64(1234567)
    assert [generator.next() for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (1, 0), (1, 7), (2**40 + 3, 99)])
def test_draws_equal_a_slow_loop_over_64_bit_integers(seed: int, epoch: int) -> None:
    index = [0, 1, 2, 63, 999_999, 2**33 + 5]
    expected = torch.tensor([slow_uniform(seed, epoch, i, 5) for i in index])
    assert torch.equal(uniform(seed, epoch, torch.tensor(index), 5), expected)


def test_draws_do_not_depend_on_the_batch_or_on_how_many_are_made() -> None:
    whole = uniform(3, 2, torch.arange(100), 8)
    picked = torch.tensor([77, 3, 50])
    assert torch.equal(uniform(3, 2, picked, 8), whole[picked])
    assert torch.equal(uniform(3, 2, picked, 2), whole[picked, :2])


def test_draws_change_with_seed_epoch_and_index() -> None:
    index = torch.arange(1000)
    first = uniform(1, 0, index, 4)
    for other in (uniform(2, 0, index, 4), uniform(1, 1, index, 4), uniform(1, 0, index + 1, 4)):
        assert (first != other).float().mean() > 0.999
        correlation = torch.corrcoef(torch.stack([first.flatten(), other.flatten()]))[0, 1]
        assert abs(float(correlation)) < 0.06


def test_draws_are_uniform_over_samples_and_over_draws() -> None:
    over_samples = uniform(1, 0, torch.arange(20_000), 8)
    assert over_samples.dtype == torch.float32
    assert float(over_samples.min()) >= 0.0
    assert float(over_samples.max()) < 1.0
    for draw in range(8):
        assert kstest(over_samples[:, draw].double().numpy(), "uniform").pvalue > 1e-3
    over_epochs = torch.cat([uniform(1, e, torch.tensor([5]), 1) for e in range(3000)])
    assert kstest(over_epochs[:, 0].double().numpy(), "uniform").pvalue > 1e-3
    pairs = torch.corrcoef(over_samples.T) - torch.eye(8)
    assert float(pairs.abs().max()) < 0.03


def test_combined_seeds_fit_a_generator_and_differ() -> None:
    seeds = {combine(s, e, r) for s in range(20) for e in range(20) for r in range(20)}
    assert len(seeds) == 8000
    assert all(0 <= value < 2**63 for value in seeds)
    torch.Generator().manual_seed(max(seeds))
