"""What the page says of a run against what its files say, worked out in another way."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from fer_lab.errors import DataError
from fer_lab.report.dashboard.figures import CURVES, curves, thinned
from fer_lab.report.dashboard.gather import gather
from fer_lab.report.dashboard.page import document, embedded
from fer_lab.report.run import Run
from tests.report.dashboard.made_up import write_comparable
from tests.report.fabricated import CLASSES, write_run


def shown(entries, name):
    (found,) = [each.shown for each in entries if each.shown["name"] == name]
    return found


def test_figures_of_groups_are_those_of_the_predictions(entries):
    entry = next(each for each in entries if each.shown["name"] == "synthetic-mixed-vit_tiny-s1")
    faces = pd.read_parquet(entry.run.path / "predictions" / "test.parquet")
    faces["right"] = faces["label"] == faces["prediction"]
    assert entry.shown["figures"]["accuracy"][0] == pytest.approx(faces["right"].mean(), abs=5e-5)
    assert entry.shown["figures"]["samples"] == len(faces)
    names = entry.schema["attributes"]["gender"]["groups"]
    assert names == ["female", "male", "unknown"]
    for group, row in zip(names, entry.shown["groups"]["gender"], strict=True):
        part = faces[faces["gender"] == group]
        recalls = part.groupby("label")["right"].mean()
        expected = [len(part), part["right"].mean(), recalls.mean(), *recalls.reindex(CLASSES)]
        assert [np.nan if v is None else v for v in row] == pytest.approx(
            expected, abs=5e-5, nan_ok=True
        )
    by_class = faces.groupby("label")["right"].mean().reindex(CLASSES)
    assert entry.shown["recalls"] == pytest.approx(list(by_class), abs=5e-5)


def test_bias_and_regions_are_those_of_the_files(entries):
    entry = next(each for each in entries if each.shown["name"] == "synthetic-mixed-vit_tiny-s1")
    facts = json.loads((entry.run.path / "metrics" / "test.json").read_text())
    found = entry.shown["figures"]
    for what in ("value", "low", "high"):
        place = ("value", "low", "high").index(what)
        assert found["bias"][place] == pytest.approx(facts["bias"][what], abs=5e-5)
    gaps = facts["attributes"]["gender"]["metrics"].values()
    mean = np.mean([gap["value"] for gap in gaps if gap["value"] is not None])
    assert found["biases"]["gender"][0] == pytest.approx(mean, abs=5e-5)
    tidy = pd.read_parquet(entry.run.path / "explanations" / "region_ior.parquet")
    lift = tidy.groupby("region")["lift"].mean()
    assert entry.shown["regions"]["lift"][2] == pytest.approx(lift["nose"], abs=5e-4)
    assert entry.shown["regions"]["lift"][16] is None  # no face wears a necklace
    summary = json.loads((entry.run.path / "explanations" / "summary.json").read_text())
    beside = summary["random_model"]["regions"]["nose"]["lift"]
    assert entry.shown["regions"]["random"][2] == pytest.approx(beside, abs=5e-4)
    assert entry.shown["regions"]["made"] == "HiResCAM · features.8 · grid 16×16"


def test_long_curves_are_thinned_and_keep_their_ends(entries):
    entry = next(each for each in entries if each.shown["name"] == "synthetic-mixed-vit_tiny-s1")
    history = pd.read_csv(entry.run.path / "metrics" / "history.csv").set_index("epoch")
    found = entry.shown["curves"]
    assert found["of"] == 400
    assert 20 <= len(found["epochs"]) <= 200
    assert (found["epochs"][0], found["epochs"][-1]) == (1, 400)
    rows = history.loc[[epoch - 1 for epoch in found["epochs"]]]
    assert list(found["curves"]) == [name for name in CURVES if name in history]
    for name, values in found["curves"].items():
        assert values == pytest.approx(list(rows[name]), abs=5e-5)


def test_a_figure_that_an_epoch_lacks_is_missing_there_alone(tmp_path):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "history.csv").write_text(
        "epoch,val/accuracy,train/loss,val/loss\n0,0.5,,nan\n1,0.75,2,nan\n"
    )
    found = curves(Run(tmp_path), 10)
    assert found == {
        "epochs": [1, 2],
        "of": 2,
        "curves": {"val/accuracy": [0.5, 0.75], "train/loss": [None, 2.0]},
    }


@pytest.mark.parametrize(("length", "points"), [(1, 2), (7, 3), (1000, 20), (20, 20)])
def test_thinned_positions_rise_from_the_first_to_the_last(length, points):
    found = thinned(length, points)
    assert found[0] == 0
    assert found[-1] == length - 1
    assert len(found) == min(length, points)
    assert found == sorted(set(found))


def test_runs_without_figures_say_why(entries):
    assert shown(entries, "failed")["status"] == "failed"
    assert shown(entries, "failed")["error"].startswith("DataError: no data\n")
    assert "note" not in shown(entries, "failed")
    assert shown(entries, "killed")["status"] == "interrupted"
    assert "ended before" in shown(entries, "killed")["note"]
    assert "no audit was asked for" in shown(entries, "bare")["note"]
    assert "no figures: metrics/test.json cannot be read" in shown(entries, "torn")["note"]
    assert shown(entries, "broken")["status"] == "unreadable"
    assert "run.json cannot be read" in shown(entries, "broken")["error"]
    assert not any("figures" in shown(entries, name) for name in ("failed", "torn", "broken"))


def test_an_audit_of_datasets_has_no_figures_of_a_model(entries):
    (found,) = [each.shown for each in entries if each.shown.get("task") == "audit"]
    assert found["note"] == "bias of datasets: rafdb 0.125"
    assert found["dataset"] == "rafdb"
    assert not {"figures", "split"} & set(found)


def test_a_model_trained_elsewhere_is_known_by_its_training(entries):
    found = shown(entries, "evaluated")
    assert (found["model"], found["split"]) == ("resnet50", "female")
    assert found["of"] == "synthetic-female-resnet50-s1"


def test_a_training_that_is_gone_leaves_it_unknown(tmp_path):
    folder = write_comparable(tmp_path / "run", split="female")
    record = json.loads((folder / "run.json").read_text())
    record |= {"task": "evaluate", "trained_run": {"name": "old", "path": str(tmp_path / "gone")}}
    record["choices"].pop("model")
    (folder / "run.json").write_text(json.dumps(record))
    (entry,) = gather([tmp_path])
    assert entry.shown["of"] == "old"
    assert not {"model", "split"} & set(entry.shown)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.json", {"choices": 3}),
        ("run.json", {"task": "audit", "summary": [1]}),
        ("run.json", {"task": ["train"], "name": {}, "status": 5, "error": [1]}),
        ("run.json", {"summary": [], "durations": "long", "tags": 5, "started": 7}),
        ("run.json", {"trained_run": ["x"], "data": "none", "seed": {}}),
        ("metrics/test.json", {"accuracy": None}),
        ("metrics/test.json", {"attributes": {"gender": {"groups": {"female": {}}}}}),
        ("metrics/test.json", {"confusion": [[1]], "classes": []}),
        ("metrics/history.csv", "epoch\nlate\n"),
        ("metrics/history.csv", ""),
        ("explanations/summary.json", "[]"),
        ("metrics/test.json", {"min_count": [1], "variants": {"a": {"b": [float("nan")]}}}),
        ("metrics/test.json", {"samples": float("inf"), "classes": [1, 2, 3, 4, 5, 6, {}]}),
        ("run.json", {"seed": float("nan")}),
        (".hydra/config.yaml", "a: [1"),
        (".hydra/config.yaml", "- 1"),
    ],
)
def test_damaged_facts_cost_no_more_than_themselves(tmp_path, file, content):
    folder = write_comparable(tmp_path / "a" / "run", explained=True)
    write_comparable(tmp_path / "b", number=1)
    path = folder / file
    if isinstance(content, dict):
        content = json.dumps(json.loads(path.read_text()) | content)
    path.write_text(content)
    both = gather([tmp_path])
    assert len(both) == 2
    (fine,) = [each for each in both if each.run.path == tmp_path / "b"]
    assert fine.document is not None
    facts = json.loads(embedded(document(both, tmp_path)))
    assert len(facts["runs"]) == 2
    assert "figures" in facts["runs"][both.index(fine)]


def test_a_run_below_two_roots_is_one(place):
    once = gather([place / "multirun"])
    twice = gather([place / "multirun", place / "multirun" / "2026-03-01"])
    assert len(once) == len(twice) == 9


def test_runs_come_oldest_first(entries):
    starts = [each.shown["started"] for each in entries if "started" in each.shown]
    assert starts == sorted(starts)
    assert len(starts) == len(entries) - 1


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        gather([tmp_path / "nowhere"])


def test_no_secret_of_an_error_is_kept(tmp_path):
    record = {"status": "failed", "error": "login failed: api_key=abc123"}
    write_run(tmp_path / "run", splits=(), explained=False, epochs=0, record=record)
    (entry,) = gather([tmp_path])
    assert entry.shown["error"] == "login failed: api_key=(hidden)"
