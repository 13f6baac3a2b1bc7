from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import beta, binomtest, ks_2samp, kstest
from torch import Tensor

from fer_lab.data.dataset import Batch
from fer_lab.data.mixing import mixed, symmetric_beta
from fer_lab.data.randomness import uniform

OPTIONS: dict[str, Any] = {
    "mixup": 0.0,
    "cutmix": 0.0,
    "probability": 1.0,
    "cutmix_probability": 0.5,
    "seed": 1,
    "epoch": 0,
}


def mix(batch: Batch, **options: Any) -> Batch:
    return mixed(batch, batch["index"], **(OPTIONS | options))


def numbered(count: int, size: int = 8, **more: Tensor) -> Batch:
    """Image n has the value n everywhere and the label n."""
    image = torch.arange(count).float()[:, None, None, None].expand(count, 3, size, size)
    return {
        "image": image.contiguous(memory_format=torch.channels_last),
        "label": torch.arange(count),
        "group": {"gender": torch.arange(count) % 2},
        "index": torch.arange(count) * 3 + 1,
        "monitored": torch.ones(count, dtype=torch.bool),
        **more,  # type: ignore[typeddict-item]
    }


@pytest.mark.parametrize("concentration", [0.05, 0.2, 0.5, 1.0, 8.0])
def test_shares_have_the_beta_distribution(concentration: float) -> None:
    draws = uniform(5, 0, torch.arange(40_000), 2)
    found = symmetric_beta(draws[:, 0], draws[:, 1], concentration).double().numpy()
    assert found.min() >= 0
    assert found.max() <= 1
    low = found[found < 0.5]
    assert binomtest(len(low), len(found)).pvalue > 0.01
    for half in (low, 1 - found[found > 0.5]):
        # Next to 1 numbers of 32 bits are too far apart for small concentrations.
        there = half[half > 1e-4]
        least, most = beta.cdf([1e-4, 0.5], concentration, concentration)
        scaled = (beta.cdf(there, concentration, concentration) - least) / (most - least)
        assert kstest(scaled, "uniform").pvalue > 0.01
        assert binomtest(len(there), len(half), (most - least) / most).pvalue > 0.01


def test_shares_are_numbers_at_the_ends_of_the_draws() -> None:
    ends = torch.tensor([0.0, 2.0**-24, 0.25, 0.5, 0.75, 1 - 2.0**-24])
    for concentration in (1e-3, 0.2, 1.0, 1e3):
        grid = torch.cartesian_prod(ends, ends)
        found = symmetric_beta(grid[:, 0], grid[:, 1], concentration)
        assert bool(((found >= 0) & (found <= 1)).all())


def test_mixup_equals_a_slow_loop() -> None:
    batch = numbered(50)
    batch["image"] = torch.rand(50, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    changed = mix(batch, mixup=0.4)
    assert bool((changed["second_share"] > 0.1).any())
    for row in range(50):
        share = float(changed["second_share"][row])
        second = (row - 1) % 50
        expected = (1 - share) * batch["image"][row] + share * batch["image"][second]
        torch.testing.assert_close(changed["image"][row], expected)
        assert int(changed["second_label"][row]) == second
    assert torch.equal(changed["label"], batch["label"])


def test_the_first_face_has_at_least_half_and_the_smaller_share_is_betas() -> None:
    changed = mix(numbered(20_000, 1), mixup=0.3)
    share = changed["second_share"].double().numpy()
    assert share.max() <= 0.5
    assert kstest(share, lambda x: 2 * beta.cdf(x, 0.3, 0.3)).pvalue > 0.01


def loop_shares(count: int, concentration: float, size: int) -> list[float]:
    """Shares of boxes as Yun et al. draw them, with their roles, one after the other."""
    generator, found = np.random.default_rng(7), []
    for _ in range(count):
        ratio = np.sqrt(generator.beta(concentration, concentration))
        side, (x, y) = int(size * ratio), generator.integers(size, size=2)
        x1, x2 = np.clip([x - side // 2, x + side // 2], 0, size)
        y1, y2 = np.clip([y - side // 2, y + side // 2], 0, size)
        share = (x2 - x1) * (y2 - y1) / size**2
        found.append(min(share, 1 - share))
    return found


@pytest.mark.parametrize("concentration", [0.3, 1.0])
def test_cutmix_shares_are_the_pixels_that_the_second_face_has(concentration: float) -> None:
    batch = numbered(10_000, 16)
    changed = mix(batch, cutmix=concentration)
    first = batch["image"][:, 0]
    second = first.roll(1, 0)
    there = changed["image"][:, 0]
    assert bool(((there == first) | (there == second)).all())
    assert bool((changed["image"] == there[:, None]).all())
    counted = (there == second).float().mean((1, 2))
    assert torch.equal(counted, changed["second_share"])
    assert float(counted.max()) <= 0.5
    expected = loop_shares(30_000, concentration, 16)
    assert ks_2samp(counted.numpy(), expected).pvalue > 0.01


def test_a_box_or_all_but_a_box_is_cut() -> None:
    batch = numbered(300, 16)
    changed = mix(batch, cutmix=1.0)
    from_second = (changed["image"] != batch["image"])[:, 0].numpy()
    kinds = set()
    for cut in from_second:
        boxes = [shape for shape in (cut, ~cut) if shape.any() and filled(shape)]
        assert boxes
        kinds.add(filled(cut))
    assert kinds == {True, False}


def filled(shape: np.ndarray) -> bool:
    """Whether a mask is one rectangle."""
    if not shape.any():
        return True
    rows, columns = shape.any(1), shape.any(0)
    return bool(shape[np.ix_(rows, columns)].all()) and all(
        (np.diff(np.flatnonzero(line)) == 1).all() for line in (rows, columns)
    )


def test_with_both_an_image_is_blended_or_cut_as_often_as_asked() -> None:
    batch = numbered(3000)
    changed = mix(batch, mixup=1.0, cutmix=1.0, cutmix_probability=0.2, probability=0.7)
    first = batch["image"][:, 0].flatten(1)
    there = changed["image"][:, 0].flatten(1)
    untouched = (there == first).all(1)
    pieces = ((there == first) | (there == first.roll(1, 0))).all(1) & ~untouched
    blends = ~untouched & ~pieces
    # Boxes of no pixel, 1 in 16 at this size, leave an image as it is.
    assert binomtest(int(blends.sum()), 3000, 0.7 * 0.8).pvalue > 0.01
    assert 0.7 * 0.2 * 0.85 < int(pieces.sum()) / 3000 < 0.7 * 0.2 * 1.1
    # A share may be too small to change a value by rounding.
    assert float(changed["second_share"][untouched].max()) < 1e-4
    assert bool((changed["second_share"][~untouched] > 0).all())


def test_nothing_else_of_a_batch_changes() -> None:
    count = 6
    more = {
        "regions": torch.arange(count, dtype=torch.uint8)[:, None, None].expand(count, 8, 8),
        "landmarks": torch.rand(count, 68, 2),
        "intensity": torch.rand(count),
        "weight": torch.arange(count).float(),
    }
    batch = numbered(count, **more)
    image = batch["image"].clone()
    changed = mix(batch, mixup=1.0, cutmix=1.0)
    added = {"second_label", "second_share", "second_weight"}
    assert changed.keys() - batch.keys() == added
    for name in batch.keys() - {"image"}:
        assert changed[name] is batch[name]  # type: ignore[literal-required]
    assert torch.equal(batch["image"], image)
    assert changed["second_weight"].tolist() == [5, 0, 1, 2, 3, 4]
    assert changed["image"].is_contiguous(memory_format=torch.channels_last)
    assert "second_weight" not in mix(numbered(3), mixup=1.0)


def test_shares_depend_on_the_image_and_the_epoch_alone() -> None:
    batch = numbered(40)
    state = torch.get_rng_state()
    whole = mix(batch, mixup=0.5, cutmix=0.5)
    assert torch.equal(torch.get_rng_state(), state)
    some = numbered(40)
    for name in ("image", "label", "index"):
        some[name] = some[name][7:19]  # type: ignore[literal-required]
    part = mix(some, mixup=0.5, cutmix=0.5)
    assert torch.equal(part["second_share"], whole["second_share"][7:19])
    assert torch.equal(part["image"][1:], whole["image"][8:19])
    other = mix(batch, mixup=0.5, cutmix=0.5, epoch=1)
    assert not torch.equal(other["second_share"], whole["second_share"])


def test_one_image_alone_stays_what_it_is() -> None:
    batch = numbered(1)
    batch["image"] = torch.rand(1, 3, 8, 8)
    changed = mix(batch, mixup=1.0)
    torch.testing.assert_close(changed["image"], batch["image"])
    assert changed["second_label"].tolist() == [0]
