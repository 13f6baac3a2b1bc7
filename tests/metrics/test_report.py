from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fer_lab.errors import ConfigError
from fer_lab.metrics import FairnessReport
from fer_lab.metrics import functional as F  # noqa: N812

CLASSES = ("neutral", "happy", "sad", "anger")
GROUPS = {"gender": ("female", "male"), "race": ("white", "black", "asian")}
COUNT = 2400
METRICS = ("equalized_odds", "equal_opportunity", "demographic_parity", "treatment_equality")
GAP = {"value", "low", "high", "null_mean", "null_p95", "p", "excess"}

Batch = tuple[Tensor, Tensor, dict[str, Tensor]]


def batch(seed: int = 0, count: int = COUNT, unknown: float = 0.1) -> Batch:
    """Predictions worse for men; one race is rare."""
    rng = np.random.default_rng(seed)
    gender = rng.integers(0, 2, count)
    race = rng.choice(3, count, p=[0.6, 0.39, 0.01])
    label = rng.integers(0, 4, count)
    right = rng.random(count) < 0.9 - 0.25 * gender
    prediction = np.where(right, label, rng.integers(0, 4, count))
    gender = np.where(rng.random(count) < unknown, -1, gender)
    tensors = [torch.from_numpy(column) for column in (prediction, label, gender, race)]
    return tensors[0], tensors[1], {"gender": tensors[2], "race": tensors[3]}


def filled(*arguments: Any, min_count: int = 30, **options: Any) -> FairnessReport:
    report = FairnessReport(CLASSES, GROUPS, min_count=min_count)
    report.update(*batch(*arguments, **options))
    return report


def table_of(attribute: str, data: Batch) -> Tensor:
    prediction, label, group = data
    return F.group_confusion(prediction, label, group[attribute], 4, len(GROUPS[attribute]))


def test_scalars_have_stable_names() -> None:
    expected = {"fairness/bias", "fairness/undefined", "worst_group_accuracy", "collapsed"}
    expected |= {"accuracy", "mean_class_accuracy", "f1_macro", "f1_weighted"}
    figures = (*METRICS, "bias", "worst_group_accuracy", "dpd", "eod")
    expected |= {f"fairness/{attribute}/{name}" for attribute in GROUPS for name in figures}
    scalars = filled().compute()
    assert set(scalars) == expected
    assert all(value.shape == () for value in scalars.values())


def test_scalars_equal_the_functions_of_each_attribute_alone() -> None:
    data = batch()
    scalars = {name: value.item() for name, value in filled().compute().items()}
    values = {}
    undefined = 0
    for attribute in GROUPS:
        table = table_of(attribute, data)
        per_expression = {name: getattr(F, name)(table, min_count=30) for name in METRICS}
        values[attribute] = per_expression
        undefined += sum(int(value.isnan().sum()) for value in per_expression.values())
        assert scalars[f"fairness/{attribute}/dpd"] == pytest.approx(
            per_expression["demographic_parity"].nanmean().item()
        )
        assert scalars[f"fairness/{attribute}/eod"] == pytest.approx(
            per_expression["equalized_odds"].nanmean().item()
        )
        large = [F.accuracy(group).item() for group in table if group.sum() >= 30]
        assert scalars[f"fairness/{attribute}/worst_group_accuracy"] == pytest.approx(min(large))
    score = F.aggregate_bias(values)
    for attribute in GROUPS:
        for name in METRICS:
            assert scalars[f"fairness/{attribute}/{name}"] == pytest.approx(
                score.per_metric[attribute][name]
            )
        assert scalars[f"fairness/{attribute}/bias"] == pytest.approx(
            score.per_attribute[attribute]
        )
    assert scalars["fairness/bias"] == pytest.approx(score.overall)
    assert scalars["fairness/undefined"] == undefined == score.undefined
    assert scalars["accuracy"] == pytest.approx((data[0] == data[1]).double().mean().item())
    assert scalars["collapsed"] == 0


def test_report_has_the_agreed_form() -> None:
    report = filled().report(samples=50)
    assert list(report) == [
        "samples", "classes", "collapsed", "min_count", "level", "resamples", "resampled_by",
        "variants", "accuracy", "mean_class_accuracy", "f1_macro", "f1_weighted", "calibration",
        "per_class", "confusion", "worst_group", "attributes", "intersections", "bias", "messages",
    ]  # fmt: skip
    assert set(report["accuracy"]) == {"value", "low", "high"}
    assert list(report["per_class"]) == list(CLASSES)
    assert set(report["per_class"]["sad"]) == {"precision", "recall", "f1", "count"}
    assert set(report["worst_group"]) == {
        "attribute", "group", "accuracy", "count", "low", "high",
    }  # fmt: skip
    assert set(report["bias"]) == GAP
    gender = report["attributes"]["gender"]
    assert set(gender) == {"groups", "metrics", "dpd", "eod", "bias", "worst_group"}
    assert list(gender["groups"]) == ["female", "male", "unknown"]
    assert set(gender["groups"]["male"]) == {
        "count", "accuracy", "f1_macro", "f1_weighted", "confusion",
    }  # fmt: skip
    assert list(gender["metrics"]) == list(METRICS)
    assert set(gender["metrics"]["equalized_odds"]) == GAP | {
        "per_expression", "left_out", "undefined",
    }  # fmt: skip
    assert set(gender["dpd"]) == {"value", "low", "high", "per_expression"}
    assert set(gender["bias"]) == GAP
    assert list(report["attributes"]["race"]["groups"]) == ["white", "black", "asian"]
    assert list(report["intersections"]) == ["gender×race"]


def test_report_is_plain_json() -> None:
    for report in (filled().report(samples=20), filled(count=3).report(samples=20)):
        assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_report_agrees_with_scalars_and_contains_its_values() -> None:
    metric = filled()
    scalars = {name: value.item() for name, value in metric.compute().items()}
    report = metric.report(samples=100)
    found = {name: report[name] for name in ("accuracy", "f1_macro", "f1_weighted")}
    found |= {"mean_class_accuracy": report["mean_class_accuracy"], "fairness/bias": report["bias"]}
    for attribute, content in report["attributes"].items():
        found[f"fairness/{attribute}/bias"] = content["bias"]
        for name in METRICS:
            found[f"fairness/{attribute}/{name}"] = content["metrics"][name]
        for name in ("dpd", "eod"):
            assert content[name]["value"] == pytest.approx(scalars[f"fairness/{attribute}/{name}"])
    for name, entry in found.items():
        assert entry["value"] == pytest.approx(scalars[name]), name
        assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1, name
    worst = report["attributes"]["gender"]["worst_group"]
    assert {key: report["worst_group"][key] for key in ("attribute", "group", "count")} == {
        "attribute": "gender", "group": worst["group"], "count": worst["count"]
    }  # fmt: skip
    assert report["worst_group"]["low"] < worst["accuracy"] < report["worst_group"]["high"]
    assert report["worst_group"]["accuracy"] == pytest.approx(scalars["worst_group_accuracy"])


def test_planted_bias_stands_out_from_its_null_and_an_unrelated_attribute_does_not() -> None:
    attributes = filled(1, 3000).report(samples=300)["attributes"]
    for name in ("equalized_odds", "equal_opportunity"):
        planted = attributes["gender"]["metrics"][name]
        assert planted["value"] > planted["null_p95"]
        assert planted["p"] < 0.01
        assert planted["excess"] == pytest.approx(planted["value"] - planted["null_mean"])
    assert attributes["gender"]["bias"]["p"] < 0.01
    assert attributes["race"]["bias"]["p"] > 0.05


def test_unknown_has_its_own_line_and_enters_no_gap() -> None:
    data = batch(unknown=0.5)
    report = filled(unknown=0.5, min_count=5).report(samples=20)
    gender = report["attributes"]["gender"]
    table = table_of("gender", data)
    assert gender["groups"]["female"]["confusion"] == table[0].tolist()
    unknown = data[2]["gender"] < 0
    assert gender["groups"]["unknown"]["count"] == int(unknown.sum())
    assert gender["groups"]["unknown"]["accuracy"]["value"] == pytest.approx(
        (data[0] == data[1])[unknown].double().mean().item()
    )
    assert report["samples"] == COUNT
    assert torch.tensor(report["confusion"]).sum() == COUNT
    for name in METRICS:
        per_expression = gender["metrics"][name]["per_expression"]
        assert list(per_expression.values()) == pytest.approx(
            getattr(F, name)(table, min_count=5).tolist()
        )
        assert gender["metrics"][name]["value"] == max(per_expression.values())
    assert "unknown" not in filled(unknown=0).report(samples=20)["attributes"]["gender"]["groups"]


def test_small_denominators_are_left_out_and_listed() -> None:
    data = batch()
    race = filled().report(samples=20)["attributes"]["race"]
    asian = table_of("race", data)[2]
    assert 0 < asian.sum() < 30
    positives = asian.sum(-1).tolist()
    expected = [
        {"group": "asian", "expression": name, "count": count}
        for name, count in zip(CLASSES, positives, strict=True)
    ]
    assert race["metrics"]["equal_opportunity"]["left_out"] == expected
    assert race["metrics"]["equalized_odds"]["left_out"] == expected
    parity = race["metrics"]["demographic_parity"]["left_out"]
    assert [entry["count"] for entry in parity] == [int(asian.sum())] * 4
    errors = [int(asian[row].sum() + asian[:, row].sum() - 2 * asian[row, row]) for row in range(4)]
    left_out = race["metrics"]["treatment_equality"]["left_out"]
    assert [entry["count"] for entry in left_out if entry["group"] == "asian"] == errors
    everyone = filled(min_count=0).report(samples=20)["attributes"]["race"]
    assert everyone["metrics"]["demographic_parity"]["left_out"] == []
    assert race["worst_group"]["group"] != "asian"


@pytest.mark.parametrize(("predicted", "expected"), [([0], 1), ([0, 3], 1), ([0, 1, 3], 0)])
def test_predicting_two_classes_or_fewer_is_a_collapse(predicted: list[int], expected: int) -> None:
    _, label, group = batch()
    metric = FairnessReport(CLASSES, GROUPS)
    metric.update(torch.tensor(predicted).repeat(COUNT)[:COUNT], label, group)
    assert metric.compute()["collapsed"] == expected
    assert metric.report(samples=5)["collapsed"] is bool(expected)


def test_two_classes_collapse_when_one_is_predicted() -> None:
    label = torch.tensor([0, 1, 0, 1])
    for prediction, expected in ((label, 0), (torch.zeros_like(label), 1)):
        metric = FairnessReport(("happy", "sad"), {})
        metric.update(prediction, label, {})
        assert metric.compute()["collapsed"] == expected


def test_one_group_alone_has_undefined_gaps() -> None:
    prediction, label, group = batch()
    metric = FairnessReport(CLASSES, {"gender": ("female", "male")})
    metric.update(prediction, label, {"gender": torch.zeros_like(group["gender"])})
    scalars = metric.compute()
    assert all(math.isnan(scalars[f"fairness/gender/{name}"]) for name in (*METRICS, "bias"))
    assert math.isnan(scalars["fairness/bias"])
    assert scalars["fairness/undefined"] == 16
    assert scalars["accuracy"] > 0.5
    report = metric.report(samples=10)
    assert report["messages"] == [
        "gender: female is the only group, so that its gaps are undefined"
    ]
    assert report["attributes"]["gender"]["bias"] == dict.fromkeys(GAP)
    odds = report["attributes"]["gender"]["metrics"]["equalized_odds"]
    assert odds["value"] is None
    assert odds["undefined"] == dict.fromkeys(
        CLASSES, "only female has the 30 samples that the rate needs"
    )
    assert report["attributes"]["gender"]["groups"]["male"]["accuracy"]["value"] is None
    assert report["attributes"]["gender"]["groups"]["male"]["count"] == 0


def test_no_attributes_still_give_accuracy() -> None:
    prediction, label, _ = batch()
    metric = FairnessReport(CLASSES, {})
    metric.update(prediction, label, {})
    assert math.isnan(metric.compute()["fairness/bias"])
    report = metric.report(samples=10)
    assert report["accuracy"]["value"] == pytest.approx(metric.compute()["accuracy"].item())
    assert report["bias"] == dict.fromkeys(GAP)
    assert report["worst_group"] == {
        "attribute": None, "group": None, "accuracy": None, "count": 0, "low": None, "high": None
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_nothing_seen_is_undefined_everywhere() -> None:
    metric = FairnessReport(CLASSES, GROUPS)
    scalars = metric.compute()
    assert math.isnan(scalars["accuracy"])
    assert math.isnan(scalars["worst_group_accuracy"])
    report = metric.report(samples=10)
    assert report["samples"] == 0
    assert report["accuracy"] == {"value": None, "low": None, "high": None}


def test_same_seed_same_report_and_neither_batches_nor_a_past_before_reset_matter() -> None:
    prediction, label, group = batch()
    metric = filled(5)
    metric.reset()
    for rows in torch.arange(COUNT).split(64):
        metric.update(
            prediction[rows], label[rows], {name: column[rows] for name, column in group.items()}
        )
    report = metric.report(samples=40, seed=3)
    assert report == filled().report(samples=40, seed=3)
    assert report != filled().report(samples=40, seed=4)


def test_too_many_combinations_name_what_to_do() -> None:
    groups = {name: tuple(map(str, range(30))) for name in ("a", "b", "c")}
    with pytest.raises(ConfigError, match="29,791 combinations") as error:
        FairnessReport(CLASSES, groups)
    assert "fewer attributes" in str(error.value)


@pytest.mark.parametrize(
    ("attribute", "values", "message"),
    [
        ("gender", torch.full((COUNT,), 2), "gender holds 2: expected -1 to 1"),
        ("race", torch.zeros(1), r"race has shape \(1,\), label \(2400,\)"),
    ],
)
def test_wrong_groups_are_refused(attribute: str, values: Tensor, message: str) -> None:
    prediction, label, group = batch()
    with pytest.raises(ValueError, match=message):
        FairnessReport(CLASSES, GROUPS).update(prediction, label, group | {attribute: values})
