"""How long a training takes to its first batch, against a process that imports its libraries.

Ours is `fer-lab train` on synthetic faces that are cached, without W&B, from the start of its
process until the first batch is handed to the model. The other process executes one `import NAME`
for each library (a top-level package of an installed distribution) that ours has imported by then,
read from its `sys.modules` and in the same order, and does nothing else: hydra, pandas, torch,
pytorch_lightning, torchmetrics, timm, and what these bring along, such as torchvision, scipy,
matplotlib and W&B's own library. Submodules that a library imports later, on being used, are ours.
Both run once before they are measured, in turn afterwards.

Beside the ratio of times stands that of processor time, which other processes disturb less. What
W&B adds, offline, is printed apart: to the time of our process, and in a process of its own.

Target: a ratio of 1.15.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

from benchmarks._ratios import print_ratio

ROOT = Path(__file__).resolve().parents[1]
TARGET = 1.15
SMALL = ("dataset.train=256", "dataset.val=64", "dataset.test=64")

_IMPORTS = """
{imports}
import os, time
print(time.monotonic_ns(), sum(os.times()[:4]))
"""

_WANDB = """
import time, wandb
start = time.monotonic()
wandb.init(mode="offline", dir={folder!r}, project="start_up")
print(time.monotonic() - start, flush=True)
wandb.finish()
"""


@dataclass(frozen=True)
class Taken:
    """What one start took, in seconds on the clock and of processors."""

    wall: float
    cpu: float


def training(folder: Path, *overrides: str) -> tuple[Taken, list[str]]:
    """Start a training.

    Returns:
        What it took to the first batch, and the names of what it had imported by then.
    """
    said = folder / "first_batch.json"
    said.unlink(missing_ok=True)
    run = tempfile.mkdtemp(dir=folder)
    words = [
        *SMALL,
        f"hydra.run.dir={run}",
        "+callbacks.first_batch._target_=benchmarks._first_batch.FirstBatch",
        f"+callbacks.first_batch.path={said}",
        *overrides,
    ]
    start = time.monotonic_ns()
    answer = _run(["-m", "fer_lab.cli", "train", *words], folder)
    if not said.is_file():
        sys.exit(f"the training did not come to its first batch:\n{answer.stderr}")
    found = json.loads(said.read_text())
    return Taken((found["nanoseconds"] - start) / 1e9, found["cpu"]), found["modules"]


def bare(libraries: list[str], folder: Path) -> Taken:
    """Start a process that imports libraries."""
    imports = "\n".join(f"import {name}" for name in libraries)
    start = time.monotonic_ns()
    answer = _run(["-c", _IMPORTS.format(imports=imports)], folder)
    if answer.returncode:
        sys.exit(f"the bare imports failed:\n{answer.stderr}")
    moment, cpu = answer.stdout.split()[-2:]
    return Taken((int(moment) - start) / 1e9, float(cpu))


def libraries_among(modules: list[str]) -> list[str]:
    """Those of other people: neither of Python, nor this project's, nor parts of a library."""
    distributed = packages_distributions()
    own = {"fer_lab", "benchmarks", "tests"}
    return [
        name
        for name in modules
        if name in distributed
        and name not in own | sys.stdlib_module_names
        and not name.startswith("_")
    ]


def wandb_alone(folder: Path) -> float:
    """Seconds of ``wandb.init`` in a process that does nothing else."""
    return float(_run(["-c", _WANDB.format(folder=str(folder))], folder).stdout.split()[0])


def _run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "FER_LAB_CACHE": str(folder / "cache"),
        "WANDB_SILENT": "true",
        "WANDB_CONSOLE": "off",
    }
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description="start-up against bare imports")
    arguments.add_argument("--pairs", type=int, default=7)
    arguments.add_argument("--wandb-runs", type=int, default=3)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        libraries = libraries_among(training(folder, "logger=none")[1])
        bare(libraries, folder)
        print(f"libraries: {', '.join(libraries)}", flush=True)
        pairs = [
            (training(folder, "logger=none")[0], bare(libraries, folder))
            for _ in range(options.pairs)
        ]
        ours, other = (statistics.median(pair[arm].wall for pair in pairs) for arm in (0, 1))
        print_ratio(
            "to the first batch",
            [(one.wall, two.wall) for one, two in pairs],
            TARGET,
            f"{ours:.2f} s, imports {other:.2f} s",
        )
        processor = statistics.median(one.cpu / two.cpu for one, two in pairs)
        print(f"{'of processor time':<28} ratio {processor:.3f}", flush=True)
        runs = [
            (training(folder, "logger=wandb")[0].wall, wandb_alone(folder))
            for _ in range(options.wandb_runs)
        ]
        tracked, alone = (statistics.median(run[arm] for run in runs) for arm in (0, 1))
        print(
            f"{'with W&B, offline':<28} {tracked - ours:.2f} s more; "
            f"wandb.init alone {alone:.2f} s   no target"
        )


if __name__ == "__main__":
    main()
