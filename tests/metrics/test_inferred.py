from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fer_lab.errors import ConfigError
from fer_lab.metrics import audit_predictions
from fer_lab.metrics import functional as F  # noqa: N812
from fer_lab.metrics.inferred import adjusted_counts, adjusted_gaps
from tests.metrics.samples import random_samples
from tests.metrics.tables import prediction_frame

INFERENCE = np.array([[90.0, 10.0, 0.0], [15.0, 80.0, 5.0], [0.0, 20.0, 80.0]])
SHARES = INFERENCE / INFERENCE.sum(1, keepdims=True)


def test_counts_mixed_by_the_matrix_are_recovered() -> None:
    true = random_samples(0, count=3000, num_groups=3).confusion()
    mixed = torch.zeros(3, 5, 5, dtype=torch.float64)
    for origin in range(3):
        for seen in range(3):
            mixed[seen] += float(SHARES[origin, seen]) * true[origin].double()
    solved, condition = adjusted_counts(mixed, INFERENCE)
    torch.testing.assert_close(solved, true.double(), rtol=0, atol=1e-9)
    assert condition == pytest.approx(np.linalg.cond(SHARES))
    gaps = adjusted_gaps(mixed, INFERENCE)
    for name in ("equal_opportunity", "demographic_parity", "equalized_odds"):
        expected = getattr(F, name)(true).max().item()
        assert gaps[name]["adjusted"] == pytest.approx(expected)
        assert gaps[name]["value"] == pytest.approx(getattr(F, name)(mixed).max().item())
        assert gaps[name]["change"] == pytest.approx(expected - gaps[name]["value"])
        assert gaps[name]["change"] > 0  # errors of the inference blur the gap
        assert gaps[name]["reason"] is None


def test_gap_of_samples_with_inferred_groups_comes_back_to_that_of_the_true_ones() -> None:
    samples = random_samples(1, count=60_000, num_classes=3, num_groups=3)
    rng = np.random.default_rng(0)
    seen = np.array([rng.choice(3, p=SHARES[group]) for group in samples.group.tolist()])
    inferred = samples._replace(group=torch.from_numpy(seen))
    gaps = adjusted_gaps(inferred.confusion(), INFERENCE)["equal_opportunity"]
    true = F.equal_opportunity(samples.confusion()).max().item()
    assert abs(gaps["adjusted"] - true) < 0.3 * abs(gaps["value"] - true)


def test_inference_without_errors_changes_nothing() -> None:
    table = random_samples(2, num_groups=3).confusion()
    for entry in adjusted_gaps(table, np.eye(3) * 50).values():
        assert entry["change"] == pytest.approx(0, abs=1e-12)


def test_inference_that_cannot_be_inverted_gives_no_figure_but_the_reason() -> None:
    table = random_samples(3, num_groups=2).confusion()
    for matrix in ([[50, 50], [50, 50]], [[51, 49], [49, 51]]):
        for entry in adjusted_gaps(table, matrix).values():
            assert math.isnan(entry["adjusted"])
            assert math.isnan(entry["change"])
            assert "tells the groups apart too badly" in str(entry["reason"])
            assert not math.isnan(entry["value"])


def test_groups_left_too_small_are_left_out() -> None:
    table = torch.tensor([[[90, 10], [10, 90]], [[12, 3], [3, 12]]])
    # Nearly all of the second inferred group are errors about the first.
    gaps = adjusted_gaps(table, [[0.87, 0.13], [0.1, 0.9]], min_count=10)
    assert gaps["equal_opportunity"]["value"] == pytest.approx(0.1)
    assert math.isnan(gaps["equal_opportunity"]["adjusted"])
    assert "fewer than two groups have the 10 samples" in str(gaps["equal_opportunity"]["reason"])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(2), r"shape \(2, 2\), there are 3 groups"),
        (np.diag([1.0, -1.0, 1.0]), "negative"),
        (np.diag([1.0, 0.0, 1.0]), "empty row"),
        (np.full((3, 3), np.nan), "missing"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        adjusted_counts(random_samples(4, num_groups=3).confusion(), matrix)


def test_audit_shows_gaps_before_and_after() -> None:
    frame = prediction_frame()
    inference = {"gender": [[95, 5], [5, 95]], "age": np.full((4, 4), 0.25)}
    audit = audit_predictions(frame, resamples=5, inference=inference)
    gender = audit["attributes"]["gender"]
    entry = gender["adjusted"]["equal_opportunity"]
    assert entry["value"] == gender["metrics"]["equal_opportunity"]["value"]
    assert entry["adjusted"] > entry["value"]
    assert audit["attributes"]["age"]["adjusted"]["equal_opportunity"]["adjusted"] is None
    assert "adjusted" not in audit["attributes"]["race"]
    with pytest.raises(ConfigError, match="not audited"):
        audit_predictions(frame, resamples=5, inference={"pose": np.eye(2)})
