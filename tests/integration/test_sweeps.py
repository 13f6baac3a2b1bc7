"""Several runs from one command: one folder, one record and one W&B run each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fer_lab.data.processors import processor_count
from tests.integration.runs import SMALL, command, finish, jobs_of, record
from tests.sweeping.conftest import needs

ROOT = Path(__file__).parents[2]
QUICK = (*SMALL, "dataset.train=140", "trainer.max_epochs=1", "explain=none")
# What a launcher is told, and what it is called on the command line.
LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit_local": ("hydra/launcher=submitit_local",),
    "ray": ("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"),
}


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
def test_every_launcher_runs_four_jobs_as_the_basic_one_does_each_on_its_share(
    tmp_path, launcher, monkeypatch
):
    needs(launcher)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    probe = "{_target_: tests.integration.probing.Shares, folder: '${hydra:runtime.output_dir}'}"
    paths = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "FER_LAB_TRUST": "tests"}
    words = (*FOUR, *LAUNCHERS[launcher], f"+callbacks.probe={probe}")
    check_four_jobs(tmp_path, finish(tmp_path, *words, **paths))
    beside = {"joblib": 2, "submitit_local": 4, "ray": processor_count()}[launcher]
    share = max(1, processor_count() // beside)
    for folder in jobs_of(tmp_path)[2:]:
        shares = json.loads((folder / "shares.json").read_text())
        assert shares == {"threads": share, "loading": min(share, 8)}


@pytest.mark.parametrize("sweeper", ["basic", "optuna"])
def test_several_processes_within_a_job_are_refused_by_every_sweeper(tmp_path, sweeper):
    if sweeper == "optuna":
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    many = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2") if sweeper == "optuna" else ()
    words = ("--multirun", "seed=1,2", "trainer.devices=2", "logger=none", *QUICK)
    done = finish(tmp_path, *words, *many)
    assert done.returncode == 1
    assert "several processes inside a multirun train wrongly" in done.stderr
    assert "2 failed" in done.stderr
    assert [record(folder)["status"] for folder in jobs_of(tmp_path)] == ["failed", "failed"]


def test_slurm_is_composed_and_says_where_it_is_not(tmp_path):
    needs("submitit_slurm")
    words = ("hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu")
    shown = typed(tmp_path, *words, "--cfg", "hydra").stdout
    assert "partition: gpu" in shown
    assert "SlurmLauncher" in shown
    done = typed(tmp_path, "--multirun", "seed=1,2", *words, *QUICK)
    assert done.returncode == 1
    assert "srun" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_launcher_that_is_not_installed_names_its_extra(tmp_path):
    without = (
        "import sys; sys.modules['hydra_plugins.hydra_ray_launcher'] = None;"
        "from fer_lab.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ("train", "--multirun", "seed=1,2", "hydra/launcher=ray", *QUICK)
    done = subprocess.run(
        [sys.executable, "-c", without, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "fer-lab[ray]" in done.stderr
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
