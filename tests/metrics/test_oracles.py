"""The same figures by fairlearn and scikit-learn, on random tables."""

from __future__ import annotations

import warnings

import fairlearn.metrics as fairlearn
import numpy as np
import pytest
import sklearn.metrics as sklearn
import torch

from fer_lab.metrics import functional as F  # noqa: N812
from tests.metrics.samples import Samples, random_samples

TOLERANCE = 1e-9
TABLES = [
    random_samples(0),
    random_samples(1, num_groups=2, num_classes=7, count=1000),
    random_samples(2, num_groups=6, num_classes=8, count=1200),
    random_samples(3, num_groups=5, absent=[0, 3], count=1500),
    random_samples(4, num_groups=3, unknown=0.4, count=1500),
]


def one_vs_rest(samples: Samples, expression: int) -> dict[str, np.ndarray]:
    known = samples.group >= 0
    return {
        "y_true": (samples.label[known] == expression).numpy().astype(int),
        "y_pred": (samples.prediction[known] == expression).numpy().astype(int),
        "sensitive_features": samples.group[known].numpy(),
    }


@pytest.mark.parametrize("samples", TABLES)
def test_gaps_equal_fairlearn(samples: Samples) -> None:
    confusion = samples.confusion()
    for reduction, method in (("range", "between_groups"), ("to_overall", "to_overall")):
        parity = F.demographic_parity(confusion, reduction=reduction)
        worst = F.equalized_odds(confusion, reduction=reduction)
        mean = F.equalized_odds(confusion, reduction=reduction, combine="mean")
        opportunity = F.equal_opportunity(confusion, reduction=reduction)
        for expression in range(samples.num_classes):
            rows = one_vs_rest(samples, expression)
            assert parity[expression].item() == pytest.approx(
                fairlearn.demographic_parity_difference(**rows, method=method), abs=TOLERANCE
            )
            assert worst[expression].item() == pytest.approx(
                fairlearn.equalized_odds_difference(**rows, method=method), abs=TOLERANCE
            )
            assert mean[expression].item() == pytest.approx(
                fairlearn.equalized_odds_difference(**rows, method=method, agg="mean"),
                abs=TOLERANCE,
            )
            assert opportunity[expression].item() == pytest.approx(
                fairlearn.equal_opportunity_difference(**rows, method=method), abs=TOLERANCE
            )


@pytest.mark.parametrize("samples", TABLES)
def test_rates_by_group_equal_fairlearn(samples: Samples) -> None:
    confusion = samples.confusion()
    for expression in range(samples.num_classes):
        frame = fairlearn.MetricFrame(
            metrics={
                "hits": fairlearn.true_positive_rate,
                "alarms": fairlearn.false_positive_rate,
                "selected": fairlearn.selection_rate,
                "count": fairlearn.count,
            },
            **one_vs_rest(samples, expression),
        ).by_group
        for group, row in frame.iterrows():
            table = confusion[group]
            assert F.true_positive_rate(table)[expression].item() == pytest.approx(
                row["hits"], abs=TOLERANCE
            )
            assert F.false_positive_rate(table)[expression].item() == pytest.approx(
                row["alarms"], abs=TOLERANCE
            )
            assert F.selection_rate(table)[expression].item() == pytest.approx(
                row["selected"], abs=TOLERANCE
            )
            assert table.sum().item() == row["count"]


@pytest.mark.parametrize("samples", [*TABLES, random_samples(9, count=12, num_classes=8)])
def test_figures_over_classes_equal_scikit_learn(samples: Samples) -> None:
    for group in samples.group.unique().tolist():
        if group < 0:
            continue
        chosen = samples.group == group
        truth, guess = samples.label[chosen].numpy(), samples.prediction[chosen].numpy()
        table = samples.confusion()[group]
        classes = range(samples.num_classes)
        assert np.array_equal(table.numpy(), sklearn.confusion_matrix(truth, guess, labels=classes))
        with warnings.catch_warnings():  # classes without samples
            warnings.simplefilter("ignore")
            expected = {
                "accuracy": sklearn.accuracy_score(truth, guess),
                "balanced": sklearn.balanced_accuracy_score(truth, guess),
                "macro": sklearn.f1_score(truth, guess, average="macro"),
                "weighted": sklearn.f1_score(truth, guess, average="weighted"),
            }
            exact, _, f1, _ = sklearn.precision_recall_fscore_support(
                truth, guess, labels=classes, zero_division=np.nan
            )
        actual = {
            "accuracy": F.accuracy(table),
            "balanced": F.mean_class_accuracy(table),
            "macro": F.f1_score(table, "macro"),
            "weighted": F.f1_score(table, "weighted"),
        }
        assert {name: value.item() for name, value in actual.items()} == pytest.approx(
            expected, abs=TOLERANCE
        )
        np.testing.assert_allclose(F.precision(table).numpy(), exact, atol=TOLERANCE)
        np.testing.assert_allclose(F.f1_score(table, "none").numpy(), f1, atol=TOLERANCE)


def test_mean_pairwise_equals_differences_of_fairlearn_groups() -> None:
    samples = TABLES[2]
    actual = F.demographic_parity(samples.confusion(), reduction="mean_pairwise")
    for expression in range(samples.num_classes):
        rates = fairlearn.MetricFrame(
            metrics=fairlearn.selection_rate, **one_vs_rest(samples, expression)
        ).by_group.tolist()
        pairs = torch.pdist(torch.tensor(rates, dtype=torch.float64).unsqueeze(1), p=1)
        assert actual[expression].item() == pytest.approx(pairs.mean().item(), abs=TOLERANCE)
