"""``fer-lab train dataset=affectnet split=female`` on JPEG files in the published layouts."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import fer_lab
from tests.integration.runs import finish, only_run, record
from tests.layouts.affectnet import write_csv_release, write_npy_release


def train(place, written, *overrides: str):
    done = finish(
        place,
        "dataset=affectnet",
        f"dataset.root='{written.root}'",
        "recipe.image_size=48",
        "recipe.batch_size=8",
        "trainer.max_epochs=1",
        "callbacks.fairness.resamples=50",
        *overrides,
    )
    assert done.returncode == 0, done.stderr
    return only_run(place), done


@pytest.fixture(scope="module")
def female(tmp_path_factory):
    place = tmp_path_factory.mktemp("affectnet")
    written = write_csv_release(place / "faces of many", train=6, test=4)
    folder, done = train(place, written, "split=female")
    return written, folder, done


def test_only_women_are_learned_from_and_everyone_is_tested(female):
    written, folder, _ = female
    run = fer_lab.load_run(folder)
    test = run.predictions
    assert set(test["gender"]) >= {"female", "male"}
    drawn_for_validation = run.predictions_of("val")
    women = [path for path in written.images["train"] if written.genders.get(path) == "female"]
    seven = record(folder)["classes"]
    assert len(seven) == 7
    learned = record(folder)["data"]["train"]
    validated = (drawn_for_validation["gender"] == "female").sum()
    contempt = [path for path in women if f"{7}" == path.split("_")[0]]
    assert learned <= len(women) - validated - len(contempt)
    assert learned > 0


def test_what_was_set_aside_is_counted(female):
    written, folder, done = female
    dropped = record(folder)["data"]["dropped"]
    for reason, count in written.dropped.items():
        assert dropped[reason] == count
    assert sum(dropped.values()) >= sum(written.dropped.values()) + len(written.unreadable)
    for count in dropped.values():
        assert f"{count}" in done.stdout


def test_without_masks_regions_are_outlined_from_the_landmarks(female):
    _, folder, done = female
    assert "region masks of affectnet: landmarks" in done.stderr
    assert record(folder)["region_source"]["affectnet"]["source"] == "landmarks"
    facts = json.loads((folder / "explanations" / "summary.json").read_text())
    assert "nose" in facts["regions"]
    assert "hair" not in facts["regions"]


def test_the_name_says_what_was_trained(female):
    assert record(female[1])["name"] == "affectnet-female-baseline_cnn-s1"


def test_the_npy_release_trains_too(tmp_path):
    written = write_npy_release(tmp_path / "npy", train=4, test=2)
    folder, _ = train(tmp_path, written, "logger=none")
    test = pd.read_parquet(folder / "predictions" / "test.parquet")
    assert len(test) > 0
    assert set(test["dataset"]) == {"affectnet"}
