from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

import fer_lab
from fer_lab.errors import DataError
from fer_lab.report.run import Run, load_run, runs
from tests.report.fabricated import write_run
from tests.report.tiny_model import TinyModel

needs_proc = pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs Linux's /proc")


def bare(folder, **record):
    """A run with a record and nothing else."""
    return write_run(folder, splits=(), explained=False, epochs=0, record=record)


def test_metrics_and_predictions_are_of_the_test_set_unless_asked_otherwise(run):
    faces = run.predictions
    assert (faces["label"] == faces["prediction"]).mean() == pytest.approx(
        run.metrics["accuracy"]["value"]
    )
    assert run.metrics_of("val")["split"] == "val"
    assert not run.predictions_of("val").equals(faces)
    assert run.headline_split == "test"


def test_every_fact_of_a_whole_run_can_be_read(run):
    assert run.record["choices"]["split"] == "female"
    assert run.config.model.num_classes == 7
    assert list(run.history["epoch"]) == list(range(8))
    tidy = run.regions.groupby("region")["ior"].mean()
    assert run.explanation["regions"]["mouth"]["ior"] == pytest.approx(tidy["mouth"])
    assert run.patches["nose"].image.shape == (20, 16, 16, 3)
    assert len(run.patches["hat"].id) == len(run.patches["hat"].score) == 3
    assert "neck_l" not in run.patches
    assert run.status == "finished"


def test_facts_are_read_once(run, whole_folder):
    assert run.predictions is run.predictions
    assert Run(whole_folder).metrics is not run.metrics


def test_interpolations_of_the_configuration_stay_as_they_are(run):
    from omegaconf import OmegaConf

    assert OmegaConf.to_container(run.config, resolve=False)["name"] == "${hydra:job.name}"


@pytest.mark.parametrize(
    "part", ["predictions", "metrics", "regions", "explanation", "patches", "history"]
)
def test_a_missing_fact_says_which_file_and_when_it_is_written(tmp_path, part):
    run = load_run(bare(tmp_path / "run"))
    with pytest.raises(DataError) as error:
        getattr(run, part)
    assert "this run has no" in error.value.what
    assert str(tmp_path) in error.value.where
    assert "written" in error.value.hint
    assert run.headline_split is None


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("predictions/test.parquet", "predictions"),
        ("metrics/test.json", "metrics"),
        ("explanations/region_ior.parquet", "regions"),
        ("explanations/patches.npz", "patches"),
        ("metrics/history.csv", "history"),
        (".hydra/config.yaml", "config"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(whole_folder, tmp_path, file, part):
    folder = tmp_path / "run"
    shutil.copytree(whole_folder, folder)
    (folder / file).write_bytes(b'{"half": \x00' if file != "metrics/history.csv" else b"")
    with pytest.raises(DataError, match="cannot be read") as error:
        getattr(load_run(folder), part)
    assert error.value.where.endswith(file)


def test_patches_that_hold_pickled_objects_are_refused(tmp_path):
    folder = bare(tmp_path / "run")
    (folder / "explanations").mkdir()
    parts = {"nose/image": np.array([{}], dtype=object), "nose/score": np.ones(1)}
    np.savez(folder / "explanations" / "patches.npz", **parts, **{"nose/id": np.array(["a"])})
    with pytest.raises(DataError, match=r"patches\.npz cannot be read"):
        _ = load_run(folder).patches


def now():
    return datetime.now(UTC).isoformat()


def running(folder, **record):
    record = {"host": socket.gethostname(), "pid": os.getpid(), "started": now()} | record
    return load_run(bare(folder, status="running", **record))


def test_a_run_whose_process_lives_is_running(tmp_path):
    assert running(tmp_path / "run").status == "running"


def test_a_run_whose_process_is_gone_is_interrupted(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert running(tmp_path / "run", pid=child.pid).status == "interrupted"


@needs_proc
def test_a_zombie_is_not_alive(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    child.stdout.read()  # its end of the pipe closes as it exits, and nobody has waited for it
    run = running(tmp_path / "run", pid=child.pid)
    deadline = datetime.now(UTC).timestamp() + 10
    while run.status == "running" and datetime.now(UTC).timestamp() < deadline:
        pass
    assert run.status == "interrupted"
    child.wait()
    child.stdout.close()


@needs_proc
def test_a_later_process_with_the_same_number_is_not_the_run(tmp_path):
    earlier = running(tmp_path / "run", started="2020-01-01T00:00:00+00:00")
    assert earlier.status == "interrupted"


def test_a_process_on_another_host_is_believed(tmp_path):
    assert running(tmp_path / "run", host="elsewhere", pid=2**30).status == "running"


def test_a_missing_folder_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(DataError, match="no such folder") as error:
        load_run(tmp_path / "nowhere")
    assert error.value.where == str(tmp_path / "nowhere")


def test_a_folder_of_runs_names_one_of_them(tmp_path):
    bare(tmp_path / "outputs" / "a")
    newest = bare(tmp_path / "outputs" / "b")
    with pytest.raises(DataError, match=r"no run\.json") as error:
        load_run(tmp_path / "outputs")
    assert str(newest) in error.value.hint


def test_runs_lists_one_row_per_run_with_choices_and_headline_numbers(whole_folder, tmp_path):
    root = tmp_path / "outputs"
    shutil.copytree(whole_folder, root / "day" / "b")
    bare(root / "day" / "a", started="2026-02-01T10:00:00", name="earlier", seed=7)
    table = fer_lab.runs(root)
    assert list(table["name"]) == ["earlier", "synthetic-female-baseline_cnn-s1"]
    last = table.iloc[1]
    assert (last["dataset"], last["split"], last["tags"]) == ("synthetic", "female", "first, try")
    assert last["test/accuracy"] == pytest.approx(Run(whole_folder).metrics["accuracy"]["value"])
    assert last["seconds"] == 131
    assert last["path"] == str(root / "day" / "b")
    assert table.iloc[0]["seed"] == 7


def test_half_written_folders_are_listed_as_unreadable(tmp_path):
    whole = bare(tmp_path / "whole")
    (tmp_path / "torn").mkdir()
    text = (whole / "run.json").read_text()
    (tmp_path / "torn" / "run.json").write_text(text[: len(text) // 2])
    (tmp_path / "started" / ".hydra").mkdir(parents=True)
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "run.json").write_text("[]")
    bare(tmp_path / "odd", choices="none")
    table = runs(tmp_path)
    table.index = table["path"].str.rpartition("/")[2]
    assert set(table.loc[["torn", "started", "list", "odd"], "status"]) == {"unreadable"}
    assert table.loc["whole", "status"] == "finished"
    assert "run.json" in table.loc["torn", "error"]
    assert "no run.json" in table.loc["started", "error"]
    assert len(table) == 5


def test_folders_inside_a_run_are_not_runs_of_their_own(tmp_path):
    folder = bare(tmp_path / "run")
    bare(folder / "wandb" / "copy")
    assert len(runs(tmp_path)) == 1


def test_no_runs_is_an_empty_table_with_its_columns(tmp_path):
    table = runs(tmp_path)
    assert len(table) == 0
    assert {"path", "status", "dataset", "error"} <= set(table.columns)
    with pytest.raises(DataError):
        runs(tmp_path / "nowhere")


def test_several_datasets_are_one_word(tmp_path):
    bare(tmp_path / "run", choices={"dataset": ["affectnet", "rafdb"]})
    assert runs(tmp_path).loc[0, "dataset"] == "affectnet+rafdb"


def with_checkpoint(folder, **hyper):
    bare(folder)
    (folder / "checkpoints").mkdir()
    model = TinyModel(5)
    model.hparams.update(hyper)
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", barebones=True)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(folder / "checkpoints" / "best.ckpt")
    return model


def test_the_model_comes_back_with_its_weights_and_ready_to_predict(tmp_path):
    model = with_checkpoint(tmp_path / "run")
    loaded = load_run(tmp_path / "run").model()
    assert isinstance(loaded, TinyModel)
    assert torch.equal(loaded.layer.weight, model.layer.weight)
    assert not loaded.training


def test_loading_the_model_fetches_no_pretrained_weights(tmp_path):
    with_checkpoint(tmp_path / "run", weights="imagenet")
    assert load_run(tmp_path / "run").model().layer.out_features == 5


def test_a_checkpoint_with_pickled_code_is_refused(tmp_path):
    with_checkpoint(tmp_path / "run")
    torch.save(
        {"state_dict": {}, "evil": os.system}, tmp_path / "run" / "checkpoints" / "best.ckpt"
    )
    with pytest.raises(DataError, match=r"best\.ckpt cannot be read"):
        load_run(tmp_path / "run").model()


@pytest.mark.parametrize("target", ["tests.report.tiny_model.NoModel", "no.such.Model", "null"])
def test_a_configuration_without_a_model_class_is_an_error(tmp_path, target):
    with_checkpoint(tmp_path / "run")
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text(f"model: {{_target_: {target}}}\n")
    with pytest.raises(DataError, match=r"class|LightningModule") as error:
        load_run(tmp_path / "run").model()
    assert "_target_" in error.value.hint


def test_a_run_without_a_checkpoint_says_so(run):
    with pytest.raises(DataError, match="no last checkpoint"):
        run.checkpoint("last")


def test_the_fabricated_record_is_strict_json(whole_folder):
    for path in whole_folder.rglob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)
