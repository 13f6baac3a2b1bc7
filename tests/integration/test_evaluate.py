"""``fer-lab evaluate`` as a user starts it: a training's numbers again, and data of anybody's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score

import fer_lab
from fer_lab.data.predictions import read_prediction_file
from fer_lab.metrics.provenance import audit_document
from tests.integration.runs import SMALL, finish, only_run, record, run_task

AUDIT = ("callbacks.fairness.resamples=100", "callbacks.fairness.seed=1")
FACES = ("dataset.train=1120", "dataset.val=140", "dataset.test=141")


def evaluated(place: Path, *overrides: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
    return run_task(place, "evaluate", *overrides)


def refused(place: Path, *overrides: str) -> str:
    folder, done = evaluated(place, *overrides)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr, done.stderr
    assert record(folder)["status"] == "failed"
    return done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A training chosen by its bias score."""
    place = tmp_path_factory.mktemp("trained")
    done = finish(
        place,
        *(*SMALL, *FACES, "logger=none", "explain=none", "trainer.max_epochs=6"),
        *("recipe.batch_size=32", "model.optimizer.lr=0.003"),
        *("callbacks.checkpoint.monitor=val/fairness/bias", "callbacks.fairness.min_count=5"),
        "callbacks.checkpoint.floor={val/accuracy:0.15}",
    )
    assert done.returncode == 0, done.stderr
    return only_run(place)


@pytest.fixture(scope="module")
def again(trained, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The training's checkpoint, evaluated on the faces that it was tested on."""
    folder, done = evaluated(
        tmp_path_factory.mktemp("again"),
        *(f"checkpoint={trained}", *FACES, *AUDIT, "callbacks.fairness.min_count=5"),
        *("explain.max_samples=20", "logger=wandb"),
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_epoch_chosen_by_bias_is_that_of_the_history(trained):
    history = fer_lab.load_run(trained).history
    useful = history[(history["val/accuracy"] >= 0.15) & (history["val/collapsed"] == 0)]
    useful = useful.dropna(subset="val/fairness/bias")
    expected = useful.loc[useful["val/fairness/bias"].idxmin(), "epoch"]
    assert torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == expected


def test_predictions_give_the_very_document_of_the_training(trained, tmp_path):
    path = trained / "predictions" / "test.parquet"
    folder, done = evaluated(
        tmp_path, f"predictions={path}", *AUDIT, "callbacks.fairness.min_count=5"
    )
    assert done.returncode == 0, done.stderr
    assert fer_lab.load_run(folder).metrics == fer_lab.load_run(trained).metrics


def test_the_validation_document_is_that_of_its_predictions(trained):
    predictions = read_prediction_file(trained / "predictions" / "val.parquet")
    found = audit_document(predictions, "val", resamples=100, seed=1, min_count=5)
    assert found == fer_lab.load_run(trained).metrics_of("val")


def test_a_checkpoint_gives_the_predictions_and_figures_of_its_training(trained, again):
    run, expected = fer_lab.load_run(again[0]), fer_lab.load_run(trained)
    for name in ("prediction", "gender", "race", "age", "label", "id"):
        assert list(run.predictions[name]) == list(expected.predictions[name])
    np.testing.assert_allclose(
        run.predictions.filter(like="prob_"), expected.predictions.filter(like="prob_"), atol=1e-5
    )
    assert run.metrics["attributes"]["gender"] == expected.metrics["attributes"]["gender"]


def test_an_evaluation_leaves_a_run(again):
    folder, done = again
    content = record(folder)
    assert (content["task"], content["status"]) == ("evaluate", "finished")
    assert content["data"]["test"] == 141
    assert content["trained_run"]["name"] == "synthetic-mixed-baseline_cnn-s1"
    assert content["name"] == "synthetic-mixed-baseline_cnn-s1-on-synthetic"
    assert content["summary"]["test/accuracy"] == pytest.approx(
        fer_lab.load_run(folder).metrics["accuracy"]["value"]
    )
    assert (folder / "explanations" / "summary.json").is_file()
    page = (folder / "report.html").read_text()
    assert "Learning curves" not in page
    assert "Where the model looks" in page
    assert done.stdout.rstrip().endswith("report.html")
    assert not (folder / "checkpoints").exists()


def test_wandb_has_tables_by_group_and_the_confusion_offline(again):
    folder, _ = again
    (offline,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    tool = Path(sys.executable).with_name("wandb")
    shown = subprocess.run(
        [tool, "leet", "inspect", "--summary", "--json", str(offline)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("tables/groups", "tables/gaps", "tables/group_confusion", "figures/confusion"):
        assert name in shown, name
    assert "test/fairness/gender/bias" in shown
    (path,) = offline.parent.glob("files/media/table/tables/groups_*.table.json")
    table = json.loads(path.read_text())
    sent = pd.DataFrame(table["data"], columns=table["columns"]).set_index(["attribute", "group"])
    groups = fer_lab.load_run(folder).metrics["attributes"]["gender"]["groups"]
    for group, facts in groups.items():
        assert sent.loc[("gender", group), "samples"] == facts["count"]
        assert sent.loc[("gender", group), "accuracy"] == pytest.approx(facts["accuracy"]["value"])


def test_a_checkpoint_alone_knows_its_classes_and_size(trained, tmp_path):
    shutil.copy(trained / "checkpoints" / "best.ckpt", tmp_path / "alone.ckpt")
    folder, done = evaluated(
        tmp_path / "run",
        *(f"checkpoint={tmp_path / 'alone.ckpt'}", *FACES, "explain=none"),
        *("dataset.classes=8", "rows=all"),
    )
    assert done.returncode == 0, done.stderr
    content = record(folder)
    assert content["classes"] == fer_lab.load_run(trained).record["classes"]
    dropped = content["data"]["dropped"]["label contempt not among the classes"]
    assert dropped > 0
    assert content["data"]["test"] + dropped == 1401
    assert f"{dropped} rows set aside: label contempt" in done.stderr
    table = fer_lab.load_run(folder).predictions
    assert len(table) == content["data"]["test"]
    assert content["summary"]["test/accuracy"] == pytest.approx(
        accuracy_score(table["label"], table["prediction"])
    )


def test_a_file_that_is_no_checkpoint_is_one_error(tmp_path):
    (tmp_path / "noise.ckpt").write_bytes(b"not a checkpoint")
    err = refused(tmp_path, f"checkpoint={tmp_path / 'noise.ckpt'}")
    assert "cannot be read as a checkpoint" in err


def test_what_to_evaluate_is_one_thing(tmp_path):
    assert "one of the two" in refused(tmp_path, "predictions=a.csv", "checkpoint=last")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The evaluation of another program's table, with demographics that a model inferred."""
    place = tmp_path_factory.mktemp("foreign")
    draw = np.random.default_rng(0)
    truth = draw.choice(["happy", "sad", "anger"], 900)
    sex = draw.choice(["F", "M", ""], 900, p=[0.5, 0.4, 0.1])
    right = draw.random(900) < np.where(sex == "F", 0.6, 0.9)
    guess = np.where(right, truth, draw.choice(["happy", "sad", "anger"], 900))
    table = pd.DataFrame({"truth": truth, "guess": guess, "sex": sex, "site": "north"})
    table.to_csv(place / "theirs.csv", index=False)
    folder, done = evaluated(
        place,
        *("predictions=theirs.csv", "columns={label:truth,prediction:guess,gender:sex}"),
        *("demographics_source=deepface", *AUDIT, "logger=wandb"),
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_another_programs_table_is_audited(foreign):
    folder, _ = foreign
    metrics = fer_lab.load_run(folder).metrics
    table = pd.read_csv(folder.parents[2] / "theirs.csv", keep_default_na=False)
    right = table["truth"] == table["guess"]
    assert metrics["accuracy"]["value"] == pytest.approx(right.mean())
    groups = metrics["attributes"]["gender"]["groups"]
    for word, group in (("F", "F"), ("M", "M"), ("", "unknown")):
        here = table["sex"] == word
        assert groups[group]["count"] == here.sum()
        assert groups[group]["accuracy"]["value"] == pytest.approx(right[here].mean())
    shares = pd.crosstab(table["sex"], table["guess"], normalize="index")
    gap = (shares.loc["F"] - shares.loc["M"]).abs().max()
    found = metrics["attributes"]["gender"]["metrics"]["demographic_parity"]["value"]
    assert found == pytest.approx(gap)


def test_a_table_of_predictions_names_no_dataset_or_model_that_was_not_used(foreign):
    folder, _ = foreign
    choices = fer_lab.load_run(folder).record["choices"]
    assert set(choices) <= {"dataset"}
    assert choices.get("dataset") != "synthetic"


def test_an_attribute_of_one_group_has_no_gap_and_that_is_said(foreign):
    folder, done = foreign
    site = fer_lab.load_run(folder).metrics["attributes"]["site"]
    assert site["bias"]["value"] is None
    assert "site: " in done.stdout


def test_inferred_demographics_are_called_inferred_everywhere(foreign):
    folder, done = foreign
    metrics = fer_lab.load_run(folder).metrics
    assert metrics["inferred"] == ["gender"]
    assert "gender (inferred by deepface)" in done.stdout
    assert "gender (inferred) = F" in done.stdout
    page = (folder / "report.html").read_text()
    assert "inferred by deepface" in page
    assert "Inferred, not annotated: gender (by deepface)" in page
    assert "Where the model looks" not in page
    (offline,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    (path,) = offline.parent.glob("files/media/table/tables/groups_*.table.json")
    assert {row[0] for row in json.loads(path.read_text())["data"]} == {"gender (inferred)", "site"}
