from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from fer_lab.metrics import audit_predictions
from fer_lab.metrics.calibration import calibration_error
from tests.metrics.tables import CLASSES, prediction_frame


def slow_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    error = 0.0
    for place in range(bins):
        low, high = place / bins, (place + 1) / bins
        inside = [
            (value, right)
            for value, right in zip(confidence, correct, strict=True)
            if low < value <= high or (place == 0 and value == 0)
        ]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            mean = sum(value for value, _ in inside) / len(inside)
            error += len(inside) / len(confidence) * abs(accuracy - mean)
    return error


@pytest.mark.parametrize("seed", range(4))
def test_error_equals_a_loop_and_torchmetrics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.dirichlet(np.full(5, 0.6), 400))
    label = torch.from_numpy(rng.integers(0, 5, 400))
    confidence, prediction = scores.max(dim=1)
    actual = calibration_error(confidence, prediction == label).item()
    loop = slow_calibration_error(confidence.numpy(), (prediction == label).numpy())
    assert actual == pytest.approx(loop, abs=1e-12)
    assert actual == pytest.approx(
        multiclass_calibration_error(scores, label, num_classes=5, n_bins=15).item(), abs=1e-6
    )


def test_certain_predictions_fall_into_the_last_bin() -> None:
    certain = torch.ones(4, dtype=torch.float64)
    assert calibration_error(certain, torch.tensor([True] * 4)).item() == 0
    assert calibration_error(certain, torch.tensor([True] * 3 + [False])).item() == 0.25
    none = torch.zeros(0, dtype=torch.float64)
    assert math.isnan(calibration_error(none, none.bool()).item())


def test_audit_gives_the_error_of_all_and_of_each_group() -> None:
    frame = prediction_frame(3)
    columns = frame[[f"prob_{name}" for name in CLASSES]].to_numpy(np.float64)
    frame["confidence"] = columns.max(axis=1)
    frame["right"] = frame["label"] == frame["prediction"]

    def expected(rows) -> float:
        return slow_calibration_error(rows["confidence"].to_numpy(), rows["right"].to_numpy())

    audit = audit_predictions(frame, resamples=200)
    assert audit["calibration"]["bins"] == 15
    assert audit["calibration"]["value"] == pytest.approx(expected(frame), abs=1e-9)
    assert audit["calibration"]["low"] < audit["calibration"]["value"] < 1
    gender = audit["attributes"]["gender"]
    errors = {name: expected(rows) for name, rows in frame.groupby("gender")}
    for name, error in errors.items():
        entry = gender["groups"][name]["calibration_error"]
        assert entry["value"] == pytest.approx(error, abs=1e-9)
        assert entry["low"] <= entry["value"] <= entry["high"]
    gap = gender["calibration_gap"]
    assert gap["value"] == pytest.approx(abs(errors["female"] - errors["male"]), abs=1e-9)
    # The model is as sure about men as about women, and wrong more often.
    assert gap["value"] > gap["null_p95"]
    assert gap["p"] < 0.05
    assert audit["attributes"]["age"]["calibration_gap"]["p"] > 0.01


def test_null_of_the_gap_is_that_of_shuffled_groups() -> None:
    frame = prediction_frame(6, count=500)
    frame["confidence"] = frame[[f"prob_{name}" for name in CLASSES]].astype(float).max(axis=1)
    frame["right"] = frame["label"] == frame["prediction"]
    known = frame[frame["gender"] != "unknown"]
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(300):
        errors = [
            slow_calibration_error(rows["confidence"].to_numpy(), rows["right"].to_numpy())
            for _, rows in known.groupby(rng.permutation(known["gender"].to_numpy()))
        ]
        gaps.append(abs(errors[0] - errors[1]))
    audit = audit_predictions(frame, attributes=["gender"], resamples=2000)
    found = audit["attributes"]["gender"]["calibration_gap"]
    # Three standard errors of 300 draws of a half-normal figure.
    assert found["null_mean"] == pytest.approx(np.mean(gaps), rel=0.14)
    assert found["null_p95"] == pytest.approx(np.quantile(gaps, 0.95), rel=0.2)


def test_groups_below_the_floor_enter_no_calibration_gap() -> None:
    frame = prediction_frame(4)
    asian = (frame["race"] == "asian").sum()
    frames = {
        floor: audit_predictions(frame, resamples=5, min_count=floor)["attributes"]["race"]
        for floor in (asian, asian + 1)
    }
    errors = [
        frames[asian]["groups"][name]["calibration_error"]["value"]
        for name in ("white", "black", "asian")
    ]
    assert frames[asian]["calibration_gap"]["value"] == pytest.approx(max(errors) - min(errors))
    assert frames[asian + 1]["calibration_gap"]["value"] == pytest.approx(
        abs(errors[0] - errors[1])
    )


def test_interval_is_as_wide_as_that_of_samples_drawn_one_by_one() -> None:
    frame = prediction_frame(5, count=600)
    confidence = frame[[f"prob_{name}" for name in CLASSES]].to_numpy(np.float64).max(axis=1)
    right = (frame["label"] == frame["prediction"]).to_numpy()
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(1500):
        rows = rng.integers(0, 600, 600)
        value = calibration_error(torch.from_numpy(confidence[rows]), torch.from_numpy(right[rows]))
        draws.append(value.item())
    low, high = np.quantile(draws, [0.025, 0.975])
    found = audit_predictions(frame, resamples=1500)["calibration"]
    assert 2 * found["value"] - found["low"] == pytest.approx(high, abs=0.006)
    assert found["high"] == pytest.approx(max(2 * found["value"] - low, found["value"]), abs=0.006)


def test_without_probabilities_there_is_no_calibration() -> None:
    audit = audit_predictions(prediction_frame(probabilities=False), resamples=5)
    assert audit["calibration"] is None
    assert "calibration_gap" not in audit["attributes"]["gender"]
    assert audit["messages"][0].startswith("no calibration")
