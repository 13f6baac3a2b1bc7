"""How jobs beside each other share a machine: its processors, and the terminal."""

from __future__ import annotations

import io
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from omegaconf import DictConfig, OmegaConf

from fer_lab.data.processors import PROCESSORS, processor_count
from fer_lab.sweeping.words import as_typed

_THREADS = "OMP_NUM_THREADS"


def processors_of_a_job(config: DictConfig) -> int | None:
    """The processors of each of the jobs that a launcher runs at the same time.

    Args:
        config: of the whole sweep, on the machine that has begun it.

    Returns:
        A number from 1 on, or None where a job has all that its process may use: one job after the
        other, SLURM that was not asked for a number, a launcher that is not known here.
    """
    launcher = config.hydra.launcher
    share = _SHARES.get(str(launcher._target_).rsplit(".", 1)[-1])
    return None if share is None else share(launcher, config.hydra.sweeper, _swept(config))


def take_share(processors: int | None, *, threads_given: bool) -> None:
    """Let this process, which a launcher has started for jobs, use so many processors.

    Args:
        processors: as of `processors_of_a_job`.
        threads_given: whether ``OMP_NUM_THREADS`` was set by whoever began the sweep: it stays.
    """
    if processors is None:
        return
    os.environ[PROCESSORS] = str(processors)
    if not threads_given:
        import torch

        os.environ[_THREADS] = str(processors)
        torch.set_num_threads(processors)  # which reads the variable only when it is imported


def threads_are_given() -> bool:
    """Whether ``OMP_NUM_THREADS`` is set: launchers set it as well in the processes they start."""
    return _THREADS in os.environ


@contextmanager
def marked_lines(mark: str) -> Iterator[None]:
    """Put a mark before each line that is printed or logged to the terminal in the block.

    Several jobs print on one terminal: without it nobody knows which of them has said what. There
    are no progress bars meanwhile, which would be drawn over the other jobs' lines.
    """
    before = sys.stdout, sys.stderr
    marked = _Marked(sys.stdout, mark), _Marked(sys.stderr, mark)
    handlers = [
        (handler, marked[before.index(handler.stream)], handler.stream)
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in before
    ]
    sys.stdout, sys.stderr = marked
    for handler, stream, _ in handlers:
        handler.setStream(stream)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for handler, _, stream in handlers:
            handler.setStream(stream)


class _Marked(io.TextIOBase):
    """A stream that is no terminal, with a mark before each of its lines."""

    def __init__(self, stream: TextIO, mark: str) -> None:
        self._stream = stream
        self._mark = mark
        self._begins = True

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def write(self, text: str) -> int:
        lines = io.StringIO(text).readlines()
        # In one piece: the lines of other processes stay whole, and so do these.
        self._stream.write(
            "".join(
                line if number == 0 and not self._begins else f"{self._mark}{line}"
                for number, line in enumerate(lines)
            )
        )
        if lines:
            self._begins = lines[-1].endswith("\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


def _of_joblib(launcher: DictConfig, sweeper: DictConfig, swept: list[str]) -> int:
    from joblib import effective_n_jobs

    return _share(min(effective_n_jobs(launcher.n_jobs), _at_most(sweeper, swept)))


def _of_submitit(launcher: DictConfig, sweeper: DictConfig, swept: list[str]) -> int:
    return int(launcher.cpus_per_task or _share(_at_most(sweeper, swept)))


def _of_slurm(launcher: DictConfig, *_: object) -> int | None:
    return None if launcher.cpus_per_task is None else int(launcher.cpus_per_task)


def _of_ray(launcher: DictConfig, *_: object) -> int:
    # Ray gives a task one processor unless it asks for others, and counts fractions too.
    return max(1, int(OmegaConf.select(launcher, "ray.remote.num_cpus") or 1))


_SHARES: dict[str, Callable[[DictConfig, DictConfig, list[str]], int | None]] = {
    "JoblibLauncher": _of_joblib,
    "LocalLauncher": _of_submitit,
    "SlurmLauncher": _of_slurm,
    "RayLauncher": _of_ray,
}


def _share(jobs: int) -> int:
    return max(1, processor_count() // jobs)


def _at_most(sweeper: DictConfig, swept: list[str]) -> int:
    """How many jobs a sweeper hands to its launcher at once: a search one round, others all."""
    if "n_jobs" in sweeper:
        return int(sweeper.n_jobs)
    given = OverridesParser.create().parse_overrides(swept)
    if any(isinstance(each.value(), Glob) for each in given):
        return processor_count()  # Hydra alone knows how many options match
    discrete = [each for each in given if each.is_discrete_sweep()]
    jobs = math.prod(len(list(each.sweep_string_iterator())) for each in discrete)
    return min(jobs, int(sweeper.get("max_batch_size") or jobs))


def _swept(config: DictConfig) -> list[str]:
    own = OmegaConf.select(config, "hydra.sweeper.params") or {}
    return [
        *(f"{key}={value}" for key, value in own.items()),
        *as_typed(config.hydra.overrides.task),
    ]
