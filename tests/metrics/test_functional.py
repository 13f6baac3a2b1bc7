from __future__ import annotations

import math

import pytest
import torch

from fer_lab.metrics import functional as F  # noqa: N812
from tests.metrics import samples as loops
from tests.metrics.samples import Samples, random_samples

REDUCTIONS = ("range", "mean_pairwise", "to_overall")
TABLES = (
    random_samples(0),
    random_samples(1, num_groups=2),
    random_samples(2, count=60, num_groups=6, absent=[1, 4]),
    random_samples(3, count=25, num_classes=7, num_groups=3),
    random_samples(4, unknown=0.3),
)


def close(actual: torch.Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(
        actual, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12, equal_nan=True
    )


@pytest.mark.parametrize("samples", TABLES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("min_count", [0, 5, 30])
def test_metrics_equal_loops_over_samples(samples: Samples, reduction: str, min_count: int) -> None:
    confusion = samples.confusion()

    def gap(rate: loops.Rate) -> list[float]:
        return loops.gap(samples, rate, reduction, min_count)

    hits, alarms = gap(loops.true_positive_rate), gap(loops.false_positive_rate)
    pairs = list(zip(hits, alarms, strict=True))
    arguments = {"reduction": reduction, "min_count": min_count}
    close(F.equal_opportunity(confusion, **arguments), hits)
    close(F.demographic_parity(confusion, **arguments), gap(loops.selection_rate))
    close(F.equalized_odds(confusion, combine="fpr", **arguments), alarms)
    close(F.equalized_odds(confusion, combine="mean", **arguments), [(a + b) / 2 for a, b in pairs])
    worst = [math.nan if math.isnan(a + b) else max(a, b) for a, b in pairs]
    close(F.equalized_odds(confusion, **arguments), worst)
    for balance, rate in {
        "share": loops.share_of_misses,
        "count_ratio": loops.count_ratio,
        "rate_ratio": loops.rate_ratio,
    }.items():
        close(F.treatment_equality(confusion, balance=balance, **arguments), gap(rate))


def test_leading_dimensions_are_batches_of_tables() -> None:
    tables = [random_samples(seed, count=80).confusion() for seed in range(6)]
    batch = torch.stack(tables).reshape(2, 3, *tables[0].shape)
    for measure in (
        F.equalized_odds,
        F.equal_opportunity,
        F.demographic_parity,
        F.treatment_equality,
    ):
        for reduction in REDUCTIONS:
            expected = torch.stack([measure(table, reduction=reduction) for table in tables])
            actual = measure(batch, reduction=reduction).reshape(6, -1)
            torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)
    assert F.f1_score(batch).shape == (2, 3, 4)
    assert F.accuracy(batch).shape == F.mean_class_accuracy(batch).shape == (2, 3, 4)


def test_absent_group_is_nan_not_zero() -> None:
    one_group = torch.tensor([[[8, 2], [1, 9]], [[0, 0], [0, 0]]])
    for measure in (
        F.equalized_odds,
        F.equal_opportunity,
        F.demographic_parity,
        F.treatment_equality,
    ):
        for reduction in REDUCTIONS:
            assert measure(one_group, reduction=reduction).isnan().all()


def test_absent_group_changes_nothing_for_the_others() -> None:
    table = random_samples(5, num_groups=3).confusion()
    wider = torch.cat([table[:1], torch.zeros_like(table[:1]), table[1:]])
    for reduction in REDUCTIONS:
        torch.testing.assert_close(
            F.equalized_odds(wider, reduction=reduction),
            F.equalized_odds(table, reduction=reduction),
            rtol=0,
            atol=1e-15,
        )


def test_each_rate_has_its_own_denominator_for_min_count() -> None:
    # 10 and 2 positives of the first class, 20 and 40 of the second; 3 and 6 errors.
    table = torch.tensor([[[9, 1], [2, 18]], [[1, 1], [5, 35]]])
    assert F.equal_opportunity(table, min_count=3).isnan().tolist() == [True, False]
    assert F.equalized_odds(table, combine="fpr", min_count=3).isnan().tolist() == [False, True]
    assert F.equalized_odds(table, min_count=3).isnan().all()
    assert not F.demographic_parity(table, min_count=30).isnan().any()
    assert F.demographic_parity(table, min_count=31).isnan().all()
    assert not F.treatment_equality(table, min_count=3).isnan().any()
    assert F.treatment_equality(table, min_count=4).isnan().all()


def test_ratios_without_a_false_alarm_are_undefined() -> None:
    table = torch.tensor([[[8, 2], [0, 10]], [[5, 5], [2, 8]]])
    assert F.error_balance(table[0], "count_ratio").isnan().tolist() == [True, False]
    close(F.treatment_equality(table, balance="count_ratio"), [math.nan, 2 / 5 - 0 / 2])
    assert F.treatment_equality(table, balance="share").tolist() == pytest.approx(
        [1 - 5 / 7, 1 - 5 / 7]
    )


def test_difference_measures_are_per_class_values_and_their_mean() -> None:
    table = torch.tensor([[[8, 2, 0], [1, 9, 0], [0, 0, 0]], [[5, 5, 0], [3, 7, 0], [0, 0, 0]]])
    odds = F.equalized_odds_difference(table, average="none")
    close(odds, [0.3, 0.3, math.nan])
    assert F.equalized_odds_difference(table).item() == pytest.approx(0.3)
    close(F.demographic_parity_difference(table, average="none"), [0.05, 0.05, 0.0])
    assert F.demographic_parity_difference(table).item() == pytest.approx(0.1 / 3)


def test_group_confusion_counts_samples_one_by_one() -> None:
    samples = random_samples(6, unknown=0.2)
    expected = torch.zeros(4, 5, 5, dtype=torch.int64)
    for prediction, label, group in zip(*samples[:3], strict=True):
        if group >= 0:
            expected[group, label, prediction] += 1
    assert torch.equal(samples.confusion(), expected)


def test_group_confusion_counts_in_parts_what_it_counts_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = random_samples(8, unknown=0.2)
    whole = samples.confusion()
    monkeypatch.setattr(F, "_CHUNK", 77)
    assert torch.equal(samples.confusion(), whole)


def test_group_confusion_takes_narrow_integers_and_no_samples() -> None:
    samples = random_samples(7, unknown=0.2)
    narrow = [values.to(torch.int8) for values in samples[:3]]
    assert torch.equal(F.group_confusion(*narrow, 5, 4), samples.confusion())
    nothing = torch.zeros(0, dtype=torch.int64)
    assert F.group_confusion(nothing, nothing, nothing, 5, 4).sum() == 0


@pytest.mark.parametrize(
    ("prediction", "label", "group", "message"),
    [
        ([2], [0], [0], "prediction holds 2: expected 0 to 1"),
        ([0], [-1], [0], "label holds -1: expected 0 to 1"),
        ([0], [0], [3], "group holds 3: expected -1 to 2"),
        ([0], [0], [-2], "group holds -2"),
        ([0, 1], [0], [0], r"shapes are \(2,\), \(1,\), \(1,\)"),
    ],
)
def test_values_out_of_range_are_refused(
    prediction: list[int], label: list[int], group: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        F.group_confusion(*map(torch.tensor, (prediction, label, group)), 2, 3)


def test_unknown_variants_and_shapes_are_refused() -> None:
    table = torch.ones(2, 2, 2)
    with pytest.raises(ValueError, match="reduction"):
        F.equal_opportunity(table, reduction="ratio")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="combine"):
        F.equalized_odds(table, combine="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="balance"):
        F.treatment_equality(table, balance="fpr")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="average"):
        F.f1_score(table, average="micro")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="average"):
        F.demographic_parity_difference(table, average="weighted")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="group confusion"):
        F.equal_opportunity(torch.ones(2, 2))
    with pytest.raises(ValueError, match="not a confusion"):
        F.equal_opportunity(torch.ones(2, 2, 3))


def test_bias_score_is_mean_of_means_of_maxima() -> None:
    score = F.aggregate_bias(
        {
            "gender": {"a": [0.1, 0.4], "b": torch.tensor([0.2, 0.0])},
            "age": {"a": [None, math.nan], "b": [0.5, math.nan]},
            "race": {"a": [math.nan], "b": []},
        }
    )
    assert score.per_metric["gender"] == pytest.approx({"a": 0.4, "b": 0.2})
    assert math.isnan(score.per_metric["age"]["a"])
    assert score.per_attribute["gender"] == pytest.approx(0.3)
    assert score.per_attribute["age"] == pytest.approx(0.5)
    assert math.isnan(score.per_attribute["race"])
    assert score.overall == pytest.approx(0.4)
    assert score.undefined == 4


def test_bias_score_of_nothing_is_undefined() -> None:
    assert math.isnan(F.aggregate_bias({}).overall)
