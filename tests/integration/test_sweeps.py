"""Several runs from one command: one folder, one record and one W&B run each."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.integration.runs import SMALL, command, finish, record, start

QUICK = (*SMALL, "trainer.max_epochs=1", "explain=none")
# What a launcher is told, and what it is called on the command line.
LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit": ("hydra/launcher=submitit_local",),
    "ray": ("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"),
}


def jobs_of(place: Path) -> list[Path]:
    return sorted(path.parent for path in place.glob("multirun/*/*/*/run.json"))


def sent_to_wandb(folder: Path) -> dict[str, Any]:
    """What the offline run of a job says of itself."""
    (offline,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    tool = Path(sys.executable).with_name("wandb")
    words = [tool, "leet", "inspect", "--json", str(offline)]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return {kind: part[kind] for part in map(json.loads, lines) if (kind := part["type"]) in part}


def typed(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=place, capture_output=True, text=True, check=False)


def check_four_jobs(place: Path, done: subprocess.CompletedProcess[str]) -> None:
    """Two of four jobs failed: the others went on, and everything says which and why."""
    assert done.returncode == 1
    assert "2 failed, 2 finished" in done.stderr
    assert "Traceback" not in done.stderr
    assert "gender is never 'woman'" in done.stderr
    folders = jobs_of(place)
    assert [folder.name for folder in folders] == ["0", "1", "2", "3"]
    records = [record(folder) for folder in folders]
    assert [each["status"] for each in records] == ["failed", "failed", "finished", "finished"]
    assert "never 'woman'" in records[0]["error"]
    expected = [
        [f"split.where.gender=[{gender}]", f"seed={seed}"]
        for gender in ("woman", "female")
        for seed in (1, 2)
    ]
    assert [each["sweep"]["choices"] for each in records] == expected
    assert len({each["wandb"]["id"] for each in records}) == 4
    for folder, each, choices in zip(folders, records, expected, strict=True):
        sent = sent_to_wandb(folder)
        assert sent["run"]["run_group"] == each["sweep"]["folder"] == str(folder.parent.resolve())
        assert set(sent["run"]["tags"]) == set(choices)
        assert sent["exit"].get("exit_code", 0) == (0 if each["status"] == "finished" else 1)


FOUR = ("--multirun", "split.where.gender=[woman],[female]", "seed=1,2", *QUICK)


def test_each_job_is_a_run_of_its_own_and_one_that_fails_stops_no_other(tmp_path):
    check_four_jobs(tmp_path, finish(tmp_path, *FOUR))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_every_launcher_runs_four_jobs_as_the_basic_one_does(tmp_path, launcher):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher")
    check_four_jobs(tmp_path, finish(tmp_path, *FOUR, *LAUNCHERS[launcher]))


@pytest.mark.parametrize(
    "launcher", ["basic", *(pytest.param(name, marks=pytest.mark.slow) for name in LAUNCHERS)]
)
def test_several_processes_within_a_job_are_refused_in_every_launcher(tmp_path, launcher):
    if launcher != "basic":
        pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher")
    words = ("--multirun", "seed=1,2", "trainer.devices=2", "logger=none", *QUICK)
    done = finish(tmp_path, *words, *LAUNCHERS.get(launcher, ()))
    assert done.returncode == 1
    assert "several processes inside a multirun train wrongly" in done.stderr
    assert [record(folder)["status"] for folder in jobs_of(tmp_path)] == ["failed", "failed"]


def test_slurm_is_composed_and_says_where_it_is_not(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    words = ("hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu")
    shown = typed(tmp_path, *words, "--cfg", "hydra").stdout
    assert "partition: gpu" in shown
    assert "SlurmLauncher" in shown
    done = typed(tmp_path, "--multirun", "seed=1,2", *words, *QUICK)
    assert done.returncode == 1
    assert "srun" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_launcher_that_is_not_installed_names_its_extra(tmp_path):
    done = typed(tmp_path, "--multirun", "seed=1,2", "hydra/launcher=ray", *QUICK)
    if "fer-lab[ray]" not in done.stderr:
        pytest.importorskip("hydra_plugins.hydra_ray_launcher")
        pytest.skip("ray is installed")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not jobs_of(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--multirun", "resume={sweep}", "seed=3"), "with nothing else set"),
        (("--multirun", "resume={run}"), "holds no sweep"),
        (("--multirun", "resume=last"), "no sweep to resume"),
        (("resume={evaluations}",), "a sweep of fer-lab evaluate"),
    ],
)
def test_a_sweep_is_resumed_alone_and_as_a_whole(tmp_path, words, said):
    for name, task in (("sweep", "train"), ("evaluations", "evaluate")):
        (tmp_path / name).mkdir()
        content = {"task": task, "words": ["--multirun", "seed=1,2"]}
        (tmp_path / name / "sweep.json").write_text(json.dumps(content))
    (tmp_path / "run").mkdir()
    places = {name: str(tmp_path / name) for name in ("sweep", "run", "evaluations")}
    done = typed(tmp_path, *(word.format(**places) for word in words))
    assert done.returncode == 1
    assert said in done.stderr


def killed_sweep(place: Path, words: tuple[str, ...]) -> Path:
    """The folder of a sweep that was killed in its second job, after an epoch of it."""
    process = start(place, *words)
    end = time.monotonic() + 400
    while not list(place.glob("multirun/*/*/1/checkpoints/last.ckpt")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (found,) = place.glob("multirun/*/*/sweep.json")
    return found.parent


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_ends_as_an_unbroken_one(tmp_path):
    small = (*SMALL, "dataset.train=700", "trainer.max_epochs=3", "explain=none", "logger=none")
    words = ("--multirun", "seed=1,2,3", *small)
    sweep = killed_sweep(_made(tmp_path / "killed"), words)
    first = (sweep / "0" / "run.json").read_bytes()
    done = finish(tmp_path / "killed", "--multirun", f"resume={sweep}")
    assert done.returncode == 0, done.stderr
    assert "finished before" in done.stdout
    assert "continued" in done.stdout
    assert (sweep / "0" / "run.json").read_bytes() == first
    assert [record(sweep / job).get("resumed") for job in "012"] == [0, 1, 0]
    assert finish(_made(tmp_path / "whole"), *words).returncode == 0
    for job, unbroken in enumerate(jobs_of(tmp_path / "whole")):
        ours = sweep / str(job)
        assert record(ours)["summary"] == record(unbroken)["summary"]
        assert all(torch.equal(w, weights(unbroken)[name]) for name, w in weights(ours).items())
        assert (ours / ".hydra" / "overrides.yaml").read_text() == (
            unbroken / ".hydra" / "overrides.yaml"
        ).read_text()
        assert len(list(sweep.glob(f"{job}/.hydra/*.yaml"))) == 3

    # Other data under the same words: nothing of the old sweep stands for it.
    path = sweep / "1" / "run.json"
    path.write_text(json.dumps(record(sweep / "1") | {"fingerprint": "of other data"}))
    again = finish(tmp_path / "killed", f"resume={sweep}")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("finished before") == 2
    assert "redone" in again.stdout
    assert (sweep / ".replaced" / "1-1" / "run.json").is_file()
    assert record(sweep / "1")["summary"] == record(jobs_of(tmp_path / "whole")[1])["summary"]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


SEARCH = ("--multirun", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "logger=none")


@pytest.mark.slow
def test_a_search_has_a_front_without_collapsed_runs_and_goes_on_with_the_same_proposals(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    varied = ("model.optimizer.lr=choice(1e-9,1e-3,3e-3)", "seed=choice(1,2)")
    learnt = ("classes=[neutral,happy,surprise]", "population=fair", "augment=none")
    learnt += ("model.dropout=0", "recipe.batch_size=16", "dataset.train=600")
    words = (*SMALL, *learnt, "trainer.max_epochs=4", "explain=none")
    done = finish(tmp_path, *SEARCH, *varied, *words)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (sweep,) = (path.parent for path in tmp_path.glob("multirun/*/*/sweep.json"))
    records = [record(folder) for folder in jobs_of(tmp_path)]
    assert len(records) == 4
    kept = [
        (each["summary"]["val/accuracy"], -each["summary"]["val/fairness/bias"], str(job))
        for job, each in enumerate(records)
        if not each["summary"]["val/collapsed"]
    ]
    assert kept
    front = {
        job
        for accuracy, fairness, job in kept
        if not any(
            a >= accuracy and f >= fairness and (a, f) != (accuracy, fairness) for a, f, _ in kept
        )
    }
    with (sweep / "pareto.csv").open(newline="") as file:
        assert {row["job"] for row in csv.DictReader(file)} == front
    assert {str(k) for k, each in enumerate(records) if "pareto" in each["tags"]} == front
    asked = [each["sweep"]["choices"] for each in records]
    again = finish(tmp_path, "--multirun", "resume=last")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("finished before") == 4
    assert [record(folder)["sweep"]["choices"] for folder in jobs_of(tmp_path)] == asked


def test_a_search_by_the_test_set_is_refused_before_anything_runs(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    done = typed(tmp_path, *SEARCH, "objectives.maximize=[test/accuracy]", *QUICK)
    assert done.returncode == 1
    assert "test/accuracy is no figure of the validation faces" in done.stderr
    assert not jobs_of(tmp_path)
