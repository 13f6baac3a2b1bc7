"""Several processes on one job: which one this is, what the first one tells, ends together.

Processes come from Lightning, from ``torchrun`` or from SLURM's ``srun``; what each of them sets is
read as Lightning reads it. Nothing heavy is imported unless others are waited for.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Final

from fer_lab.errors import ConfigError, FerLabError, user_mistake
from fer_lab.files import UNFINISHED, write_json

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

log = logging.getLogger(__name__)

# Seconds that processes wait for the first one: to decide, and to end.
_PATIENCE: Final = 300
_LAST_WORDS: Final = 60

# What has started this process: of Lightning's children the first process on their node.
_PARENT: Final = os.getppid()

_HINT: Final = (
    "perhaps for want of memory; resume=FOLDER goes on from the last checkpoint, where there is one"
)

# What torch says where a process waits for one that is no more.
_GONE: Final = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")


@dataclass(frozen=True)
class Place:
    """This process among those of its job.

    Attributes:
        rank: its number over all nodes; the first is 0.
        started: how many a launcher has started, 1 where Lightning starts the others, which a
            training of several nodes does on each.
        here: how many of them on this node.
        launcher: what has started them, None for this program itself.
    """

    rank: int = 0
    started: int = 1
    here: int = 1
    launcher: str | None = None


def place() -> Place:
    """What the environment says of this process, in Lightning's order of looking.

    >>> place().rank
    0
    """
    known = os.environ
    if "TORCHELASTIC_RUN_ID" in known:
        here = int(known.get("LOCAL_WORLD_SIZE", "1"))
        return Place(int(known["RANK"]), int(known["WORLD_SIZE"]), here, "torchrun")
    interactive = known.get("SLURM_JOB_NAME") in ("bash", "interactive")
    # In a batch script SLURM says as much of tasks that nobody has started; a step has an id.
    if {"SLURM_NTASKS", "SLURM_PROCID", "SLURM_STEP_ID"} <= known.keys() and not interactive:
        here = int(known.get("SLURM_NTASKS_PER_NODE", known["SLURM_NTASKS"]))
        return Place(int(known["SLURM_PROCID"]), int(known["SLURM_NTASKS"]), here, "srun")
    node = int(known.get("NODE_RANK", known.get("GROUP_RANK", "0")))
    # Lightning's children on a node, and their number over all nodes as far as it matters here.
    return Place(node + int(known.get("LOCAL_RANK", "0")))


def is_first() -> bool:
    """Whether this process is the one of its job that writes and speaks."""
    return place().rank == 0


def unwritten() -> list[str]:
    """What Hydra is told in all processes but the first, which alone writes the configuration."""
    return [] if is_first() else ["hydra.output_subdir=null"]


def agreed(what: str, decide: Callable[[], str]) -> str:
    """What the first of several processes decides, in all of them.

    Processes that Lightning has started on the first one's node are told on their command line and
    must not ask.

    Args:
        what: is decided, once in a process.
        decide: called in the first process, or in the only one.

    Raises:
        ConfigError: when the first process cannot be reached, or says nothing.
        SystemExit: when the first process has failed to decide, which it says itself.
    """
    own = place()
    several_nodes = "NODE_RANK" in os.environ and "MASTER_ADDR" in os.environ
    if own.started == 1 and not several_nodes:
        return decide()
    store = _store()
    key = f"fer_lab/{what}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if own.rank == 0:
        try:
            decided = decide()
        except BaseException:
            store.set(key, "")
            raise
        store.set(key, decided)
        return decided
    try:
        told = store.get(key).decode()
    except Exception as error:
        raise ConfigError(
            f"process {own.rank} was not told the {what} by the first one",
            where=f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}",
            hint="did the first process start?",
        ) from error
    if not told:
        raise SystemExit(1)
    return told


@cache
def _store() -> TCPStore:
    """Where processes leave word for each other: the store that torch meets at a moment later.

    The first one serves it, unless a launcher does; ``multi_tenant`` lets torch join.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    own = place()
    if own.launcher == "srun":
        if "SLURM_NTASKS_PER_NODE" not in os.environ:  # Lightning wants to know it
            raise ConfigError(
                f"{own.started} tasks were started, and how many on each node is not said",
                where="SLURM_NTASKS_PER_NODE",
                hint="srun --ntasks-per-node=N in place of --ntasks=N",
            )
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

        slurm = SLURMEnvironment()
        host, port = slurm.main_address, slurm.main_port
    else:
        host, port = os.environ["MASTER_ADDR"], int(os.environ.get("MASTER_PORT", "0"))
    served = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    try:
        return TCPStore(
            host,
            port,
            is_master=own.rank == 0 and not served,
            timeout=timedelta(seconds=_PATIENCE),
            wait_for_workers=False,
            multi_tenant=True,
        )
    except RuntimeError as error:
        raise ConfigError(
            f"the processes of this job do not meet: {str(error).splitlines()[0]}",
            where=f"MASTER_ADDR={host} MASTER_PORT={port}",
            hint="name the first node and a free port of it",
        ) from error


@contextlib.contextmanager
def ending_together(folder: Path) -> Iterator[None]:
    """When one process fails all end, and the reason is said and recorded once.

    Others than the first leave word of their failure and give the first one time to record it: what
    has started them would end it at once.

    Args:
        folder: of the run.

    Raises:
        FerLabError: in the first process, when another one has failed.
        SystemExit: in another one, when the first one says what is wrong.
    """
    own = place()
    try:
        yield
    except Exception as error:
        if own.rank:
            _leave_word(folder, own.rank, error)
            raise
        children = _own_children()
        try:
            if user_mistake(error) is None:
                _say_of_others(folder, error)
            for child in children:  # they would wait, on some devices for half an hour
                child.kill()
                child.wait()
        finally:
            for word in folder.glob(f"{UNFINISHED}*failure-*.json"):
                word.unlink(missing_ok=True)
        raise


def _leave_word(folder: Path, rank: int, error: Exception) -> None:
    known = user_mistake(error)
    words = {
        "what": known.what if known else f"{type(error).__name__}: {error}",
        "where": known.where if known else None,
        "hint": known.hint if known else None,
    }
    word = folder / f"{UNFINISHED}failure-{rank}.json"
    with contextlib.suppress(OSError):
        write_json(word, words)
    _part()
    said = _first_has_ended(folder)
    if said is None and _orphaned():
        word.unlink(missing_ok=True)
        _record(folder, "FerLabError: the first process of this job has died")
        raise FerLabError(
            "the first process of this job has died", where=folder, hint=_HINT
        ) from error
    if said is None:  # it waits where nothing wakes it, until it is killed
        _record(folder, f"process {rank} of this job has failed: {words['what']}")
        if known is not None:
            raise FerLabError(known.what, where=known.where, hint=known.hint) from error
    elif known is not None or f"process {rank} of this job has failed" not in said:
        raise SystemExit(1) from error


def _part() -> None:
    """Leave the group, so that whoever waits for this process learns of its end."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        ending = threading.Thread(target=torch.distributed.destroy_process_group, daemon=True)
        ending.start()
        ending.join(5)  # some back ends wait for what will not come


def _first_has_ended(folder: Path) -> str | None:
    """The reason that the first process gives for its end; None if it gives none in time."""
    deadline = time.monotonic() + _LAST_WORDS
    while time.monotonic() < deadline and not _orphaned():
        with contextlib.suppress(OSError, ValueError):
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            if record["status"] in ("failed", "interrupted"):
                return str(record.get("error"))
        time.sleep(0.2)
    return None


def _orphaned() -> bool:
    """Whether the first process has started this one and is no more."""
    return place().launcher is None and os.getppid() != _PARENT


def _record(folder: Path, reason: str) -> None:
    """Write down for the first process why the run has failed."""
    path = folder / "run.json"
    with contextlib.suppress(OSError, ValueError):
        record = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, record | {"status": "failed", "error": reason}, in_place=True)


def _own_children() -> list[Popen[bytes]]:
    """The processes that Lightning has started, which it no longer watches.

    When one of them ends it would kill this process, the first one, at its record and report.
    """
    for thread in threading.enumerate():
        if thread.name == "child-process-observer":
            children: list[Popen[bytes]] = thread._child_processes  # type: ignore[attr-defined]
            thread._child_processes = []  # type: ignore[attr-defined]
            return children
    return []


def _say_of_others(folder: Path, error: Exception) -> None:
    """Raise what other processes have failed of, if that is behind this one's error."""
    for word in sorted(folder.glob(f"{UNFINISHED}failure-*.json")):
        rank = word.stem.rsplit("-", 1)[-1]
        known = json.loads(word.read_text(encoding="utf-8"))
        if known["what"] != f"{type(error).__name__}: {error}":
            raise FerLabError(
                f"process {rank} of this job has failed: {known['what']}",
                where=known["where"],
                hint=known["hint"],
            ) from error
    if any(words in str(error) for words in _GONE):
        raise FerLabError(
            "another process of this job has died",
            where=folder,
            hint=_HINT,
        ) from error
