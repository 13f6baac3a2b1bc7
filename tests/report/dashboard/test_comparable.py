"""Which runs stand on one axis, and which are draws of one experiment."""

from __future__ import annotations

import json

import pytest

from fer_lab.files import write_json
from fer_lab.report.dashboard.comparable import mark_comparable, tell_apart
from fer_lab.report.dashboard.gather import gather
from tests.report.dashboard.made_up import TWO, write_comparable


def marked(root):
    entries = gather([root])
    return mark_comparable(entries), [each.shown for each in entries]


def change(folder, file, **entries):
    path = folder / file
    write_json(path, json.loads(path.read_text()) | entries)


def test_runs_on_the_same_faces_are_one_set(place, entries):
    found = mark_comparable(entries)
    by_name = {each.shown["name"]: each.shown.get("set") for each in entries}
    assert by_name["synthetic-female-resnet50-s1"] == by_name["synthetic-mixed-vit_tiny-s1"] == 0
    assert by_name["evaluated"] == 0
    assert by_name["fewer"] == 1
    assert [each["letter"] for each in found["sets"]] == ["A", "B"]
    assert found["sets"][0]["words"] == (
        "synthetic · test set of 300 faces · 7 classes of expression · bias over gender"
    )
    assert found["sets"][1]["words"].startswith("synthetic · test set of 200 faces")
    assert by_name["failed"] is by_name["broken"] is None


@pytest.mark.parametrize(
    "difference",
    [
        {"samples": 299},
        {"classes": ("neutral", "happy", "sad", "surprise", "fear", "disgust")},
        {"groups": {**TWO, "age": ("0-15", "16-32")}},
        {"record": {"target": "gender"}},
        {"record": {"choices": {"dataset": "rafdb"}}},
        {"record": {"choices": {"dataset": "synthetic", "population": "fair"}}},
        {"record": {"choices": {"dataset": "synthetic", "test_split": "male"}}},
    ],
)
def test_runs_that_differ_in_what_is_measured_are_not(tmp_path, difference):
    write_comparable(tmp_path / "a")
    write_comparable(tmp_path / "b", number=1, **difference)
    found, shown = marked(tmp_path)
    assert len(found["sets"]) == 2
    assert len({each["words"] for each in found["sets"]}) == 2
    assert {each["set"] for each in shown} == {0, 1}


@pytest.mark.parametrize(
    "difference", [{"min_count": 5}, {"variants": {"reduction": "mean_pairwise"}}, {"split": "val"}]
)
def test_runs_whose_bias_is_of_another_kind_are_not(tmp_path, difference):
    write_comparable(tmp_path / "a")
    second = write_comparable(tmp_path / "b", number=1)
    change(second, "metrics/test.json", **difference)
    if "split" in difference:
        (second / "metrics" / "test.json").rename(second / "metrics" / "val.json")
    assert len(marked(tmp_path)[0]["sets"]) == 2


def test_classes_in_another_order_are_the_same(tmp_path):
    write_comparable(tmp_path / "a")
    second = write_comparable(tmp_path / "b", number=1)
    facts = json.loads((second / "metrics" / "test.json").read_text())
    order = [3, 0, 1, 2, 6, 5, 4]
    confusion = [[facts["confusion"][i][j] for j in order] for i in order]
    classes = [facts["classes"][i] for i in order]
    change(second, "metrics/test.json", confusion=confusion, classes=classes)
    assert len(marked(tmp_path)[0]["sets"]) == 1


def test_folds_of_one_cross_validation_are_one_set_although_their_faces_differ(tmp_path):
    for fold in (0, 1):
        folder = write_comparable(tmp_path / str(fold), number=fold, samples=200 + fold)
        config = folder / ".hydra" / "config.yaml"
        text = config.read_text().replace("folds: null, fold: 0", f"folds: 5, fold: {fold}")
        config.write_text(text)
    write_comparable(tmp_path / "2", number=2, samples=200)
    found, shown = marked(tmp_path)
    assert [each["set"] for each in shown] == [0, 0, 1]
    assert "5-fold cross-validation" in found["sets"][0]["words"]
    assert [each.get("fold") for each in shown] == ["0", "1", None]
    assert shown[0]["experiment"] == shown[1]["experiment"]


def test_seeds_are_one_experiment_and_settings_are_not(tmp_path):
    for number, (seed, rate) in enumerate([(1, 0.1), (2, 0.1), (1, 0.2), (2, 0.2), (3, 0.2)]):
        settings = f"trainer: {{lr: {rate}}}\nlogger: {{mode: m{number}}}\n"
        write_comparable(tmp_path / str(number), number=number, seed=seed, settings=settings)
    found, shown = marked(tmp_path)
    assert [each["experiment"] for each in shown] == [0, 0, 1, 1, 1]
    assert found["experiments"] == ["baseline_cnn · lr=0.1", "baseline_cnn · lr=0.2"]


def test_a_variant_is_an_experiment_but_for_the_gender_learnt_from(tmp_path):
    number = 0
    for model in ("resnet50", "vit_b16"):
        for split in ("female", "male", "mixed"):
            write_comparable(tmp_path / str(number), number=number, model=model, split=split)
            number += 1
    found, shown = marked(tmp_path)
    assert [each["variant"] for each in shown] == [0, 0, 0, 1, 1, 1]
    assert [each["learnt"] for each in shown] == ["female", "male", "mixed"] * 2
    assert [each["experiment"] for each in shown] == [0, 1, 2, 3, 4, 5]
    assert found["variants"] == ["resnet50", "vit_b16"]
    assert found["experiments"][0] == "resnet50 · female"


def test_whom_a_run_learnt_from_is_read_from_its_filter(tmp_path):
    configs = {
        "a": "split: {name: mixed, where: {gender: [female]}, match: null}",
        "b": "split: {name: mixed_matched, where: {gender: null}, match: gender}",
        "c": "split: {name: mixed, where: {gender: [unknown]}, match: null}",
        "d": "model: {}",
    }
    for number, (name, text) in enumerate(configs.items()):
        folder = write_comparable(tmp_path / name, number=number)
        (folder / ".hydra" / "config.yaml").write_text(text)
    shown = marked(tmp_path)[1]
    assert [each.get("learnt") for each in shown] == ["female", "mixed_matched", None, None]


def test_runs_of_one_name_are_told_apart_by_what_they_differ_in(tmp_path):
    for number, (rate, seed) in enumerate(((0.00040241923, 1), (0.01, 1), (0.01, 2))):
        write_comparable(
            tmp_path / str(number),
            number=number,
            seed=seed,
            settings=f"optimizer: {{lr: {rate}}}\n",
            record={"name": "search"},
        )
    write_comparable(tmp_path / "other", number=3, model="vit_tiny")
    entries = gather([tmp_path])
    tell_apart(entries)
    assert [entry.shown.get("told") for entry in entries] == [
        "lr=0.0004024 · seed 1",
        "lr=0.01 · seed 1",
        "lr=0.01 · seed 2",
        None,
    ]
