from __future__ import annotations

from itertools import product

import pytest
import torch

from fer_lab.errors import ConfigError
from fer_lab.metrics import FairnessReport, audit_predictions
from fer_lab.metrics import functional as F  # noqa: N812
from tests.metrics.tables import confusion_of, prediction_frame
from tests.metrics.test_report import CLASSES, COUNT, GROUPS, batch


def test_intersections_count_samples_known_in_all_their_attributes() -> None:
    prediction, label, group = batch()
    age = torch.arange(COUNT) % 4 - 1
    report = FairnessReport(CLASSES, GROUPS | {"age": ("young", "middle", "old")})
    report.update(prediction, label, group | {"age": age})
    intersections = report.report(samples=10)["intersections"]
    assert list(intersections) == ["gender×race", "gender×age", "race×age", "gender×race×age"]
    names = GROUPS | {"age": ("young", "middle", "old")}
    for key, content in intersections.items():
        attributes = key.split("×")
        rows: dict[str, list[bool]] = {
            "×".join(members): [] for members in product(*(names[name] for name in attributes))
        }
        for row in range(COUNT):
            values = [int((group | {"age": age})[name][row]) for name in attributes]
            if min(values) >= 0:
                member = "×".join(names[n][v] for n, v in zip(attributes, values, strict=True))
                rows[member].append(bool(prediction[row] == label[row]))
        assert {name: entry["count"] for name, entry in content["groups"].items()} == {
            name: len(hits) for name, hits in rows.items()
        }
        accuracies = {name: sum(hits) / len(hits) for name, hits in rows.items() if hits}
        for name, entry in content["groups"].items():
            assert entry["accuracy"] == (pytest.approx(accuracies[name]) if rows[name] else None)
        large = {name: accuracies[name] for name, hits in rows.items() if len(hits) >= 30}
        assert content["worst_group"]["group"] == min(large, key=lambda name: large[name])


def test_intersections_with_too_many_groups_are_not_listed() -> None:
    groups = {name: tuple("abcdefghijklmno") for name in ("first", "second")}
    report = FairnessReport(CLASSES, groups)
    zeros = torch.zeros(5, dtype=torch.int64)
    report.update(zeros, zeros, {"first": zeros, "second": zeros})
    document = report.report(samples=5)
    assert document["intersections"] == {}
    assert (
        "first×second has 225 groups and is not listed unless it is asked for"
        in (document["messages"])
    )


def test_named_intersections_are_crossed_and_no_others() -> None:
    frame = prediction_frame()
    audit = audit_predictions(frame, intersections=[["race", "gender"]], resamples=5)
    assert list(audit["intersections"]) == ["race×gender"]
    content = audit["intersections"]["race×gender"]
    joined = (frame["race"] + "×" + frame["gender"]).where(frame["gender"] != "unknown")
    names = tuple(content["groups"])
    known = [name for name in names if (joined == name).any()]
    assert set(known) == set(joined.dropna())
    table = confusion_of(frame, joined, names)
    for name, counts in zip(names, table, strict=True):
        entry = content["groups"][name]
        assert entry["count"] == int(counts.sum())
        if counts.sum():
            assert entry["f1_macro"] == pytest.approx(F.f1_score(counts).item())
            assert entry["f1_weighted"] == pytest.approx(F.f1_score(counts, "weighted").item())
    assert content["dpd"] == pytest.approx(
        F.demographic_parity_difference(table, min_count=30).item()
    )
    assert content["eod"] == pytest.approx(F.equalized_odds_difference(table, min_count=30).item())
    with pytest.raises(ConfigError, match="did you mean 'gender'"):
        audit_predictions(frame, intersections=[["race", "gendr"]], resamples=5)
    with pytest.raises(ConfigError, match="not an intersection"):
        audit_predictions(frame, intersections=[["race"]], resamples=5)


def test_named_intersection_of_many_groups_lists_those_that_occur() -> None:
    frame = prediction_frame(count=400).assign(
        town=lambda rows: [f"town {number % 20}" for number in range(len(rows))],
        month=lambda rows: [f"month {number % 12}" for number in range(len(rows))],
    )
    assert "town×month" not in audit_predictions(frame, resamples=2)["intersections"]
    audit = audit_predictions(frame, intersections=[["town", "month"]], resamples=2)
    counts = (frame["town"] + "×" + frame["month"]).value_counts()
    listed = {n: g["count"] for n, g in audit["intersections"]["town×month"]["groups"].items()}
    assert listed == counts.to_dict()
