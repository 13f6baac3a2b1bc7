from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fer_lab.errors import ConfigError, DataError
from fer_lab.metrics import FairnessReport, audit_predictions, prediction_scalars
from fer_lab.metrics import functional as F  # noqa: N812
from tests.metrics.tables import CLASSES, codes, confusion_of, prediction_frame, repeated

GROUPS = {"gender": ("female", "male"), "race": ("asian", "black", "white")}
METRICS = ("equalized_odds", "equal_opportunity", "demographic_parity", "treatment_equality")


def test_table_alone_gives_the_document_of_the_summed_report() -> None:
    frame = prediction_frame(probabilities=False)
    report = FairnessReport(CLASSES, GROUPS, min_count=20)
    report.update(
        codes(frame["prediction"], CLASSES),
        codes(frame["label"], CLASSES),
        {name: codes(frame[name], names) for name, names in GROUPS.items()},
    )
    audit = audit_predictions(
        frame, attributes=GROUPS, classes=CLASSES, min_count=20, resamples=60, seed=3
    )
    assert audit.pop("set_aside") == {}
    assert audit["messages"].pop(0).startswith("no calibration: the predictions have no column")
    assert audit == report.report(samples=60, seed=3)


def test_scalars_are_the_values_of_the_document() -> None:
    frame = prediction_frame()
    scalars = prediction_scalars(frame)
    audit = audit_predictions(frame, resamples=20)
    assert scalars["accuracy"] == pytest.approx((frame["label"] == frame["prediction"]).mean())
    for name in ("accuracy", "f1_macro", "f1_weighted", "mean_class_accuracy"):
        assert audit[name]["value"] == pytest.approx(scalars[name])
    assert audit["calibration"]["value"] == pytest.approx(scalars["calibration_error"])
    assert audit["bias"]["value"] == pytest.approx(scalars["fairness/bias"])
    for attribute, content in audit["attributes"].items():
        for metric in METRICS:
            value = content["metrics"][metric]["value"]
            assert value == pytest.approx(scalars[f"fairness/{attribute}/{metric}"])
        for name in ("dpd", "eod", "calibration_gap"):
            assert content[name]["value"] == pytest.approx(scalars[f"fairness/{attribute}/{name}"])
    assert json.loads(json.dumps(audit, allow_nan=False)) == audit


def test_columns_of_names_are_audited_and_others_are_not() -> None:
    frame = prediction_frame(count=300).assign(
        glasses=lambda rows: rows["race"] == "black",
        fold=1,
        age_years=30.5,
        gender_source="annotated",
        note=lambda rows: rows["id"] + " note",
    )
    audit = audit_predictions(frame, resamples=5)
    assert list(audit["attributes"]) == ["gender", "race", "age", "glasses"]
    assert list(audit["attributes"]["glasses"]["groups"]) == ["no", "yes"]
    assert "note has over 50 values and is not audited" in audit["messages"]
    # Groups of the vocabulary keep its order; those without samples are listed.
    assert list(audit["attributes"]["age"]["groups"]) == ["0-15", "16-32", "33-53", "54+"]
    assert audit["attributes"]["age"]["groups"]["54+"]["count"] == 0


def test_missing_and_unknown_groups_are_one_line_of_their_own() -> None:
    frame = prediction_frame()
    missing = frame.assign(gender=frame["gender"].where(frame["gender"] != "unknown"))
    audit = audit_predictions(missing, resamples=10)
    assert audit == audit_predictions(frame, resamples=10)
    groups = audit["attributes"]["gender"]["groups"]
    unknown = frame[frame["gender"] == "unknown"]
    assert groups["unknown"]["count"] == len(unknown)
    assert groups["unknown"]["accuracy"]["value"] == pytest.approx(
        (unknown["label"] == unknown["prediction"]).mean()
    )
    known = confusion_of(frame, frame["gender"], GROUPS["gender"])
    gap = audit["attributes"]["gender"]["metrics"]["demographic_parity"]["value"]
    assert gap == pytest.approx(F.demographic_parity(known).max().item())


def test_variants_reach_every_metric() -> None:
    frame = prediction_frame()
    audit = audit_predictions(
        frame, combine="mean", reduction="to_overall", balance="rate_ratio", resamples=5
    )
    assert audit["variants"] == {
        "combine": "mean", "reduction": "to_overall", "balance": "rate_ratio"
    }  # fmt: skip
    table = confusion_of(frame, frame["gender"], GROUPS["gender"])
    options = {"reduction": "to_overall", "min_count": 30}
    expected = {
        "equalized_odds": F.equalized_odds(table, combine="mean", **options),
        "equal_opportunity": F.equal_opportunity(table, **options),
        "demographic_parity": F.demographic_parity(table, **options),
        "treatment_equality": F.treatment_equality(table, balance="rate_ratio", **options),
    }
    metrics = audit["attributes"]["gender"]["metrics"]
    for name, values in expected.items():
        assert list(metrics[name]["per_expression"].values()) == pytest.approx(values.tolist())
    # DPD and EOD are what they are whatever the variant.
    assert audit["attributes"]["gender"]["eod"]["value"] == pytest.approx(
        F.equalized_odds_difference(table, min_count=30).item()
    )


def test_rows_without_label_or_prediction_are_set_aside_and_counted() -> None:
    frame = prediction_frame(count=100)
    frame.loc[:2, "label"] = None
    frame.loc[3, "label"] = "unknown"
    frame.loc[4, "label"] = "contempt"
    frame.loc[5:6, "prediction"] = None
    audit = audit_predictions(frame, classes=CLASSES, resamples=5)
    assert audit["samples"] == 93
    assert audit["set_aside"] == {
        "no label": 4, "label is none of the classes": 1, "no prediction": 2
    }  # fmt: skip


def test_mistakes_in_the_table_are_named() -> None:
    frame = prediction_frame(count=50)
    with pytest.raises(DataError, match="no column prediction"):
        audit_predictions(frame.drop(columns="prediction"))
    with pytest.raises(DataError, match="id set/0 stands in more than one row"):
        audit_predictions(pd.concat([frame, frame[:1]]))
    with pytest.raises(DataError, match="is predicted but no class"):
        audit_predictions(frame, classes=CLASSES[:2])
    with pytest.raises(DataError, match="a probability is 3"):
        audit_predictions(frame.assign(**{f"prob_{name}": 3.0 for name in CLASSES}))
    with pytest.raises(ConfigError, match="did you mean 'gender'"):
        audit_predictions(frame, attributes=["gendre"])
    with pytest.raises(ConfigError, match="holds numbers"):
        audit_predictions(frame.assign(years=1.5), attributes=["years"])
    with pytest.raises(DataError, match="gender holds 'male', which is none of its groups"):
        audit_predictions(frame, attributes={"gender": ["female", "man"]})


def test_attribute_of_which_nothing_is_known_is_said_and_left_out() -> None:
    frame = prediction_frame(count=200).assign(glasses="unknown")
    audit = audit_predictions(frame, resamples=5)
    assert "glasses" not in audit["attributes"]
    assert "glasses: no group is known, so that it is not audited" in audit["messages"]
    one = audit_predictions(frame.assign(glasses="yes"), resamples=5)
    assert "glasses: yes is the only group, so that its gaps are undefined" in one["messages"]
    assert one["attributes"]["glasses"]["bias"]["value"] is None


def test_empty_table_is_undefined_everywhere() -> None:
    audit = audit_predictions(prediction_frame(count=50)[:0], classes=CLASSES, resamples=5)
    assert audit["samples"] == 0
    assert audit["accuracy"] == {"value": None, "low": None, "high": None}
    assert audit["bias"]["value"] is None


def test_frames_of_one_subject_count_as_one_draw() -> None:
    frame = prediction_frame(count=500, probabilities=False)
    single = audit_predictions(frame, resamples=1500)
    videos = audit_predictions(repeated(frame, 8), min_count=240, resamples=1500)
    assert (single["resampled_by"], videos["resampled_by"]) == ("sample", "subject")
    for figure in (
        lambda audit: audit["accuracy"],
        lambda audit: audit["attributes"]["gender"]["metrics"]["equal_opportunity"],
    ):
        one, many = figure(single), figure(videos)
        assert many["value"] == pytest.approx(one["value"])
        assert many["high"] - many["low"] == pytest.approx(one["high"] - one["low"], rel=0.12)
    gap = [
        audit["attributes"]["race"]["metrics"]["demographic_parity"] for audit in (single, videos)
    ]
    assert gap[1]["null_mean"] == pytest.approx(gap[0]["null_mean"], rel=0.1)
    assert gap[1]["null_p95"] == pytest.approx(gap[0]["null_p95"], rel=0.1)
    # The same rows as if all were independent say far more than they know.
    alone = audit_predictions(repeated(frame, 8).drop(columns="subject"), resamples=300)
    width = alone["accuracy"]["high"] - alone["accuracy"]["low"]
    assert width < 0.5 * (videos["accuracy"]["high"] - videos["accuracy"]["low"])


def test_attribute_that_varies_within_subjects_is_said_to_be_permuted_by_sample() -> None:
    frame = repeated(prediction_frame(count=100, probabilities=False), 3)
    frame["pose"] = np.where(np.arange(len(frame)) < 150, "front", "side")
    audit = audit_predictions(frame, resamples=20)
    assert (
        "intervals draw whole subjects again (100 subjects), nulls permute their groups"
        in (audit["messages"])
    )
    assert any(message.startswith("pose varies within subjects") for message in audit["messages"])
    assert audit["attributes"]["pose"]["bias"]["p"] is not None


def test_subjects_of_two_datasets_with_one_name_are_two_and_unnamed_ones_stand_alone() -> None:
    frame = prediction_frame(count=8, probabilities=False).assign(
        dataset=["a", "a", "b", "b"] * 2, subject=["1", "1", "1", "1", None, None, "unknown", "2"]
    )
    (message,) = [m for m in audit_predictions(frame, resamples=5)["messages"] if "draw" in m]
    assert "(6 subjects)" in message  # 1 of a, 1 of b, 2 of b, and three rows without a name
    alone = frame.assign(subject=[f"{number}" for number in range(8)])
    assert audit_predictions(alone, resamples=5)["resampled_by"] == "sample"


def test_order_of_rows_does_not_matter() -> None:
    frame = prediction_frame(count=400)
    shuffled = frame.sample(frac=1, random_state=0)
    first, again = (audit_predictions(part, resamples=30) for part in (frame, shuffled))
    assert json.dumps(_rounded(first)) == json.dumps(_rounded(again))


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, 9) if isinstance(value, float) else value


def test_scalars_of_a_table_need_no_torchmetrics() -> None:
    code = "import sys, fer_lab.metrics.predictions; sys.exit('torchmetrics' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
