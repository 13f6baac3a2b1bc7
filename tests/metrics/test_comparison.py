from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from fer_lab.errors import DataError
from fer_lab.metrics import audit_predictions, compare_predictions
from tests.metrics.tables import CLASSES, prediction_frame, repeated

METRICS = ("equalized_odds", "equal_opportunity", "demographic_parity", "treatment_equality")


def pair(seed: int = 0, **options) -> tuple[pd.DataFrame, pd.DataFrame]:
    return (
        prediction_frame(seed, model=1, **options),
        prediction_frame(seed, model=2, bias=0.0, **options),
    )


def test_differences_are_those_of_two_audits() -> None:
    a, b = pair()
    found = compare_predictions(a, b, resamples=100)
    audits = [audit_predictions(frame, resamples=5) for frame in (a, b)]

    def check(entry, first, second) -> None:
        assert entry["a"] == pytest.approx(first)
        assert entry["b"] == pytest.approx(second)
        assert entry["difference"] == pytest.approx(second - first)
        assert entry["low"] <= entry["high"]
        assert 0 < entry["p"] <= 1

    for name in ("accuracy", "mean_class_accuracy", "f1_macro", "f1_weighted", "bias"):
        check(found[name], *(audit[name]["value"] for audit in audits))
    check(found["worst_group_accuracy"], *(audit["worst_group"]["accuracy"] for audit in audits))
    check(found["calibration_error"], *(audit["calibration"]["value"] for audit in audits))
    for attribute, content in found["attributes"].items():
        parts = [audit["attributes"][attribute] for audit in audits]
        for name in ("bias", "dpd", "eod", "calibration_gap"):
            check(content[name], *(part[name]["value"] for part in parts))
        for name in METRICS:
            check(content["metrics"][name], *(part["metrics"][name]["value"] for part in parts))
        check(content["worst_group_accuracy"], *(part["worst_group"]["accuracy"] for part in parts))
    # The second model is as good with men as with women.
    odds = found["attributes"]["gender"]["metrics"]["equal_opportunity"]
    assert odds["high"] < 0
    assert odds["p"] < 0.05
    assert found["samples"] == len(a)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_interval_of_the_accuracy_is_that_of_paired_samples() -> None:
    a, b = pair(1, count=2000)
    right, also = ((frame["prediction"] == frame["label"]).to_numpy() for frame in (a, b))
    difference = also.astype(float) - right
    half = 1.96 * difference.std() / math.sqrt(len(a))
    found = compare_predictions(a, b, resamples=3000)["accuracy"]
    assert found["low"] == pytest.approx(difference.mean() - half, abs=0.003)
    assert found["high"] == pytest.approx(difference.mean() + half, abs=0.003)


def test_a_model_does_not_differ_from_itself() -> None:
    a, _ = pair()
    found = compare_predictions(a, a, resamples=50)
    for name in ("accuracy", "calibration_error", "bias"):
        entry = found[name]
        assert (entry["difference"], entry["low"], entry["high"], entry["p"]) == (0, 0, 0, 1)
    assert found["mcnemar"] == {"only_a_right": 0, "only_b_right": 0, "p": 1.0}


def test_mcnemar_is_the_exact_binomial_test_of_discordant_samples() -> None:
    count = 40
    frame = pd.DataFrame({"id": range(count), "label": "happy", "prediction": "happy"})
    a, b = frame.copy(), frame.copy()
    a.loc[:8, "prediction"] = "sad"  # nine that only b has right
    b.loc[9, "prediction"] = "sad"
    a.loc[10:12, "prediction"] = b.loc[10:12, "prediction"] = "sad"
    found = compare_predictions(a, b, resamples=10)["mcnemar"]
    assert (found["only_a_right"], found["only_b_right"]) == (1, 9)
    # 2 · (1 + 10) of the 1,024 outcomes of ten fair coins are as uneven.
    assert found["p"] == pytest.approx(22 / 1024)


def test_samples_are_joined_by_id_and_the_rest_is_counted() -> None:
    a, b = pair(2, count=500)
    shuffled = b.sample(frac=1, random_state=1)
    whole, again = (compare_predictions(a, part, resamples=20) for part in (b, shuffled))
    assert whole["accuracy"] == again["accuracy"]
    part = compare_predictions(a[:400], b[100:], resamples=20)
    assert (part["samples"], part["only_in_a"], part["only_in_b"]) == (300, 100, 100)
    assert part["accuracy"]["a"] == pytest.approx((a["prediction"] == a["label"])[100:400].mean())


def test_tables_that_cannot_be_compared_are_refused() -> None:
    a, b = pair(3, count=60)
    other = b.assign(label=b["label"].where(b["id"] != "set/7", "contempt"))
    with pytest.raises(DataError, match="the labels of 1 samples disagree") as error:
        compare_predictions(a, other)
    assert "set/7" in str(error.value)
    with pytest.raises(DataError, match="no sample in common"):
        compare_predictions(a, b.assign(id=b["id"] + "?"))
    with pytest.raises(ValueError, match="level"):
        compare_predictions(a, b, level=95)


def test_attributes_need_stand_in_the_first_table_only() -> None:
    a, b = pair(4, count=300)
    bare = b.drop(columns=["gender", "race", "age"])
    assert compare_predictions(a, bare, resamples=20) == compare_predictions(a, b, resamples=20)


def test_classes_of_both_models_count() -> None:
    a, b = pair(5, count=300)
    wider = b.assign(prob_contempt=0.0)
    found = compare_predictions(a, wider, resamples=20)
    assert set(found["classes"]) == {*CLASSES, "contempt"}
    assert found["accuracy"] == compare_predictions(a, b, resamples=20)["accuracy"]


def test_calibration_is_compared_where_both_have_probabilities() -> None:
    a, b = pair(6, count=200)
    bare = b.drop(columns=[f"prob_{name}" for name in CLASSES])
    found = compare_predictions(a, bare, resamples=10)
    assert "calibration_error" not in found
    assert any(message.startswith("no calibration") for message in found["messages"])


def test_frames_of_one_subject_are_drawn_together() -> None:
    a, b = pair(7, count=400, probabilities=False)
    single = compare_predictions(a, b, resamples=1500)["accuracy"]
    videos = compare_predictions(repeated(a, 6), repeated(b, 6), resamples=1500)
    assert videos["resampled_by"] == "subject"
    assert videos["accuracy"]["difference"] == pytest.approx(single["difference"])
    assert videos["accuracy"]["low"] == pytest.approx(single["low"], abs=0.01)
    assert videos["accuracy"]["high"] == pytest.approx(single["high"], abs=0.01)


def test_two_models_alike_differ_significantly_in_about_one_of_twenty_pairs() -> None:
    pairs = 120
    found = {"accuracy": 0, "bias": 0}
    for seed in range(pairs):
        a, b = (prediction_frame(seed, 500, model=model, probabilities=False) for model in (1, 2))
        result = compare_predictions(a, b, attributes=["gender"], resamples=200, seed=seed)
        for name in found:
            found[name] += result[name]["p"] <= 0.05
    shares = {name: count / pairs for name, count in found.items()}
    # 0.05 and 3 standard errors of 120 draws.
    assert all(share <= 0.11 for share in shares.values()), shares


def test_collapsed_models_are_marked() -> None:
    a, b = pair(8, count=100, probabilities=False)
    found = compare_predictions(a, b.assign(prediction="happy"), resamples=10)
    assert found["collapsed"] == {"a": False, "b": True}


def test_subjects_in_one_table_only_are_not_drawn() -> None:
    a, b = pair(9, count=50, probabilities=False)
    a, b = repeated(a, 4), repeated(b, 4)
    kept = b["subject"].isin([f"set/{number}" for number in range(20)])
    found = compare_predictions(a, b[kept], resamples=50)
    direct = compare_predictions(a[kept.to_numpy()], b[kept], resamples=50)
    assert found["accuracy"] == direct["accuracy"]
    assert np.isclose(found["accuracy"]["a"], (a["label"] == a["prediction"])[kept].mean())
