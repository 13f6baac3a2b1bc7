"""What a gap is when groups mean nothing: on attributes drawn at random, alone and associated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.random import Generator
from torch import Tensor

from fer_lab.metrics import functional as F  # noqa: N812
from fer_lab.metrics import null_tables
from fer_lab.metrics.breakdown import Breakdown
from fer_lab.metrics.cells import Cells, distinct
from fer_lab.metrics.resampling import bootstrap_tables

CLASSES = ("neutral", "happy", "sad", "anger", "fear")
COUNT = 1500


def predictions(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    label = rng.choice(5, COUNT, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    return label, np.where(rng.random(COUNT) < 0.7, label, rng.integers(0, 5, COUNT))


def breakdown(
    label: np.ndarray, prediction: np.ndarray, groups: dict[str, np.ndarray], **options: int
) -> Breakdown:
    """Of integer groups from 0 up, -1 unknown."""
    names = {name: tuple(map(str, range(values.max() + 1))) for name, values in groups.items()}
    group = np.column_stack(
        [np.where(values < 0, len(names[name]), values) for name, values in groups.items()]
    )
    number, first = distinct(*group.T, label, prediction)
    cells = Cells(
        CLASSES, names, group[first], label[first], prediction[first],
        np.ones(len(first), dtype=np.int64), np.arange(len(first)), np.bincount(number),
    )  # fmt: skip
    return Breakdown(cells, options.get("min_count", 10))


def shares_below_p95(draw_groups, draws: int, resamples: int = 100) -> dict[str, float]:
    rng = np.random.default_rng(9)
    label, prediction = predictions(rng)
    below: dict[str, int] = {}
    for draw in range(draws):
        found = breakdown(label, prediction, draw_groups(rng))
        for name, null in found.nulls(resamples, seed=draw).items():
            below[name] = below.get(name, 0) + (null.value <= null.p95)
    return {name: count / draws for name, count in below.items()}


def associated(rng: Generator) -> dict[str, np.ndarray]:
    """Three attributes that say nearly the same."""
    first = rng.choice(3, COUNT, p=[0.6, 0.3, 0.1])
    return {
        "first": first,
        "second": np.where(rng.random(COUNT) < 0.95, first, rng.integers(0, 3, COUNT)),
        "third": np.where(rng.random(COUNT) < 0.95, first, rng.integers(0, 3, COUNT)),
    }


def independent(rng: Generator) -> dict[str, np.ndarray]:
    three = rng.choice(3, COUNT, p=[0.6, 0.3, 0.1])
    return {
        "two": rng.integers(0, 2, COUNT),
        "three": np.where(rng.random(COUNT) < 0.2, -1, three),
    }


@pytest.mark.slow
@pytest.mark.parametrize("draw_groups", [independent, associated])
def test_random_attributes_lie_below_the_95th_percentile_of_their_null(draw_groups) -> None:
    shares = shares_below_p95(draw_groups, draws=1000)
    assert len(shares) == 5 * len(draw_groups(np.random.default_rng(0))) + 1
    assert all(0.92 <= share <= 0.98 for share in shares.values()), shares


def test_percentiles_of_a_bootstrap_would_call_random_attributes_biased() -> None:
    rng = np.random.default_rng(10)
    label, prediction = predictions(rng)
    below_null = above_0 = 0
    draws = 150
    for draw in range(draws):
        group = rng.integers(0, 3, COUNT)
        null = breakdown(label, prediction, {"random": group}).nulls(100, seed=draw)
        below_null += null["fairness/random/bias"].value <= null["fairness/random/bias"].p95
        table = F.group_confusion(*map(torch.from_numpy, (prediction, label, group)), 5, 3)
        tables = torch.cat(list(bootstrap_tables(table, 200, np.random.default_rng(draw))))
        naive = F.equal_opportunity(tables).amax(-1).quantile(0.025)
        above_0 += bool(naive > 0.01)
    assert below_null / draws > 0.9  # 1.4 standard errors below 0.925
    assert above_0 / draws > 0.95


def shuffled_bias(
    label: np.ndarray, prediction: np.ndarray, groups: dict[str, np.ndarray], count: int
) -> np.ndarray:
    """The slow way: shuffle samples' rows of groups together, within labels."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(count):
        order = np.arange(COUNT)
        for expression in range(5):
            rows = np.flatnonzero(label == expression)
            order[rows] = rng.permutation(rows)
        gaps = []
        for group in groups.values():
            columns: list[Tensor] = [
                torch.from_numpy(part) for part in (prediction, label, group[order])
            ]
            gaps.append(F.equal_opportunity(F.group_confusion(*columns, 5, 3)).max().item())
        values.append(np.mean(gaps))
    return np.array(values)


def test_attributes_that_go_together_are_permuted_together() -> None:
    rng = np.random.default_rng(1)
    label, prediction = predictions(rng)
    groups = associated(rng)
    found = breakdown(label, prediction, groups, min_count=0)
    slow = shuffled_bias(label, prediction, groups, 400)
    alone = shuffled_bias(label, prediction, {"first": groups["first"]}, 400)
    draws = _null_draws(found, 2000)
    fast = np.mean([draws[f"fairness/{name}/equal_opportunity"] for name in groups], axis=0)
    assert fast.mean() == pytest.approx(slow.mean(), abs=0.01)
    assert fast.std() == pytest.approx(slow.std(), rel=0.15)
    # Independent permutations would leave 1 / √3 of the spread of one attribute.
    assert fast.std() > 0.7 * alone.std()


def _null_draws(found: Breakdown, samples: int) -> dict[str, np.ndarray]:
    from fer_lab.metrics.headline import Floors
    from fer_lab.metrics.null_tables import null_figures

    floors = {name: Floors(*[found.min_count] * 4) for name in found.groups}
    draws = null_figures(found.cells, samples, np.random.default_rng(0), floors, found.variants)
    return {name: values.numpy() for name, values in draws.items()}


def test_samples_shuffled_one_by_one_are_distributed_as_counts_dealt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    label, prediction = predictions(rng)
    found = breakdown(label, prediction, independent(rng))
    draws = []
    for counts_per_sample in (10**9, 0):
        monkeypatch.setattr(null_tables, "_DEALT_PER_SAMPLE", counts_per_sample)
        draws.append(_null_draws(found, 1500))
    for name, dealt in draws[0].items():
        shuffled = draws[1][name]
        error = np.hypot(dealt.std(), shuffled.std()) / np.sqrt(1500)
        assert abs(dealt.mean() - shuffled.mean()) < 4 * error, name
        if not name.endswith("bias"):  # a bias joins the two permutations
            assert shuffled.std() == pytest.approx(dealt.std(), rel=0.15), name


def test_errors_on_people_of_unknown_group_do_not_widen_the_null() -> None:
    rng = np.random.default_rng(2)
    label, prediction = predictions(rng)
    unknown = rng.random(COUNT) < 0.3
    # The model is right wherever a group is known, and guesses elsewhere.
    prediction = np.where(unknown, rng.integers(0, 5, COUNT), label)
    group = np.where(unknown, -1, rng.integers(0, 2, COUNT))
    null = breakdown(label, prediction, {"group": group}).nulls(50, seed=0)
    assert null["fairness/group/equal_opportunity"].p95 == 0
    other = {"group": group, "other": rng.integers(0, 2, COUNT)}
    beside = breakdown(label, prediction, other).nulls(50, seed=0)
    assert beside["fairness/group/equal_opportunity"].p95 == 0
    assert beside["fairness/other/equal_opportunity"].p95 > 0.02
