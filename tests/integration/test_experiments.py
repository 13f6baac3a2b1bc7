"""The two experiments on datasets, from one command each, on synthetic datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from scipy.stats import binomtest

from fer_lab import load_run
from fer_lab.configuration import config_directory, register_resolvers
from tests.integration.runs import finish, only_run, record

LITTLE = (
    "model=baseline_cnn",
    "recipe.image_size=48",
    "explain=none",
    "logger=none",
    "callbacks.fairness.resamples=50",
)
TINY = (*LITTLE, "dataset.train=100", "dataset.val=30", "dataset.test=40", "recipe.batch_size=32")


def composed(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True)


def recognised(folder: Path) -> tuple[int, int, int]:
    """Test faces whose dataset is recognised, all of them, and how many datasets there are."""
    faces = load_run(only_run(folder)).predictions
    assert faces["label"].tolist() == faces["dataset"].tolist()
    assert set(faces["label"].value_counts()) == {len(faces) // faces["label"].nunique()}
    right = int((faces["label"] == faces["prediction"]).sum())
    return right, len(faces), faces["label"].nunique()


@pytest.mark.parametrize("experiment", ["dataset_recognition", "leave_one_dataset_out"])
def test_xception_is_the_default_and_the_datasets_are_free(experiment):
    cfg = composed(f"experiment={experiment}", "dataset=[affectnet,rafdb]")
    assert cfg.model["_target_"] == "fer_lab.models.Xception"
    assert list(cfg.data.sources) == ["affectnet", "rafdb"]
    other = composed(f"experiment={experiment}", "model=baseline_cnn")
    assert other.model["_target_"] == "fer_lab.models.BaselineCNN"
    assert len(other.data.sources) == 4


def test_the_sweep_follows_the_names_of_the_datasets():
    cfg = composed("experiment=leave_one_dataset_out", "dataset=[affectnet,rafdb,expw]")
    assert cfg.hydra.sweeper.params["split.leave_out"] == "'affectnet','rafdb','expw'"
    assert cfg.hydra.mode.name == "MULTIRUN"


def test_datasets_that_differ_are_told_apart(tmp_path):
    done = finish(tmp_path, "experiment=dataset_recognition", *TINY, "trainer.max_epochs=4")
    assert done.returncode == 0, done.stderr
    right, faces, datasets = recognised(tmp_path)
    assert binomtest(right, faces).proportion_ci(0.999).low > 2 / datasets
    line = next(line for line in done.stdout.splitlines() if line.startswith("By chance"))
    assert f" {1 / datasets:.3f} " in line
    confusion = json.loads((only_run(tmp_path) / "metrics" / "test.json").read_text())["confusion"]
    assert [sum(row) for row in confusion] == [40] * 4
    assert record(only_run(tmp_path))["classes"] == ["studio", "street", "film", "webcam"]
    assert (only_run(tmp_path) / "figures" / "confusion.png").is_file()


def test_a_dataset_that_fails_leaves_the_table_of_the_others(tmp_path):
    done = finish(
        tmp_path,
        "experiment=leave_one_dataset_out",
        "split.leave_out=nowhere,studio,film",
        *TINY,
        "trainer.max_epochs=1",
    )
    assert done.returncode == 1
    assert "there is no dataset 'nowhere' to leave out" in done.stderr
    assert "Traceback" not in done.stderr
    (written,) = tmp_path.glob("multirun/*/*/table.csv")
    assert {path.name for path in written.parent.glob("table.*")} == {
        *("table.csv", "table.md", "table.tex")
    }
    table = pd.read_csv(written).set_index("split.leave_out")
    assert list(table.index) == ["studio", "film"]
    assert (written.parent / "table.md").read_text() in done.stdout
    others = {"studio", "street", "film", "webcam"}
    for number, left_out in ((1, "studio"), (2, "film")):
        run = load_run(written.parent / str(number))
        for split, datasets in (("val", others - {left_out}), ("test", {left_out})):
            faces = run.predictions_of(split)
            assert set(faces["dataset"]) == datasets
            right = (faces["label"] == faces["prediction"]).mean()
            assert table.loc[left_out, f"{split}/accuracy"] == pytest.approx(right)
        # Of the dataset left out the validation faces, which are numbered from ten million on.
        assert run.predictions["id"].str.contains("/1000").all()
        assert len(run.predictions) == 30


@pytest.mark.slow
def test_recognition_is_at_chance_when_the_datasets_do_not_differ(tmp_path):
    done = finish(tmp_path, "experiment=dataset_recognition", *LITTLE, "dataset.differences=false")
    assert done.returncode == 0, done.stderr
    right, faces, datasets = recognised(tmp_path)
    interval = binomtest(right, faces).proportion_ci(0.95)
    assert interval.low <= 1 / datasets <= interval.high


@pytest.mark.slow
def test_recognition_is_nearly_perfect_when_they_differ(tmp_path):
    done = finish(tmp_path, "experiment=dataset_recognition", *LITTLE, "trainer.max_epochs=4")
    assert done.returncode == 0, done.stderr
    right, faces, _ = recognised(tmp_path)
    assert binomtest(right, faces).proportion_ci(0.95).low > 0.9
