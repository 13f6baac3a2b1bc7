"""``fer-lab train`` from end to end, as a user starts it: a real process, real W&B, real files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

import fer_lab
from fer_lab.data.vocabulary import EXPRESSIONS, REGIONS
from tests.integration.runs import SMALL, finish, only_run, record


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished training: its folder and what it printed."""
    place = tmp_path_factory.mktemp("training")
    done = finish(place, *SMALL, "tags=[small]", "notes=a note")
    assert done.returncode == 0, done.stderr
    return only_run(place), done


def test_the_run_folder_is_complete(trained):
    folder, _ = trained
    expected = [
        ".hydra/config.yaml",
        "run.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "predictions/val.parquet",
        "predictions/test.parquet",
        "metrics/val.json",
        "metrics/test.json",
        "metrics/history.csv",
        "explanations/region_ior.parquet",
        "explanations/patches.npz",
        "explanations/summary.json",
        "explanations/group_differences.parquet",
        "explanations/faithfulness.parquet",
        "explanations/merged_test.npz",
        "explanations/merged_test.json",
        "report.html",
        "train.log",
    ]
    assert [name for name in expected if not (folder / name).is_file()] == []
    assert len(list((folder / "figures").glob("*.png"))) >= 5


def test_the_record_says_what_happened(trained):
    content = record(trained[0])
    assert content["status"] == "finished"
    assert content["name"] == "synthetic-mixed-baseline_cnn-s1"
    assert content["choices"]["model"] == "baseline_cnn"
    assert content["data"]["test"] == 141
    assert content["images_per_second"] > 0
    assert set(content["durations"]) == {"data", "fit", "test", "total"}
    assert content["tags"] == ["small"]
    assert len(content["fingerprint"]) == 16


def test_the_terminal_ends_with_the_table_and_the_report(trained):
    folder, done = trained
    assert "Equalized odds" in done.stdout or "equalized odds" in done.stdout
    assert done.stdout.rstrip().endswith("report.html")
    assert str(folder / "report.html") in done.stdout
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_every_test_image_is_predicted_once(trained):
    run = fer_lab.load_run(trained[0])
    predictions = run.predictions
    assert len(predictions) == 141
    assert predictions["id"].is_unique
    probabilities = predictions.filter(like="prob_")
    assert list(probabilities) == [f"prob_{name}" for name in EXPRESSIONS[:7]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    best = probabilities.to_numpy().argmax(axis=1)
    assert (predictions["prediction"] == np.array(EXPRESSIONS)[best]).all()


def test_metrics_can_be_recomputed_from_the_predictions(trained):
    run = fer_lab.load_run(trained[0])
    p, metrics = run.predictions, run.metrics
    assert metrics["accuracy"]["value"] == pytest.approx(accuracy_score(p.label, p.prediction))
    assert metrics["mean_class_accuracy"]["value"] == pytest.approx(
        balanced_accuracy_score(p.label, p.prediction)
    )
    expected = confusion_matrix(p.label, p.prediction, labels=list(EXPRESSIONS[:7]))
    assert metrics["confusion"] == expected.tolist()
    for group, facts in metrics["attributes"]["gender"]["groups"].items():
        part = p[p.gender == group]
        assert facts["count"] == len(part)
        assert facts["accuracy"]["value"] == pytest.approx(
            accuracy_score(part.label, part.prediction)
        )


def test_a_gap_is_the_difference_between_its_groups(trained):
    run = fer_lab.load_run(trained[0])
    p = run.predictions
    gap = run.metrics["attributes"]["gender"]["metrics"]["demographic_parity"]
    shares = p.groupby("gender")["prediction"].value_counts(normalize=True).unstack(fill_value=0)
    for expression, value in gap["per_expression"].items():
        share = shares.get(expression, pd.Series(0.0, shares.index))
        assert value == pytest.approx(abs(share["female"] - share["male"]), abs=1e-9)
    assert gap["value"] == pytest.approx(max(gap["per_expression"].values()))
    assert gap["low"] <= gap["value"] <= gap["high"]


def test_regions_are_explained_on_every_test_image(trained):
    run = fer_lab.load_run(trained[0])
    assert run.regions["id"].nunique() == 141
    assert set(run.regions["region"]) <= set(REGIONS)
    summary = run.explanation
    assert summary["method"] == "hirescam"
    assert min(summary["grid"]) >= 7
    skin = run.regions.dropna(subset="lift").query("region == 'skin'")
    assert summary["regions"]["skin"]["ior"] == pytest.approx(skin["ior"].mean(), abs=1e-5)
    assert summary["faithfulness"]["samples"] == 32
    assert run.record["region_source"]["synthetic"]["source"] == "dataset"


def test_history_has_one_row_an_epoch_with_all_scalars(trained):
    history = fer_lab.load_run(trained[0]).history
    assert list(history["epoch"]) == [0, 1]
    for name in (
        "train/loss",
        "val/loss",
        "val/accuracy",
        "val/fairness/bias",
        "val/fairness/gender/demographic_parity",
        "val/ior/nose",
    ):
        assert history[name].notna().all(), name


def test_checkpoints_hold_plain_data_and_predict_the_same(trained):
    folder, _ = trained
    run = fer_lab.load_run(folder)
    for which in ("best", "last"):
        torch.load(run.checkpoint(which), weights_only=True)
    model = run.model()
    from fer_lab.data import SyntheticDataModule

    data = SyntheticDataModule(train=280, val=140, test=141, image_size=48)
    data.prepare_data()
    data.setup("test")
    batch = next(iter(data.test_dataloader()))
    with torch.inference_mode():
        probabilities = model(batch["image"].float() / 255).softmax(dim=1)
    ids = data.manifest["id"].to_numpy()[batch["index"].numpy()]
    expected = run.predictions.set_index("id").loc[ids].filter(like="prob_").to_numpy()
    np.testing.assert_allclose(probabilities.numpy(), expected, atol=1e-5)


def test_wandb_holds_fairness_regions_and_figures_offline(trained):
    folder, _ = trained
    (offline,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    shown = subprocess.run(
        [
            Path(sys.executable).with_name("wandb"),
            *("leet", "inspect", "--summary", "--json", str(offline)),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in (
        "val/fairness/gender/demographic_parity",
        "test/fairness/bias",
        "test/accuracy",
        "val/ior/nose",
        "figures/explanation",
        "figures/faithfulness",
        "val/pictures/explanation",
        "val/pictures/region_groups",
        "val/pictures/region_differences",
    ):
        assert name in shown, name
    json.loads(shown)
