"""Mistakes in configuration and data: one clear error, or set aside and counted."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests.integration.runs import SMALL, finish, only_run, record
from tests.layouts.table import EXPRESSIONS, write_image


def refused(place, *overrides: str, small: tuple[str, ...] = SMALL) -> str:
    done = finish(place, *small, "logger=none", *overrides)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr, done.stderr
    assert "error: " in done.stderr
    return done.stderr


def test_a_missing_root_names_folder_files_and_override(tmp_path):
    err = refused(tmp_path, "dataset=affectnet", f"dataset.root={tmp_path / 'nowhere'}", small=())
    assert str(tmp_path / "nowhere") in err
    assert "training.csv" in err
    assert "dataset.root=" in err


def test_a_wrong_layout_names_what_was_expected(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "readme.txt").write_text("not a dataset")
    err = refused(tmp_path, "dataset=affectnet", f"dataset.root={tmp_path / 'faces'}", small=())
    assert "training.csv" in err


def test_a_filter_that_leaves_nobody_names_it_and_the_counts(tmp_path):
    err = refused(tmp_path, "split.where.age=[54+]", "split.where.race=[indian]", "dataset.train=9")
    assert "54+" in err
    assert "indian" in err


def test_an_unknown_group_lists_those_that_exist(tmp_path):
    err = refused(tmp_path, "split.where.gender=[woman]")
    assert "female" in err


def test_an_unknown_attribute_lists_those_that_exist(tmp_path):
    err = refused(tmp_path, "attributes=[gender,agee]")
    assert "did you mean 'age'" in err


def test_classes_that_do_not_exist_are_refused(tmp_path):
    assert "6, 7, 8" in refused(tmp_path, "classes=5")


def test_an_image_size_the_model_cannot_take(tmp_path):
    assert "multiple of 8" in refused(tmp_path, "recipe.image_size=50")


@pytest.mark.parametrize(
    "override", ["trainer.max_epochs=abc", "seed=x", "model.optimizer.lr=[1]", "seed=-1"]
)
def test_words_where_numbers_belong_are_refused_before_anything_is_loaded(tmp_path, override):
    err = refused(tmp_path, override)
    assert override in err
    assert "number" in err


def test_weights_without_a_network_name_the_alternatives(tmp_path):
    err = refused(tmp_path, "model=resnet50", "model.weights=imagenet")
    assert "model.weights=random" in err
    assert "ConfigError(" not in err


def test_a_layer_that_does_not_exist_names_near_ones(tmp_path):
    assert "backbone.relu3" in refused(tmp_path, "explain.layer=backbone.relu9")


def test_a_failed_run_is_recorded_as_failed(tmp_path):
    refused(tmp_path, "split.where.gender=[woman]")
    content = record(only_run(tmp_path))
    assert content["status"] == "failed"
    assert "woman" in content["error"]


def test_groups_without_a_validation_sample_are_noted_not_fatal(tmp_path):
    done = finish(tmp_path, *SMALL, "logger=none", "dataset.val=7", "trainer.max_epochs=1")
    assert done.returncode == 0, done.stderr
    assert "nobody in validation is of age" in done.stderr


@pytest.mark.slow
def test_a_broken_checkpoint_is_not_gone_on_from(tmp_path):
    options = ("dataset.train=70", "trainer.max_epochs=1", "explain=none", "logger=none")
    assert finish(tmp_path, *SMALL[1:4], *options).returncode == 0
    folder = only_run(tmp_path)
    last = folder / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    (folder / "run.json").write_text(json.dumps({**record(folder), "status": "interrupted"}))
    done = finish(tmp_path, f"resume={folder}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr, done.stderr
    assert "last.ckpt cannot be read as a checkpoint" in done.stderr
    assert "start anew" in done.stderr


@pytest.mark.parametrize("strategy", ["ddp", "ddp_find_unused_parameters_true"])
def test_subprocess_ddp_inside_a_sweep_is_refused(tmp_path, strategy):
    done = finish(tmp_path, "--multirun", "seed=1,2", f"trainer.strategy={strategy}", *SMALL)
    assert done.returncode == 1
    assert "multirun" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_with_damaged_images_is_trained_on_with_all_of_them_listed(tmp_path):
    faces = tmp_path / "faces"
    for label in range(7):
        for number in range(40):
            write_image(faces / EXPRESSIONS[label] / f"{number}.jpg", label + 7 * number)
    damaged = {}
    for label, cut in enumerate([0, 300, 0, 300, 0, 300, 0]):
        for number in (3, 17):
            path = faces / EXPRESSIONS[label] / f"{number}.jpg"
            path.write_bytes(path.read_bytes()[:cut])
            damaged[str(path)] = "truncated image" if cut else "empty file"
    done = finish(
        tmp_path,
        *("dataset=folder", f"dataset.root={faces}", "attributes=[]", "explain=none"),
        *("recipe.image_size=48", "trainer.max_epochs=1", "logger=none"),
    )
    assert done.returncode == 0, done.stderr
    assert "14 image files cannot be read" in done.stderr + done.stdout
    folder = only_run(tmp_path)
    listed = pd.read_csv(folder / "unreadable.csv").set_index("path")["reason"]
    assert listed.to_dict() == damaged
    data = record(folder)["data"]
    assert data["train"] + data["val"] + data["test"] == 280 - 14
    assert data["dropped"] == {"empty file": 8, "truncated image": 6}
