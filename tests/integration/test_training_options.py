"""Options of the training through the command line: what they change, and what they must not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import fer_lab
from fer_lab.callbacks.averaging import TRAINED
from fer_lab.models.checkpoints import load_checkpoint
from tests.integration.runs import finish, only_run, record, start
from tests.integration.test_interruptions import wait_for

TINY = (
    "dataset.train=64",
    "dataset.val=32",
    "dataset.test=33",
    "recipe.image_size=48",
    "recipe.batch_size=16",
    "trainer.max_epochs=2",
    "callbacks.fairness.resamples=2",
    "logger=none",
)
SILENT = (*TINY, "explain=none", "data.num_workers=0")
EXPLAINED = (*TINY, "explain.check_samples=0", "explain.merged_by=null", "data.num_workers=0")

# Name of a run -> its task and overrides; one process makes all of them, one after the other.
RUNS: dict[str, list[str]] = {
    "repeatable": ["train", *SILENT, "deterministic=true"],
    "workers": ["train", *SILENT, "deterministic=true", "data.num_workers=2"],
    "other_seed": ["train", *SILENT, "deterministic=true", "seed=2"],
    "default": ["train", *SILENT],
    "bf16": ["train", *EXPLAINED, "trainer.precision=bf16-mixed"],
    "averaged": ["train", *EXPLAINED, "callbacks.averaging.decay=0.9", "trainer.precision=bf16"],
    "evaluated": ["evaluate", "checkpoint=averaged", "explain=none", *TINY[:3], TINY[6]],
    "half": ["train", *SILENT, "trainer.precision=16-mixed"],
    "evaluated_half": ["evaluate", "checkpoint=averaged", "trainer.precision=bf16-mixed"],
}

SCRIPT = """
import json, os, sys
from pathlib import Path
import torch
from fer_lab.cli import main
runs = json.loads(sys.argv[1])
codes = {}
for name, (task, *overrides) in runs.items():
    codes[name] = main([task, f"hydra.run.dir={name}", *overrides])
facts = {
    "codes": codes,
    "deterministic": torch.are_deterministic_algorithms_enabled(),
    "workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
}
Path("facts.json").write_text(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The folder of all runs."""
    place = tmp_path_factory.mktemp("options")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(RUNS)],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (place / "errors.txt").write_text(done.stderr)
    return place


def weights(folder: Path, which: str) -> dict[str, torch.Tensor]:
    content = torch.load(folder / "checkpoints" / f"{which}.ckpt", weights_only=True)
    return content["state_dict"]


def same_weights(one: Path, other: Path) -> list[bool]:
    found = []
    for which in ("best", "last"):
        first, second = weights(one, which), weights(other, which)
        assert first.keys() == second.keys()
        found.append(all(torch.equal(first[name], second[name]) for name in first))
    return found


def predictions(folder: Path, split: str = "test") -> pd.DataFrame:
    return pd.read_parquet(folder / "predictions" / f"{split}.parquet")


def test_all_runs_end_as_they_should(runs):
    codes = json.loads((runs / "facts.json").read_text())["codes"]
    assert codes == {name: int("half" in name) for name in RUNS}


@pytest.mark.parametrize("other", ["workers", "default"])
def test_the_same_seed_gives_the_same_numbers_bit_for_bit(runs, other):
    one, two = runs / "repeatable", runs / other
    assert same_weights(one, two) == [True, True]
    files = ["metrics/history.csv", "metrics/val.json", "metrics/test.json"]
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file
    for split in ("val", "test"):
        pd.testing.assert_frame_equal(
            predictions(one, split), predictions(two, split), check_exact=True
        )


def test_another_seed_gives_other_numbers(runs):
    one, two = runs / "repeatable", runs / "other_seed"
    assert same_weights(one, two) == [False, False]
    assert (one / "metrics/history.csv").read_text() != (two / "metrics/history.csv").read_text()


def test_the_process_is_as_before_a_repeatable_run(runs):
    facts = json.loads((runs / "facts.json").read_text())
    assert facts["deterministic"] is False
    assert facts["workspace"] is None


@pytest.mark.parametrize("name", ["bf16", "averaged"])
def test_figures_of_a_mixed_training_are_those_of_its_checkpoint_in_float32(runs, name):
    table = predictions(runs / name)
    probabilities = table.filter(like="prob_")
    assert set(probabilities.dtypes) == {np.dtype("float32")}
    rows = probabilities.to_numpy()
    np.testing.assert_allclose(rows.sum(axis=1, dtype=np.float64), 1, atol=1e-6)
    model = load_checkpoint(runs / name / "checkpoints" / "best.ckpt")
    assert {each.dtype for each in model.parameters()} == {torch.float32}
    data = fer_lab.data.SyntheticDataModule(train=64, val=32, test=33, image_size=48)
    data.prepare_data()
    data.setup("test")
    (batch,) = data.test_dataloader()
    with torch.inference_mode():
        expected = model(batch["image"].float() / 255).softmax(dim=1)
    ids = data.manifest["id"].to_numpy()[batch["index"].numpy()]
    found = table.set_index("id").loc[ids].filter(like="prob_").to_numpy()
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("name", ["bf16", "averaged"])
def test_explanations_of_a_mixed_training_are_of_the_predicted_class(runs, name):
    run = fer_lab.load_run(runs / name)
    explained = run.regions.drop_duplicates("id").set_index("id")["prediction"].astype(str)
    expected = run.predictions.set_index("id")["prediction"].astype(str)
    assert explained.to_dict() == expected.to_dict()
    assert run.history.filter(like="val/ior/").notna().to_numpy().any()


def test_a_mixed_training_is_another_one(runs):
    plain = pd.read_csv(runs / "default" / "metrics" / "history.csv")
    mixed = pd.read_csv(runs / "bf16" / "metrics" / "history.csv")
    assert mixed["train/loss"].notna().all()
    assert not np.array_equal(mixed["train/loss"], plain["train/loss"])
    np.testing.assert_allclose(mixed["train/loss"], plain["train/loss"], rtol=0.02)


def test_an_evaluation_finds_what_the_training_with_averages_found(runs):
    pd.testing.assert_frame_equal(
        predictions(runs / "averaged"), predictions(runs / "evaluated"), atol=1e-6, rtol=0
    )


def test_the_best_epoch_is_kept_with_its_average(runs):
    content = torch.load(runs / "averaged/checkpoints/last.ckpt", weights_only=True)
    assert not torch.equal(
        content["state_dict"]["backbone.conv1.weight"], content[TRAINED]["backbone.conv1.weight"]
    )
    history = fer_lab.load_run(runs / "averaged").history
    best = fer_lab.load_run(runs / "averaged").record["summary"]["val/loss"]
    assert best == pytest.approx(history["val/loss"].min(), rel=1e-5)


def test_float16_on_a_cpu_is_refused_before_data_are_read(runs):
    assert "a CPU does not train in float16" in record(runs / "half")["error"]
    assert "data" not in record(runs / "half")["durations"]
    assert "computed in float32" in record(runs / "evaluated_half")["error"]
    assert "Traceback" not in (runs / "errors.txt").read_text()


@pytest.mark.slow
def test_a_stopped_run_with_every_option_goes_on_to_the_same_bits(tmp_path):
    options = (
        *SILENT[1:],
        "dataset.train=900",
        "trainer.max_epochs=4",
        "deterministic=true",
        "callbacks.averaging.decay=0.9",
        "trainer.precision=bf16-mixed",
        "trainer.accumulate_grad_batches=3",
        "trainer.gradient_clip_val=0.5",
        "model.label_smoothing=0.1",
    )
    places = [tmp_path / "whole", tmp_path / "stopped"]
    for place in places:
        place.mkdir()
    done = finish(places[0], *options)
    assert done.returncode == 0, done.stderr
    process = start(places[1], *options)
    wait_for(lambda: places[1].glob("outputs/*/*/checkpoints/last.ckpt"), process)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    done = finish(places[1], "resume=last")
    assert done.returncode == 0, done.stderr
    whole, stopped = map(only_run, places)
    assert record(stopped)["resumed"] == 1
    assert same_weights(whole, stopped) == [True, True]
    contents = [
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
        for folder in (whole, stopped)
    ]
    for name, tensor in contents[0][TRAINED].items():
        assert torch.equal(tensor, contents[1][TRAINED][name]), name
    assert fer_lab.load_run(whole).history.equals(fer_lab.load_run(stopped).history)
    pd.testing.assert_frame_equal(predictions(whole), predictions(stopped), check_exact=True)
