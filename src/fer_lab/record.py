"""``run.json``: what a run is and how it ended, true at every moment.

A run that is killed cannot say so: it is found as ``running`` with a dead process.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fer_lab.confidential import masked
from fer_lab.errors import ConfigError
from fer_lab.files import write_json
from fer_lab.report.roots import ROOTS
from fer_lab.report.run import Run, load_run, runs

RECORD = "run.json"

_PACKAGES = (
    "fer-lab", "torch", "torchvision", "pytorch-lightning", "hydra-core", "omegaconf", "timm",
    "torchmetrics", "captum", "facexlib", "wandb", "pandas", "numpy", "opencv-python",
)  # fmt: skip


class RunRecord:
    """The record of one run, written at its start, at every change and at its end.

    Args:
        folder: the run's folder.
        content: what is known at the start (name, task, seed, choices, …).
        write: only one process of a job writes.
    """

    def __init__(self, folder: Path, content: Mapping[str, Any], *, write: bool = True) -> None:
        self.folder = folder
        self._write = write
        self._started = time.monotonic()
        earlier = load_run(folder).record if (folder / RECORD).is_file() else {}
        self.content: dict[str, Any] = {
            **earlier,
            **content,
            "status": "running",
            "error": None,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": _now(),
            "ended": None,
            "versions": {
                "python": platform.python_version(),
                "platform": platform.platform(),
                **versions(_PACKAGES),
            },
            "git": _git(),
            "first_started": earlier.get("first_started", _now()),
            "resumed": earlier.get("resumed", 0) + bool(earlier),
        }
        self.durations: dict[str, float] = dict(earlier.get("durations", {}))
        self._earlier_total = self.durations.get("total", 0.0)
        self.save()

    def save(self) -> None:
        """Write the record as it stands."""
        self.durations["total"] = self._earlier_total + time.monotonic() - self._started
        self.content["durations"] = {k: round(v, 2) for k, v in self.durations.items()}
        if self._write:
            write_json(self.folder / RECORD, masked(self.content), in_place=True)

    def update(self, **facts: Any) -> None:
        """Add facts and write."""
        self.content.update(facts)
        self.save()

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the block's seconds to ``durations[part]``."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.durations[part] = self.durations.get(part, 0.0) + time.monotonic() - start

    def close(self, status: str, error: str | None = None) -> None:
        """State how the run ended: ``finished``, ``failed`` or ``interrupted``."""
        self.update(status=status, error=error, ended=_now())


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Keep every other process from the run in ``folder`` while the block lasts.

    Two that resume one run at the same time would both find it interrupted. The lock ends with the
    process, however that ends, and the loading processes that it forks do not hold it.

    Args:
        folder: which exists.

    Raises:
        ConfigError: when another process has the run.
    """
    with (folder / ".lock").open("w") as file:
        try:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (ImportError, OSError) as error:
            # Windows and some network file systems have no such locks.
            if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EAGAIN):
                raise ConfigError(
                    "another process is at work on that run",
                    where=folder,
                    hint="stop it first, or wait for it",
                ) from error
        yield


def find_resumable(wanted: str, roots: tuple[str, ...] = ROOTS) -> Run:
    """The run to go on with.

    Args:
        wanted: a run's folder, or ``last``: the newest run that was interrupted, or that says
            ``running`` while its process is dead.
        roots: where ``last`` looks.

    Raises:
        ConfigError: when there is no such run, it has ended, or it still runs.
        DataError: when the folder holds no run.
    """
    if wanted == "last":
        found = [
            load_run(path) for root in roots if Path(root).is_dir() for path in _interrupted(root)
        ]
        if not found:
            raise ConfigError(
                "no run to resume",
                where=", ".join(str(Path(root).resolve()) for root in roots),
                hint="resume=last takes interrupted runs only; name another as resume=FOLDER",
            )
        return max(found, key=lambda run: str(run.record.get("started")))
    run = load_run(Path(wanted).expanduser())
    if run.status == "finished":
        raise ConfigError("that run has finished", where=run.path, hint="start a new one")
    if run.status == "running":
        raise ConfigError(
            f"that run still runs, as process {run.record.get('pid')} on {run.record.get('host')}",
            where=run.path,
            hint="stop it first, or wait for it",
        )
    return run


def find_checkpoint(wanted: str, roots: tuple[str, ...] = ROOTS) -> Path:
    """The file of a trained model.

    Args:
        wanted: a checkpoint file, a run's folder (its best checkpoint, else its last), or
            ``last``: the newest run that has one.
        roots: where ``last`` looks.

    Raises:
        ConfigError: when no run has a checkpoint.
        DataError: when there is no such file, or the folder holds no run or none with a
            checkpoint.
    """
    if wanted == "last":
        found = [
            path
            for root in roots
            if Path(root).is_dir()
            for path in Path(root).glob("*/*/**/checkpoints/best.ckpt")
        ]
        if not found:
            raise ConfigError(
                "no run has a checkpoint",
                where=", ".join(str(Path(root).resolve()) for root in roots),
                hint="name one as checkpoint=FOLDER or checkpoint=FILE",
            )
        return max(found, key=lambda path: path.stat().st_mtime)
    path = Path(wanted).expanduser()
    if not path.is_dir():
        return path
    run = load_run(path)
    last = run.path / "checkpoints" / "last.ckpt"
    best = run.path / "checkpoints" / "best.ckpt"
    return last if last.is_file() and not best.is_file() else run.checkpoint("best")


def _interrupted(root: str) -> list[str]:
    table = runs(root)
    return [str(path) for path in table.loc[table["status"] == "interrupted", "path"]]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git() -> dict[str, Any]:
    """The commit of the code that runs, or of the folder it is run in."""

    def ask(*words: str) -> str | None:
        try:
            answer = subprocess.run(
                ["git", *words], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    changed = ask("status", "--porcelain", "--untracked-files=no")
    return {"commit": ask("rev-parse", "HEAD"), "dirty": None if changed is None else bool(changed)}


def command_line() -> str:
    """The command that started this process, as it was typed."""
    return os.environ.get("FER_LAB_COMMAND", " ".join(sys.argv))
