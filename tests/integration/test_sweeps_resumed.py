"""Sweeps that go on: killed half-way, with other data or options than before, as a search."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fer_lab.data.vocabulary import EXPRESSIONS
from tests.integration.runs import SMALL, command, finish, jobs_of, record
from tests.layouts.affectnet import write_image
from tests.sweeping.conftest import needs

pytestmark = pytest.mark.slow

TRAINING = (*SMALL, "dataset.train=210", "dataset.val=70", "dataset.test=70", "explain=none")
TRAINING += ("recipe.batch_size=16", "trainer.max_epochs=3", "logger=none")
FOUR = ("--multirun", "seed=1,2,3,4", *TRAINING)


def killed(place: Path, words: tuple[str, ...], job: int = 1) -> Path:
    """The folder of a sweep all of whose processes were killed in a job, after an epoch of it."""
    place.mkdir()
    process = subprocess.Popen(
        command(*words),
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 400
    while not list(place.glob(f"multirun/*/*/{job}/checkpoints/last.ckpt")):
        assert process.poll() is None, "the sweep has ended by itself"
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (found,) = place.glob("multirun/*/*/sweep.json")
    return found.parent


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> list[Path]:
    """The jobs of a sweep that nobody has interrupted."""
    place = tmp_path_factory.mktemp("unbroken")
    done = finish(place, *FOUR)
    assert done.returncode == 0, done.stderr
    return jobs_of(place)


@pytest.mark.parametrize(
    ("launcher", "resume"),
    [
        ((), "last"),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"), "{sweep}"),
    ],
    ids=["basic", "joblib"],
)
def test_a_killed_sweep_goes_on_and_ends_as_an_unbroken_one(tmp_path, unbroken, launcher, resume):
    if launcher:
        needs("joblib")
    place = tmp_path / "killed"
    sweep = killed(place, (*FOUR, *launcher))
    before = {job: record(job) for job in jobs_of(place)}
    ended = {job: (job / "run.json").read_bytes() for job, each in before.items() if each["ended"]}
    assert (sweep / "1") in before
    assert (sweep / "1") not in ended
    done = finish(place, "--multirun", f"resume={resume.format(sweep=sweep)}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished before") == len(ended)
    assert "continued" in done.stdout
    assert "4 finished" in done.stdout
    assert all((job / "run.json").read_bytes() == content for job, content in ended.items())
    assert record(sweep / "1")["resumed"] == 1
    for job, whole in zip(jobs_of(place), unbroken, strict=True):
        assert record(job)["summary"] == record(whole)["summary"]
        ours, theirs = weights(job), weights(whole)
        assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())
        assert {path.name for path in (job / ".hydra").iterdir()} == {
            path.name for path in (whole / ".hydra").iterdir()
        }


def test_jobs_with_other_options_or_other_data_than_before_are_done_anew(tmp_path):
    faces, options = tmp_path / "faces", tmp_path / "options"
    for label, expression in enumerate(EXPRESSIONS[:3]):
        (faces / expression).mkdir(parents=True)
        for number in range(20):
            write_image(faces / expression / f"{number}.jpg", label, np.random.default_rng(number))
    (options / "experiment").mkdir(parents=True)

    def write_option(name: str, rate: float) -> None:
        text = f"# @package _global_\nmodel: {{optimizer: {{lr: {rate}}}}}\n"
        (options / "experiment" / f"{name}.yaml").write_text(text)

    write_option("calm", 1e-4)
    write_option("bold", 1e-3)
    words = ("dataset=folder", f"dataset.root={faces}", "attributes=[]", "explain=none")
    words += ("classes=[neutral,happy,sad]", "recipe.image_size=48", "trainer.max_epochs=1")
    words += (f"hydra.searchpath=[file://{options}]", "logger=none", "data.num_workers=0")
    begun = finish(tmp_path, "--multirun", "experiment=calm,bold", *words)
    assert begun.returncode == 0, begun.stderr
    (sweep,) = (path.parent for path in tmp_path.glob("multirun/*/*/sweep.json"))
    first = [record(job) for job in jobs_of(tmp_path)]

    def again() -> tuple[str, list[dict[str, Any]]]:
        done = finish(tmp_path, f"resume={sweep}", FER_LAB_TRUST=str(sweep))
        assert done.returncode == 0, done.stderr
        return done.stdout, [record(sweep / job) for job in "01"]

    write_option("bold", 2e-3)
    said, second = again()
    assert "finished before" in said
    assert "redone" in said
    assert second[0] == first[0]
    assert second[1]["summary"] != first[1]["summary"]
    assert "lr: 0.002" in (sweep / "1" / ".hydra" / "config.yaml").read_text()
    assert "train.log" in {path.name for path in (sweep / "1").iterdir()}

    write_image(faces / "happy" / "more.jpg", 1, np.random.default_rng(99))
    said, third = again()
    assert "finished before" not in said
    assert said.count("redone") == 2
    assert {each["fingerprint"] for each in third}.isdisjoint({first[0]["fingerprint"]})
    aside = {path.name for path in (sweep / ".replaced").iterdir()}
    assert aside == {"0-1", "1-1", "1-2"}


SEARCH = ("--multirun", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "logger=none")


def test_a_killed_search_ends_with_a_front_without_collapsed_runs_that_every_list_shows(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    varied = ("model.optimizer.lr=choice(1e-9,1e-3,3e-3)", "seed=choice(1,2)")
    learnt = ("classes=[neutral,happy,surprise]", "population=fair", "augment=none")
    learnt += ("model.dropout=0", "recipe.batch_size=16", "dataset.train=600", "dataset.test=70")
    place = tmp_path / "search"
    words = (*SEARCH, *varied, *SMALL, *learnt, "trainer.max_epochs=4", "explain=none")
    sweep = killed(place, words, job=2)
    begun = [record(sweep / job)["sweep"]["choices"] for job in "012"]
    done = finish(place, "--multirun", "resume=last")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Failed experiment" not in done.stderr  # Optuna's words for a run that is left out
    assert done.stdout.count("finished before") == 2
    assert done.stdout.count("continued") == 1
    records = [record(folder) for folder in jobs_of(place)]
    assert [each["sweep"]["choices"] for each in records[:3]] == begun
    assert len(records) == 4
    summaries = {str(job): each["summary"] for job, each in enumerate(records)}
    kept = {
        job: (found["val/accuracy"], -found["val/fairness/bias"])
        for job, found in summaries.items()
        if not found["val/collapsed"]
    }
    assert 0 < len(kept) < 4
    front = {
        job
        for job, own in kept.items()
        if not any(all(np.array(other) >= own) and other != own for other in kept.values())
    }
    with (sweep / "pareto.csv").open(newline="") as file:
        assert {row["job"] for row in csv.DictReader(file)} == front
    assert {str(job) for job, each in enumerate(records) if "pareto" in each["tags"]} == front
    starred = {line.split("*")[0] for line in done.stdout.splitlines() if line[1:2] == "*"}
    assert starred == front
