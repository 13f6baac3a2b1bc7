"""What a sweep costs beside its jobs, and what two jobs beside each other save.

Overhead: four small trainings as one `--multirun`, one after the other, against a loop that starts
a process for each; by Hydra's own launcher and by joblib's with one worker. Everything counts, from
the start of the first process to the end of the last one, the jobs' audits and reports, too.

Two at once: two longer trainings as a sweep of Hydra's own launcher, which runs one after the
other, against joblib's with two workers and against submitit's, which starts a process for each.
Every process has one thread (`OMP_NUM_THREADS=1`) and loads images itself.

The data are rendered before. Beside the ratio of times stands that of processor time, of all
processes together.

Targets: 1.1 of the loop's time; 1.6 times faster two at once.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks._ratios import print_ratio

OVERHEAD, SPEED_UP = 1.1, 1.6
COMMON = ("logger=none", "data.num_workers=0", "trainer.accelerator=cpu")
SMALL = ("dataset.train=256", "dataset.val=64", "dataset.test=64", "trainer.max_epochs=1")
LONG = ("dataset.train=2000", "dataset.val=500", "dataset.test=500")

JOBLIB = "hydra/launcher=joblib"
ONE_BY_ONE = {
    "sweep": (),
    "sweep by joblib": (JOBLIB, "hydra.launcher.n_jobs=1"),
}
TWO_AT_ONCE = {
    "two by joblib": (JOBLIB, "hydra.launcher.n_jobs=2"),
    "two by submitit": ("hydra/launcher=submitit_local",),
}


@dataclass(frozen=True)
class Taken:
    """What commands took, in seconds on the clock and of processors."""

    wall: float
    cpu: float


class Bench:
    """Commands with a cache, a clock and folders of their own.

    Args:
        folder: of everything that they write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()

    def loop(self, jobs: int, *words: str) -> Taken:
        """A process for each seed, one after the other."""
        places = [self._fresh() for _ in range(jobs)]
        return self._timed(
            *([*words, f"seed={k}", f"hydra.run.dir={place}"] for k, place in enumerate(places, 1))
        )

    def sweep(self, jobs: int, *words: str) -> Taken:
        """All seeds from one command."""
        seeds = ",".join(str(k) for k in range(1, jobs + 1))
        place = self._fresh()
        taken = self._timed(["--multirun", *words, f"seed={seeds}", f"hydra.sweep.dir={place}"])
        if len(list(place.glob("*/report.html"))) != jobs:
            sys.exit(f"not all jobs have ended: {place}")
        return taken

    def _fresh(self) -> Path:
        return self.folder / str(next(self._numbers))

    def _timed(self, *commands: list[str]) -> Taken:
        start, before = time.perf_counter(), _children_cpu()
        for words in commands:
            answer = subprocess.run(
                [sys.executable, "-m", "fer_lab.cli", "train", *words, *COMMON],
                cwd=self.folder,
                env={
                    **os.environ,
                    "FER_LAB_CACHE": str(self.folder / "cache"),
                    "OMP_NUM_THREADS": "1",
                },
                capture_output=True,
                text=True,
                check=False,
            )
            if answer.returncode:
                sys.exit(f"{' '.join(words)}\n{answer.stdout}\n{answer.stderr}")
        return Taken(time.perf_counter() - start, _children_cpu() - before)


def _children_cpu() -> float:
    """Seconds of processors in processes that this one has started and seen end."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def overhead(bench: Bench, jobs: int, rounds: int) -> None:
    """A line for each way to run one after the other."""
    bench.loop(1, *SMALL)
    taken: dict[str, list[tuple[Taken, Taken]]] = {name: [] for name in ONE_BY_ONE}
    for _ in range(rounds):
        bare = bench.loop(jobs, *SMALL)
        for name, words in ONE_BY_ONE.items():
            taken[name].append((bench.sweep(jobs, *SMALL, *words), bare))
    for name, pairs in taken.items():
        ours, loop = (statistics.median(pair[arm].wall for pair in pairs) / jobs for arm in (0, 1))
        processor = statistics.median(one.cpu / two.cpu for one, two in pairs)
        print_ratio(
            name,
            [(one.wall, two.wall) for one, two in pairs],
            OVERHEAD,
            f"{ours:.2f} s a job, loop {loop:.2f} s, of processor time {processor:.2f}",
        )


def two_at_once(bench: Bench, epochs: int, rounds: int) -> None:
    """A line for each way to run two jobs beside each other."""
    words = (*LONG, f"trainer.max_epochs={epochs}")
    bench.loop(1, *LONG, "trainer.max_epochs=1", "explain=none")
    taken: dict[str, list[tuple[Taken, Taken]]] = {name: [] for name in TWO_AT_ONCE}
    for _ in range(rounds):
        after = bench.sweep(2, *words)
        for name, launcher in TWO_AT_ONCE.items():
            taken[name].append((after, bench.sweep(2, *words, *launcher)))
    for name, pairs in taken.items():
        faster = sorted(after.wall / beside.wall for after, beside in pairs)
        median = statistics.median(faster)
        both, single = (statistics.median(pair[arm].wall for pair in pairs) for arm in (1, 0))
        print(
            f"{name:<28} {both:.1f} s, one after the other {single:.1f} s   "
            f"{median:.2f} times faster ({faster[0]:.2f} to {faster[-1]:.2f}, {len(faster)} "
            f"{'pair' if len(faster) == 1 else 'pairs'})   "
            f"target {SPEED_UP}: {'ok' if median >= SPEED_UP else 'BELOW TARGET'}",
            flush=True,
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description="sweeps against loops of processes")
    arguments.add_argument("--jobs", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--epochs", type=int, default=5, help="of the longer trainings")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place))
        overhead(bench, options.jobs, options.rounds)
        two_at_once(bench, options.epochs, options.rounds)


if __name__ == "__main__":
    main()
