"""Starting real trainings, small enough for a test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

SMALL = (
    "dataset.train=280",
    "dataset.val=140",
    "dataset.test=141",
    "recipe.image_size=48",
    "trainer.max_epochs=2",
    "callbacks.fairness.resamples=100",
    "explain.max_samples=40",
)


def command(*overrides: str, task: str = "train") -> list[str]:
    return [sys.executable, "-m", "fer_lab.cli", task, *overrides]


def start(folder: Path, *overrides: str, **options: Any) -> subprocess.Popen[str]:
    """A training as a process of its own, in ``folder``."""
    return subprocess.Popen(
        command(*overrides),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "100", **options},
        # Shells let background jobs ignore Ctrl-C, and children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(folder: Path, *overrides: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a training to its end."""
    process = start(folder, *overrides, **options)
    out, err = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_task(
    place: Path, task: str, *overrides: str
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The run folder that a task has left in ``place``, and what it printed."""
    place.mkdir(exist_ok=True)
    done = subprocess.run(
        command(*overrides, task=task), cwd=place, capture_output=True, text=True, check=False
    )
    return only_run(place), done


def only_run(folder: Path) -> Path:
    """The one run's folder below ``outputs``."""
    (found,) = folder.glob("outputs/*/*/run.json")
    return found.parent


def jobs_of(place: Path) -> list[Path]:
    """The runs' folders of the sweeps below ``multirun``."""
    return sorted(path.parent for path in place.glob("multirun/*/*/*/run.json"))


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())
